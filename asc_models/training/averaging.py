"""Batch norm's statistics for weights that were never trained with: those of an average of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def estimate_statistics(model: keras.Model, inputs: Iterable[Any]) -> None:
    """Set the moving mean and variance of every batch norm to the mean of those of `inputs`, all counting alike.

    A mean of weights has activations that none of them had, so that the statistics are not a mean of theirs (Izmailov
    et al., UAI 2018). Each batch passes the network as in training, dropout included.

    Args:
        model: its batch norms are changed, its weights are not.
        inputs: batches of network input.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moving = [
        (variable.value, norm.momentum) for norm in norms for variable in (norm.moving_mean, norm.moving_variance)
    ]
    if not moving:
        return
    forward = tf.function(lambda x: model(x, training=True), reduce_retracing=True)
    totals = [np.zeros(variable.shape, np.float64) for variable, _ in moving]
    n_batches = 0
    for x in inputs:
        for variable, _ in moving:
            variable.assign(tf.zeros_like(variable))
        forward(tf.constant(x))
        for total, (variable, momentum) in zip(totals, moving, strict=True):
            total += variable.numpy() / (1.0 - momentum)  # moved from 0, it is this share of the batch's own value
        n_batches += 1
    for total, (variable, _) in zip(totals, moving, strict=True):
        variable.assign((total / n_batches).astype(np.float32))
