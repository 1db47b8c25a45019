"""Precision of the arithmetic in a training step. Variables, gradients of variables and exported files are float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from asc_models.config import Precision

LOGITS = "logits"
"""Name of the layer before the softmax, which computes in float32 in every precision."""


@contextmanager
def computing_in(precision: Precision, model: keras.Model) -> Iterator[None]:
    """Let the layers of `model` compute in `precision` where a graph is traced within the block.

    A graph that was traced outside computes in float32 on the same variables, so that evaluation and export need no
    second model.
    """
    layers = [layer for layer in model.layers if layer.name != LOGITS] if precision != "float32" else []
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
