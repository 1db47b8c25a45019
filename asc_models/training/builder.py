"""Building a Keras model from a description: the operations of `Network` on Keras tensors."""

from __future__ import annotations

from typing import Any

import keras

from asc_models.networks.network import (
    Activation,
    Kernel,
    NetworkConfig,
    Normalization,
    Pooling,
    Stride,
    kernel_pair,
    stride_pair,
)
from asc_models.networks.topology import Shape, attention_units, count
from asc_models.training.branches import BranchedDepthwise
from asc_models.training.depthwise import DepthwiseConv2D
from asc_models.training.layers import (
    AttentivePooling,
    ChannelSequence,
    ChannelShuffle,
    ChannelStatistics,
    FrequencyMean,
    FusedBatchNormalization,
    GatedRecurrence,
    GlobalResponseNormalization,
    GroupedConv2D,
    Mixture,
    ResidualNormalization,
    SubspectralNormalization,
)

Tensor = Any

NORM_MOMENTUM = 0.95
"""Momentum of batch norm's running statistics. With Keras' default 0.99 the initial values dominate for about 500
steps, but a trial on a small data set reaches its first rung after about 100."""

LEAKY_SLOPE = 0.1
"""Slope of the leaky ReLU below zero."""


def build(config: NetworkConfig, input_shape: Shape, n_classes: int, *, weight_decay: float = 0.0) -> keras.Model:
    """Return a model from (batch, n_mels, n_frames, n_channels) to probabilities (batch, n_classes).

    The number of frames is undefined if the network accepts any length, so that training can crop in time. The layer
    before the softmax is named `logits`.

    Args:
        config: the network.
        input_shape: (n_mels, n_frames, n_channels) at inference.
        n_classes: number of scenes.
        weight_decay: L2 penalty on every kernel.

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    count(config, input_shape, n_classes)  # raises SizeError with a reason; Keras may build it anyway
    n_frames = None if config.takes_any_length else input_shape[1]
    inputs = keras.Input((input_shape[0], n_frames, input_shape[2]), name="log_mel")
    penalty = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    logits = config.assemble(_KerasNetwork(penalty), inputs, n_classes)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits), name=config.family)


class _KerasNetwork:
    """`Network` on Keras tensors.

    Args:
        penalty: regularizer applied to every kernel.
    """

    def __init__(self, penalty: Any) -> None:
        self._penalty = penalty

    def n_channels(self, x: Tensor) -> int:
        """Return the number of channels of `x`."""
        return int(x.shape[-1])

    def conv(
        self,
        x: Tensor,
        name: str,
        filters: int,
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        groups: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
    ) -> Tensor:
        """Apply a 'same' convolution, then normalization and activation."""
        layer = keras.layers.Conv2D if groups == 1 else GroupedConv2D
        x = layer(
            filters,
            kernel_size,
            strides=stride,
            padding="same",
            groups=groups,
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
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        multiplier: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
        branches: int = 0,
    ) -> Tensor:
        """Apply a 'same' depthwise convolution, then normalization and activation."""
        if branches:
            x = BranchedDepthwise(
                kernel_pair(kernel_size),
                branches,
                stride_pair(stride),
                momentum=NORM_MOMENTUM,
                regularizer=self._penalty,
                name=name,
            )(x)
            return self.activate(x, name, activation)
        x = DepthwiseConv2D(
            kernel_size,
            strides=stride,
            padding="same",
            depth_multiplier=multiplier,
            use_bias=normalization == "none" if biased is None else biased,
            depthwise_initializer="he_normal",
            depthwise_regularizer=self._penalty,
            name=name,
        )(x)
        return self._normalized(x, name, normalization, activation)

    def dense(self, x: Tensor, name: str, units: int, *, activation: Activation = "none") -> Tensor:
        """Apply a fully connected layer with bias to a vector."""
        x = keras.layers.Dense(units, kernel_regularizer=self._penalty, name=name)(x)
        return self.activate(x, name, activation)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Batch-normalize `x` by channel."""
        return FusedBatchNormalization(momentum=NORM_MOMENTUM, name=name)(x)

    def activate(self, x: Tensor, name: str, activation: Activation) -> Tensor:
        """Apply an activation."""
        if activation == "none":
            return x
        name = f"{name}_{activation}"
        if activation in ("relu", "relu6"):
            return keras.layers.ReLU(max_value=6.0 if activation == "relu6" else None, name=name)(x)
        if activation == "leaky_relu":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name)(x)
        return keras.layers.Activation("silu" if activation == "swish" else "hard_silu", name=name)(x)

    def channel_attention(self, x: Tensor, name: str, reduction_ratio: int) -> Tensor:
        """Scale `x` by channel (CBAM: Woo et al. 2018)."""
        reduce, restore = self._bottleneck(self.n_channels(x), name, reduction_ratio)
        average = restore(reduce(keras.layers.GlobalAveragePooling2D(name=f"{name}_average")(x)))
        maximum = restore(reduce(keras.layers.GlobalMaxPooling2D(name=f"{name}_maximum")(x)))
        return self._scaled(x, name, keras.layers.Add(name=f"{name}_total")([average, maximum]))

    def squeeze_excite(self, x: Tensor, name: str, reduction_ratio: int) -> Tensor:
        """Scale `x` by channel (Hu et al. 2018)."""
        reduce, restore = self._bottleneck(self.n_channels(x), name, reduction_ratio)
        return self._scaled(x, name, restore(reduce(keras.layers.GlobalAveragePooling2D(name=f"{name}_average")(x))))

    def spatial_attention(self, x: Tensor, name: str, kernel_size: int) -> Tensor:
        """Scale `x` by position (CBAM: Woo et al. 2018)."""
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
        """Return `x`; Keras keeps tensors that are used again."""
        return x

    def add(self, x: Tensor, kept: Tensor, name: str) -> Tensor:
        """Return the sum of two maps."""
        return keras.layers.Add(name=name)([kept, x])

    def mix(self, x: Tensor, other: Tensor, name: str) -> Tensor:
        """Return the mixture of two maps."""
        return Mixture(name=name)([x, other])

    def shuffle(self, x: Tensor, name: str, n_groups: int) -> Tensor:
        """Return the map with reordered channels."""
        return ChannelShuffle(n_groups, name=name)(x)

    def pool(self, x: Tensor, name: str, kind: Pooling, size: tuple[int, int]) -> Tensor:
        """Pool in windows of `size`; an incomplete window at the edge is dropped."""
        layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
        return layer(size, name=name)(x)

    def smooth(self, x: Tensor, name: str, size: int, stride: Stride) -> Tensor:
        """Apply 'same' average pooling; the average excludes the padding."""
        return keras.layers.AveragePooling2D(size, strides=stride, padding="same", name=name)(x)

    def global_pool(self, x: Tensor, name: str, kind: Pooling = "average") -> Tensor:
        """Return one value per channel, as a vector."""
        layer = keras.layers.GlobalMaxPooling2D if kind == "max" else keras.layers.GlobalAveragePooling2D
        return layer(name=name)(x)

    def attentive_pool(self, x: Tensor, name: str) -> Tensor:
        """Return the mean over the map weighted by scores; all are 0 at first, so that it begins as the plain mean."""
        scores = keras.layers.Conv2D(
            1,
            1,
            use_bias=False,  # a softmax does not change with it
            kernel_initializer="zeros",
            kernel_regularizer=self._penalty,
            name=f"{name}_scores",
        )(x)
        return AttentivePooling(name=name)([x, scores])

    def flatten(self, x: Tensor) -> Tensor:
        """Return the map as a vector."""
        return keras.layers.Flatten(name="flatten")(x)

    def dropout(self, x: Tensor, name: str, rate: float, *, by_channel: bool = False) -> Tensor:
        """Apply dropout in training; return `x` itself if `rate` is 0."""
        layer = keras.layers.SpatialDropout2D if by_channel else keras.layers.Dropout
        return layer(rate, name=name)(x) if rate else x

    def channel_gru(self, x: Tensor, name: str, units: int) -> Tensor:
        """Read the channels one after another; the input's part of each step is computed for all steps at once."""
        x = ChannelSequence(name=f"{name}_sequence")(x)
        x = keras.layers.Conv2D(3 * units, 1, kernel_regularizer=self._penalty, name=f"{name}_input")(x)
        return GatedRecurrence(units, kernel_regularizer=self._penalty, name=f"{name}_recurrent")(x)

    def response_norm(self, x: Tensor, name: str) -> Tensor:
        """Apply global response normalization."""
        return GlobalResponseNormalization(name=name)(x)

    def subspectral_norm(self, x: Tensor, name: str, n_bands: int) -> Tensor:
        """Batch-normalize each channel within each sub-band."""
        return SubspectralNormalization(n_bands, momentum=NORM_MOMENTUM, name=name)(x)

    def frequency_mean(self, x: Tensor, name: str) -> Tensor:
        """Return the mean over frequency, a map of one band."""
        return FrequencyMean(name=name)(x)

    def residual_norm(self, x: Tensor, name: str, weight: float) -> Tensor:
        """Apply residual normalization."""
        return ResidualNormalization(weight, name=name)(x)

    def classifier(self, x: Tensor, n_classes: int) -> Tensor:
        """Return the logits; the trainer finds them by the layer's name."""
        return self.dense(x, "logits", n_classes)

    def _bottleneck(self, channels: int, name: str, reduction_ratio: int) -> tuple[keras.layers.Dense, ...]:
        """Return the two layers of channel attention."""
        reduce = keras.layers.Dense(
            attention_units(channels, reduction_ratio),
            activation="relu",
            kernel_initializer="he_normal",
            kernel_regularizer=self._penalty,
            name=f"{name}_reduce",
        )
        return reduce, keras.layers.Dense(channels, kernel_regularizer=self._penalty, name=f"{name}_restore")

    def _scaled(self, x: Tensor, name: str, scores: Tensor) -> Tensor:
        """Return `x` scaled by channel by the sigmoid of a vector."""
        scale = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(scores)
        scale = keras.layers.Reshape((1, 1, self.n_channels(x)), name=f"{name}_reshape")(scale)
        return keras.layers.Multiply(name=f"{name}_scale")([x, scale])

    def _normalized(self, x: Tensor, name: str, normalization: Normalization, activation: Activation) -> Tensor:
        if normalization == "batch":
            x = self.norm(x, f"{name}_norm")
        return self.activate(x, name, activation)
