"""Weight updates: SGD with heavy-ball or Nesterov momentum, and AdamW, with one fused kernel per weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from asc_models.config import TrainConfig

ADAM_BETA2 = 0.999
"""β₂ of AdamW; β₁ is `momentum`."""
ADAM_EPSILON = 1e-7
"""ε of AdamW, as in Keras."""


class Updater:
    """Optimizer: updates weights and holds its state.

    Args:
        config: selects the optimizer, its momentum and its weight decay.
        variables: trainable variables. AdamW decays those with a regularizer, which are the kernels.
    """

    def __init__(self, config: TrainConfig, variables: Sequence[Any]) -> None:
        self._config = config
        self._weights = [variable.value for variable in variables]
        self._is_kernel = [variable.regularizer is not None for variable in variables]
        is_adam = config.optimizer == "adamw"
        self.slots: dict[str, list[tf.Variable]] = {
            name: [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in self._weights]
            for name in (("velocity", "square") if is_adam else ("velocity",))
        }
        """{name: one variable per weight}: `velocity` is the momentum, or AdamW's mean gradient; `square` is AdamW's
        mean squared gradient."""

    @property
    def penalizes(self) -> bool:
        """Whether weight decay is a penalty in the loss; False for AdamW."""
        return self._config.optimizer != "adamw"

    def apply(self, gradients: Sequence[Any], rate: Any, number: Any) -> None:
        """Update every weight; called inside the graph of a training step.

        Args:
            gradients: one per weight.
            rate: learning rate, a float32 scalar.
            number: step number, counted from 1, a float32 scalar.
        """
        if self._config.optimizer == "adamw":
            self._apply_adamw(gradients, rate, number)
            return
        # One kernel, where Keras' optimizer uses several: v ← momentum·v − rate·g, then w ← w + v, or with Nesterov
        # momentum w ← w + momentum·v − rate·g.
        for weight, velocity, gradient in zip(self._weights, self.slots["velocity"], gradients, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient,
                momentum=self._config.momentum,
                use_nesterov=self._config.optimizer == "nesterov",
            )

    def _apply_adamw(self, gradients: Sequence[Any], rate: Any, number: Any) -> None:
        beta1, decay = self._config.momentum, self._config.weight_decay
        # β₁ = 0 is allowed: pow(0, n) is 0, and the mean gradient is the gradient itself.
        powers = {"beta1_power": tf.pow(beta1, number), "beta2_power": tf.pow(ADAM_BETA2, number)}
        for index, (weight, gradient) in enumerate(zip(self._weights, gradients, strict=True)):
            if decay and self._is_kernel[index]:
                weight.assign_sub(weight * (rate * decay))
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=self.slots["velocity"][index].handle,
                v=self.slots["square"][index].handle,
                lr=rate,
                beta1=beta1,
                beta2=ADAM_BETA2,
                epsilon=ADAM_EPSILON,
                grad=gradient,
                **powers,
            )
