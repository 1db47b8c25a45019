"""Description → Keras model: the operations that `asc_models.networks.topology` counts, on Keras tensors."""

from __future__ import annotations

from typing import Any

import keras

from asc_models.networks.network import Activation, NetworkConfig, Normalization, Pooling, Stride
from asc_models.networks.topology import Shape, attention_units, count
from asc_models.training.layers import ChannelStatistics, FusedBatchNormalization, GlobalResponseNormalization

Tensor = Any

NORM_MOMENTUM = 0.95
"""Of batch norm's running statistics. Keras' 0.99 takes some 500 steps to forget its start: a trial on a small data set
reaches its first rung in a hundred, and would be compared by statistics that are mostly initial values."""

LEAKY_SLOPE = 0.1
"""Of the leaky ReLU below zero."""


def build(config: NetworkConfig, input_shape: Shape, n_classes: int, *, weight_decay: float = 0.0) -> keras.Model:
    """Return a model from (batch, n_mels, n_frames, n_channels) to probabilities (batch, n_classes).

    The number of frames is left open where the network takes any, so that training may crop in time. The layer before
    the softmax is called `logits`.

    Args:
        config: the network.
        input_shape: (n_mels, n_frames, n_channels) at inference.
        n_classes: scenes that it tells apart.
        weight_decay: L2 penalty on every kernel.

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    count(config, input_shape, n_classes)  # refuses what Keras would build with a clipped map, or not say why
    n_frames = None if config.takes_any_length else input_shape[1]
    inputs = keras.Input((input_shape[0], n_frames, input_shape[2]), name="log_mel")
    penalty = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    logits = config.assemble(_KerasNetwork(penalty), inputs, n_classes)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits), name=config.family)


class _KerasNetwork:
    """`Network` on Keras tensors.

    Args:
        penalty: regularizer of every kernel.
    """

    def __init__(self, penalty: Any) -> None:
        self._penalty = penalty

    def n_channels(self, x: Tensor) -> int:
        """Return the channels of `x`."""
        return int(x.shape[-1])

    def conv(
        self,
        x: Tensor,
        name: str,
        filters: int,
        kernel_size: int,
        *,
        stride: Stride = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
    ) -> Tensor:
        """Return a 'same' convolution, then normalization and activation."""
        x = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding="same",
            use_bias=normalization == "none" if biased is None else biased,
            kernel_initializer="he_normal",
            kernel_regularizer=self._penalty,
            name=name,
        )(x)
        return self._normalized(x, name, normalization, activation)

    def depthwise(
        self,
        x: Tensor,
        name: str,
        kernel_size: int,
        *,
        stride: Stride = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
    ) -> Tensor:
        """Return a 'same' convolution of each channel by itself, then normalization and activation."""
        x = keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=stride,
            padding="same",
            use_bias=normalization == "none",
            depthwise_initializer="he_normal",
            depthwise_regularizer=self._penalty,
            name=name,
        )(x)
        return self._normalized(x, name, normalization, activation)

    def dense(self, x: Tensor, name: str, units: int, *, activation: Activation = "none") -> Tensor:
        """Return a fully connected layer with bias on a vector."""
        x = keras.layers.Dense(units, kernel_regularizer=self._penalty, name=name)(x)
        return self.activate(x, name, activation)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Return `x` batch-normalized by channel."""
        return FusedBatchNormalization(momentum=NORM_MOMENTUM, name=name)(x)

    def activate(self, x: Tensor, name: str, activation: Activation) -> Tensor:
        """Return the activation of `x`."""
        if activation == "none":
            return x
        name = f"{name}_{activation}"
        if activation in ("relu", "relu6"):
            return keras.layers.ReLU(max_value=6.0 if activation == "relu6" else None, name=name)(x)
        if activation == "leaky_relu":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name)(x)
        return keras.layers.Activation("hard_silu", name=name)(x)

    def channel_attention(self, x: Tensor, name: str, reduction_ratio: int) -> Tensor:
        """Return `x` scaled by channel (CBAM: Woo et al. 2018)."""
        channels = self.n_channels(x)
        reduce = keras.layers.Dense(
            attention_units(channels, reduction_ratio),
            activation="relu",
            kernel_initializer="he_normal",
            kernel_regularizer=self._penalty,
            name=f"{name}_reduce",
        )
        restore = keras.layers.Dense(channels, kernel_regularizer=self._penalty, name=f"{name}_restore")
        average = restore(reduce(keras.layers.GlobalAveragePooling2D(name=f"{name}_average")(x)))
        maximum = restore(reduce(keras.layers.GlobalMaxPooling2D(name=f"{name}_maximum")(x)))
        total = keras.layers.Add(name=f"{name}_total")([average, maximum])
        scale = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(total)
        scale = keras.layers.Reshape((1, 1, channels), name=f"{name}_reshape")(scale)
        return keras.layers.Multiply(name=f"{name}_scale")([x, scale])

    def spatial_attention(self, x: Tensor, name: str, kernel_size: int) -> Tensor:
        """Return `x` scaled by place (CBAM: Woo et al. 2018)."""
        mask = keras.layers.Conv2D(
            1,
            kernel_size,
            padding="same",
            activation="sigmoid",
            use_bias=False,
            kernel_regularizer=self._penalty,
            name=name,
        )(ChannelStatistics(name=f"{name}_statistics")(x))
        return keras.layers.Multiply(name=f"{name}_scale")([x, mask])

    def keep(self, x: Tensor) -> Tensor:
        """Return `x`: Keras keeps what is used again."""
        return x

    def add(self, x: Tensor, kept: Tensor, name: str) -> Tensor:
        """Return the sum of two maps."""
        return keras.layers.Add(name=name)([kept, x])

    def pool(self, x: Tensor, name: str, kind: Pooling, size: tuple[int, int]) -> Tensor:
        """Return the pooled map; a rest at the edge that fills no window is left out."""
        layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
        return layer(size, name=name)(x)

    def smooth(self, x: Tensor, name: str, size: int, stride: Stride) -> Tensor:
        """Return 'same' average pooling; padding is left out of the average."""
        return keras.layers.AveragePooling2D(size, strides=stride, padding="same", name=name)(x)

    def global_pool(self, x: Tensor, name: str, kind: Pooling = "average") -> Tensor:
        """Return one value a channel, as a vector."""
        layer = keras.layers.GlobalMaxPooling2D if kind == "max" else keras.layers.GlobalAveragePooling2D
        return layer(name=name)(x)

    def flatten(self, x: Tensor) -> Tensor:
        """Return the map as a vector."""
        return keras.layers.Flatten(name="flatten")(x)

    def dropout(self, x: Tensor, name: str, rate: float) -> Tensor:
        """Return `x` with a share of it dropped in training."""
        return keras.layers.Dropout(rate, name=name)(x) if rate else x

    def response_norm(self, x: Tensor, name: str) -> Tensor:
        """Return `x` under global response normalization."""
        return GlobalResponseNormalization(name=name)(x)

    def classifier(self, x: Tensor, n_classes: int) -> Tensor:
        """Return the logits of a vector. The trainer knows them by their layer's name."""
        return self.dense(x, "logits", n_classes)

    def _normalized(self, x: Tensor, name: str, normalization: Normalization, activation: Activation) -> Tensor:
        if normalization == "batch":
            x = self.norm(x, f"{name}_norm")
        return self.activate(x, name, activation)
