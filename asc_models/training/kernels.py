"""Kernels of a Keras network by the names of the table of sizes (asc_models.networks.layer_table)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from asc_models.networks.layer_table import Layer, layers
from asc_models.networks.network import NetworkConfig
from asc_models.networks.topology import Shape
from asc_models.training.precision import LOGITS


@dataclass(frozen=True, slots=True)
class Kernels:
    """Some kernels of a network in training."""

    trained: Sequence[tf.Variable]
    """In the order of the table of sizes."""
    averages: Sequence[tf.Variable]
    """The same of its moving average; empty if it has none."""


def choose_kernels(
    config: NetworkConfig,
    input_shape: Shape,
    n_classes: int,
    trained: keras.Model,
    model: keras.Model,
    chosen: Callable[[Layer], bool],
) -> Kernels:
    """Return the kernels of the layers that are chosen.

    Args:
        config: description of the network.
        input_shape: (n_mels, n_frames, n_channels) of its input.
        n_classes: number of scenes.
        trained: the network in training.
        model: the network that is evaluated: `trained` itself, or its moving average.
        chosen: whether a layer is one of them.
    """
    names = [layer.name for layer in layers(config, input_shape, n_classes) if chosen(layer)]
    return Kernels(kernels_of(trained, names), [] if model is trained else kernels_of(model, names))


def kernels_of(model: keras.Model, names: Sequence[str]) -> list[tf.Variable]:
    """Return the kernels of the layers called `names` in the table of sizes."""
    of = {layer.name: layer for layer in model.layers}
    # the table calls a dense classifier by what it is, the model by what it returns
    return [of.get(name, of[LOGITS]).kernel.value for name in names]
