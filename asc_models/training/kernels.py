"""Kernels of a Keras network by the names of the table of sizes (asc_models.networks.layer_table)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from asc_models.training.precision import LOGITS


def kernels_of(model: keras.Model, names: Sequence[str]) -> list[tf.Variable]:
    """Return the kernels of the layers called `names` in the table of sizes."""
    of = {layer.name: layer for layer in model.layers}
    # the table calls a dense classifier by what it is, the model by what it returns
    return [of.get(name, of[LOGITS]).kernel.value for name in names]
