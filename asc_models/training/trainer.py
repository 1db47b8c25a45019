"""Training of a network on augmented batches, with exact resumption."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from asc_models.config import INT4_MODE, ExportMode, TrainConfig
from asc_models.errors import TrainingError
from asc_models.networks.estimate import is_int4
from asc_models.networks.network import NetworkConfig
from asc_models.training.averaging import estimate_statistics
from asc_models.training.batches import TrainingBatches
from asc_models.training.builder import build
from asc_models.training.distillation import Teacher
from asc_models.training.kernels import choose_kernels
from asc_models.training.optimizer import Updater
from asc_models.training.precision import LOGITS, computing_in
from asc_models.training.pruning import Pruner
from asc_models.training.rounding import Rounder
from asc_models.training.schedule import learning_rate, n_averaged, n_unpruned, n_unrounded, sparsity
from asc_models.training.tracing import traced
from asc_models.training.voting import answering
from data_prep.augment.registry import WHOLE_CLIPS
from data_prep.files.files import UNREADABLE_ZIP, written_whole
from data_prep.reader.prefetch import prefetched
from data_prep.reader.reader import FeatureSet
from data_prep.schema import differing_keys

Arrays = dict[str, npt.NDArray[Any]]

DIVERGED_LOSS = 1e3
"""A training whose mean cross-entropy over an epoch exceeds this value counts as diverged."""

N_STATISTICS_BATCHES = 64
"""Number of training batches used to estimate batch-norm statistics for averaged weights."""


@dataclass(frozen=True, slots=True)
class EpochStats:
    """Statistics of one training epoch."""

    epoch: int
    """Number of finished epochs."""
    loss: float
    """Mean cross-entropy over the augmented batches; with teachers, mean loss of the distillation."""
    learning_rate: float
    """Learning rate of the last step."""


class Trainer:
    """A network in training.

    Args:
        model_config: the network.
        train_config: the recipe.
        train_set: the training split.
        seed: seed of the initial weights and of all sampling. The same seed gives the same weights on one machine.
        teacher: what it learns from besides the labels; None trains on the labels alone.
        mode: export mode that it is trained for; `train.int4_share` has an effect with `int4_int8_weights` alone.
    """

    def __init__(
        self,
        model_config: NetworkConfig,
        train_config: TrainConfig,
        train_set: FeatureSet,
        *,
        seed: int,
        teacher: Teacher | None = None,
        mode: ExportMode = "float32",
    ) -> None:
        if mode != INT4_MODE:
            train_config = train_config.updated(int4_share=0.0)
        if not model_config.takes_any_length:
            train_config = train_config.updated(**WHOLE_CLIPS)
        keras.utils.set_random_seed(seed)
        self.config = train_config
        self.epoch = 0
        network = (model_config, train_set.network_shape, len(train_set.classes))
        self.model = build(*network, weight_decay=train_config.weight_decay)
        # With a moving average, `model` holds the average and a second model is trained.
        self._trained = (
            build(*network, weight_decay=train_config.weight_decay) if train_config.ema_decay else self.model
        )
        if self._trained is not self.model:
            self._trained.set_weights(self.model.get_weights())
        self._teacher = teacher
        self._n_classes = len(train_set.classes)
        self._batches = TrainingBatches(train_set, train_config, seed, None if teacher is None else teacher.soft)
        self._logits = keras.Model(self._trained.inputs, self._trained.get_layer(LOGITS).output)
        self._weights = [variable.value for variable in self._trained.trainable_variables]
        self._updater = Updater(train_config, self._trained.trainable_variables)
        kernels = partial(choose_kernels, *network, self._trained, self.model)
        self._pruner = Pruner(kernels(lambda layer: layer.is_pruned)) if train_config.sparsity else None
        self._rounder = Rounder(kernels(is_int4)) if train_config.int4_share else None
        self._sums = [np.zeros(weight.shape) for weight in self._weights] if train_config.swa_share else []
        # The number of epochs is not part of the identity if the schedule does not depend on it.
        recipe = train_config.canonical()
        shared = train_config.swa_share or train_config.sparsity or train_config.int4_share
        if train_config.schedule == "sgdr" and not shared:
            del recipe["epochs"]
        self._described = {"model": model_config.canonical(), "train": recipe, "seed": seed}
        if teacher is not None:
            self._described["distillation"] = teacher.config.canonical()
        shape = self._batches.batch_shape
        signature = [
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec((shape[0], self._batches.n_targets), tf.float32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((), tf.float32),
        ]
        self._step = traced(partial(self._step_eagerly, rounder=None), input_signature=signature)
        self._rounded_step = traced(partial(self._step_eagerly, rounder=self._rounder), input_signature=signature)
        self._average = traced(self._average_eagerly)
        answer = answering(self.model, train_set.windows)
        self._predict = traced(lambda x: answer(x, training=False), reduce_retracing=True)

    def start_from(self, network: keras.Model) -> None:
        """Set the weights to those of a trained network of the same description, before the first epoch."""
        for model in (self.model, self._trained):
            model.set_weights(network.get_weights())

    def train_to(self, epoch: int, on_epoch: Callable[[EpochStats], None] | None = None) -> None:
        """Train until `epoch` epochs are finished.

        Raises:
            TrainingError: if the training diverges: the loss is too large, or a loss or weight is not finite.
        """
        while self.epoch < epoch:
            stats = self._train_epoch()
            if on_epoch is not None:
                on_epoch(stats)

    def predict(self, features: FeatureSet) -> npt.NDArray[np.float32]:
        """Return the float model's probabilities, averaged over windows if any, shape (n_clips, n_classes)."""
        with closing(prefetched(features.batches())) as batches:
            return np.concatenate([self._predict(tf.constant(x)).numpy() for x in batches])

    def weights(self) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model, including random states."""
        return [variable.value.numpy().copy() for variable in self.model.variables]

    def set_weights(self, values: list[npt.NDArray[Any]]) -> None:
        """Set all variables of the model."""
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.assign(value)

    @property
    def is_pruned(self) -> bool:
        """Whether its weights have all the zeros that the recipe asks for; always True without `train.sparsity`."""
        return not self.config.sparsity or self.epoch > n_unpruned(self.config)

    @property
    def n_averaged(self) -> int:
        """Number of epochs averaged so far (`train.swa_share`); 0 before averaging starts."""
        tail = n_averaged(self.config)
        return max(0, self.epoch - self.config.epochs + tail) if tail else 0

    def averaged_weights(self) -> list[npt.NDArray[Any]]:
        """Return all variables of the model with averaged weights, for `set_weights`.

        The model itself is left unchanged. Batch-norm statistics are estimated on training batches of epochs after the
        last one, which are not used for training.
        """
        own = self.weights()
        for weight, total in zip(self._weights, self._sums, strict=True):
            weight.assign((total / self.n_averaged).astype(np.float32))
        if self._rounder is not None:
            self._rounder.round_average()
        unseen = chain.from_iterable(self._batches.epoch(number) for number in count(self.config.epochs))
        with closing(prefetched(x for x, _ in islice(unseen, N_STATISTICS_BATCHES))) as inputs:
            estimate_statistics(self.model, inputs)
        averaged = self.weights()
        self.set_weights(own)
        return averaged

    def save(self, path: Path, **extra: npt.NDArray[Any]) -> None:
        """Write the state of the training (weights, optimizer, epoch and `extra` arrays) to an .npz file."""
        arrays: Arrays = {f"variable_{i}": value for i, value in enumerate(self.weights())}
        for name, slots in self._updater.slots.items():
            arrays |= {f"{name}_{i}": slot.numpy() for i, slot in enumerate(slots)}
        arrays |= {f"sum_{i}": total for i, total in enumerate(self._sums)}
        if self._rounder is not None:
            arrays |= {f"exact_{i}": kernel for i, kernel in enumerate(self._rounder.exact)}
        if self._trained is not self.model:
            arrays |= {f"trained_{i}": variable.numpy() for i, variable in enumerate(self._trained.variables)}
        arrays |= {f"extra_{name}": value for name, value in extra.items()}
        state = np.array(json.dumps({"epoch": self.epoch, "described": self._described}))
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, state=state, **arrays)

    def load(self, path: Path) -> Arrays:
        """Restore the state written by `save` and return its `extra` arrays.

        Raises:
            TrainingError: if the file is from another network, recipe or seed, or is damaged.
        """
        try:
            # given a path, NumPy would leave a damaged file open
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = dict(file)
            state = json.loads(str(arrays.pop("state")))
            epoch, described = int(state["epoch"]), state["described"]
        except (*UNREADABLE_ZIP, OSError, KeyError, TypeError) as error:
            raise TrainingError(f"{path}: no usable checkpoint ({error}); delete it to train from the start") from error
        if differing := differing_keys(described, self._described):
            raise TrainingError(
                f"{path}: belongs to another network, recipe or seed ({'; '.join(differing[:3])}); use its settings, "
                "or delete it to train from the start"
            )
        self.set_weights([arrays[f"variable_{i}"] for i in range(len(self.model.variables))])
        if self._trained is not self.model:
            for i, variable in enumerate(self._trained.variables):
                variable.assign(arrays[f"trained_{i}"])
        for name, slots in self._updater.slots.items():
            for i, slot in enumerate(slots):
                slot.assign(arrays[f"{name}_{i}"])
        self._sums = [arrays[f"sum_{i}"] for i in range(len(self._sums))]
        if self._rounder is not None:
            self._rounder.exact = [
                arrays[f"exact_{i}"] for i in range(sum(name.startswith("exact_") for name in arrays))
            ]
        self.epoch = epoch
        return {name.removeprefix("extra_"): value for name, value in arrays.items() if name.startswith("extra_")}

    def _train_epoch(self) -> EpochStats:
        if self._rounder is not None:
            self._rounder.restore()
        if self._pruner is not None:
            self._pruner.prune(sparsity(self.config, self.epoch))
        rounder = self._rounder if self.epoch >= n_unrounded(self.config) else None
        if rounder is not None:
            rounder.set_ranges()
        take_step = self._step if rounder is None else self._rounded_step
        losses = []
        steps = self._batches.steps_per_epoch
        rate = 0.0
        with closing(prefetched(self._batches.epoch(self.epoch))) as batches:
            for step, (x, y) in enumerate(batches):
                rate = learning_rate(self.config, self.epoch + step / steps)
                number = float(self.epoch * steps + step + 1)
                losses.append(float(take_step(*map(tf.constant, (x, y, rate, number)))))
                if not np.isfinite(losses[-1]):
                    raise TrainingError(
                        f"training diverged in epoch {self.epoch + 1}, step {step + 1}: the loss is {losses[-1]} at "
                        f"learning rate {rate:.3g}; lower train.learning_rate"
                    )
                if self.config.ema_decay:
                    self._average(tf.constant(self._ema_decay(self.epoch * steps + step), tf.float32))
        mean = float(np.mean(losses))
        self._require_sound(mean, rate)
        self.epoch += 1
        if self.n_averaged:
            self._sums = [total + weight.numpy() for total, weight in zip(self._sums, self._weights, strict=True)]
        if rounder is not None:
            rounder.round()
        return EpochStats(self.epoch, mean, rate)

    def _require_sound(self, mean_loss: float, rate: float) -> None:
        """Raise TrainingError if the epoch's mean loss is too large or a weight is not finite."""
        found = ""
        if mean_loss > DIVERGED_LOSS:
            found = f"its mean loss is {mean_loss:,.0f} (more than {DIVERGED_LOSS:,.0f} counts as diverged)"
        # The loss can be finite while weights are not: a ReLU maps NaN to 0.
        elif not all(np.isfinite(variable.numpy()).all() for variable in self._trained.variables):
            found = "a weight is not finite"
        if found:
            raise TrainingError(
                f"training diverged in epoch {self.epoch + 1}: {found} at learning rate {rate:.3g}; lower "
                "train.learning_rate"
            )

    def _ema_decay(self, n_steps: int) -> float:
        """Return the decay after `n_steps` steps: smaller at first, so that the initial weights are forgotten quickly.

        As in TensorFlow's ExponentialMovingAverage with `num_updates`.
        """
        return min(self.config.ema_decay, (1 + n_steps) / (10 + n_steps))

    def _average_eagerly(self, decay: Any) -> None:
        for average, variable in zip(self.model.variables, self._trained.variables, strict=True):
            if variable.dtype == "float32":  # skips the integer states of dropout's random generators
                average.value.assign_sub((average.value - variable.value) * (1.0 - decay))

    def _step_eagerly(self, x: Any, y: Any, rate: Any, number: Any, rounder: Rounder | None) -> Any:
        y, soft = y[:, : self._n_classes], y[:, self._n_classes :]
        answer = None if self._teacher is None else self._teacher.answer(x, soft)
        exact = [] if rounder is None else rounder.begin_step()
        with tf.GradientTape() as tape, computing_in(self.config.precision, self._trained):
            logits = self._logits(x, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
            if self._teacher is not None:
                loss = self._teacher.loss(loss, logits, answer)
            penalties = self._logits.losses if self._updater.penalizes else []
            total = tf.add_n([loss, *penalties]) if penalties else loss
        gradients = tape.gradient(total, self._weights)
        if self.config.gradient_clip:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.gradient_clip)
        if rounder is not None:
            rounder.end_step(exact)
        masks = [] if self._pruner is None else self._pruner.masks()
        self._updater.apply(gradients, rate, number)
        if self._pruner is not None:
            self._pruner.apply(masks)
        return loss
