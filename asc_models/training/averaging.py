"""Batch-norm statistics for averaged weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from asc_models.training.branches import BranchedDepthwise
from asc_models.training.tracing import traced


def estimate_statistics(model: keras.Model, inputs: Iterable[Any]) -> None:
    """Set the moving mean and variance of every batch norm to the unweighted mean over the batches in `inputs`.

    The statistics of averaged weights are not the average of the statistics, because their activations differ (Izmailov
    et al., UAI 2018). Batches pass the network in training mode, dropout included.

    Args:
        model: changed in place: its batch-norm statistics, not its weights.
        inputs: batches of network input.
    """
    norms = [norm for layer in model.layers for norm in _norms_of(layer)]
    moving = [
        (variable.value, norm.momentum) for norm in norms for variable in (norm.moving_mean, norm.moving_variance)
    ]
    if not moving:
        return
    forward = traced(lambda x: model(x, training=True), reduce_retracing=True)
    totals = [np.zeros(variable.shape, np.float64) for variable, _ in moving]
    n_batches = 0
    for x in inputs:
        for variable, _ in moving:
            variable.assign(tf.zeros_like(variable))
        forward(tf.constant(x))
        for total, (variable, momentum) in zip(totals, moving, strict=True):
            total += variable.numpy() / (1.0 - momentum)  # one update from 0 gives (1 − momentum) · batch value
        n_batches += 1
    for total, (variable, _) in zip(totals, moving, strict=True):
        variable.assign((total / n_batches).astype(np.float32))


def _norms_of(layer: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    if isinstance(layer, BranchedDepthwise):
        return list(layer.norms)
    return [layer] if isinstance(layer, keras.layers.BatchNormalization) else []
