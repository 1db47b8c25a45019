"""A network whose weights are constants, as converters to other formats take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from asc_models.training.layers import exporting
from asc_models.training.voting import Voting


def frozen(model: keras.Model | Voting) -> Callable[[Any], Any]:
    """Return the network as a function of its input without variables, so that converters have none to freeze."""
    weights = [(weight, weight.numpy()) for weight in model.weights]

    def function(log_mel: Any) -> Any:
        """Run the network in inference mode."""
        with exporting(), keras.StatelessScope([(weight, tf.constant(values)) for weight, values in weights]):
            return model(log_mel, training=False)

    return function
