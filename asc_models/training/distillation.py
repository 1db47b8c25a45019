"""Knowledge distillation: a network in training also learns from the probabilities of teachers.

Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", 2015, arXiv 1503.02531. With logits z of the
network, softened probabilities q of the teachers, their temperature T and the weight λ of the true labels, the loss is

    λ · cross-entropy(y, softmax(z)) + (1 − λ) · T² · KL(q ‖ softmax(z / T)).

Teachers that are networks see the same augmented examples as the trained one. Stored probabilities belong to the
unchanged clips and are mixed as the labels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from asc_models.config import Distillation
from asc_models.training.precision import LOGITS

Array = npt.NDArray[np.float32]

SMALLEST = 1e-7
"""Stored probabilities are at least this before they are softened, as files have few digits."""


class Teacher:
    """Teachers of a training; their softened probabilities are averaged.

    Args:
        config: temperature and weight of the labels.
        networks: trained networks that take the same inputs as the network in training.
        probabilities: of each training clip, shape (n_clips, n_classes); None if all teachers are networks.

    Raises:
        ValueError: if there are neither networks nor probabilities.
    """

    def __init__(
        self, config: Distillation, networks: Sequence[keras.Model] = (), probabilities: Array | None = None
    ) -> None:
        if not networks and probabilities is None:
            raise ValueError("a teacher needs networks or probabilities")
        self.config = config
        self.soft = None if probabilities is None else softened(probabilities, config.temperature)
        """Softened stored probabilities, shape (n_clips, n_classes); None if all teachers are networks."""
        self._logits = [keras.Model(one.inputs, one.get_layer(LOGITS).output) for one in networks]

    def answer(self, x: Any, soft: Any) -> Any:
        """Return the mean softened probabilities of a batch, a tensor of shape (batch_size, n_classes).

        Args:
            x: inputs of the network in training.
            soft: mixed targets of the stored probabilities, shape (batch_size, n_classes); unused without any.
        """
        answers = [tf.nn.softmax(logits(x, training=False) / self.config.temperature) for logits in self._logits]
        if self.soft is not None:
            answers.append(soft)
        return tf.add_n(answers) / float(len(answers))

    def loss(self, hard: Any, logits: Any, answer: Any) -> Any:
        """Return the loss of a batch, a scalar.

        Args:
            hard: mean cross-entropy of the labels.
            logits: of the network in training, shape (batch_size, n_classes).
            answer: what `answer` returned.
        """
        temperature, weight = self.config.temperature, self.config.hard_weight
        cross = tf.nn.softmax_cross_entropy_with_logits(labels=answer, logits=logits / temperature)
        entropy = -tf.reduce_sum(tf.math.xlogy(answer, answer), axis=1)
        return weight * hard + (1.0 - weight) * temperature**2 * tf.reduce_mean(cross - entropy)


def softened(probabilities: Array, temperature: float) -> Array:
    """Return probabilities as if their logits had been divided by `temperature`, rows summing to 1."""
    powers = np.maximum(probabilities.astype(np.float64), SMALLEST) ** (1.0 / temperature)
    result: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return result
