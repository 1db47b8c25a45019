"""Description → Keras model. Layer for layer what `asc_models.topology` counts."""

from __future__ import annotations

from typing import Any

import keras

from asc_models.config import BaselineConfig, ModelConfig
from asc_models.layers import ChannelStatistics, FusedBatchNormalization
from asc_models.topology import AnyModelConfig, Shape, attention_units, block_has_skip

Tensor = Any

NORM_MOMENTUM = 0.95
"""Of batch norm's running statistics. Keras' 0.99 takes some 500 steps to forget its start: a trial on a small data set
reaches its first rung in a hundred, and would be compared by statistics that are mostly initial values."""


def build(config: AnyModelConfig, input_shape: Shape, n_classes: int, *, weight_decay: float = 0.0) -> keras.Model:
    """Return a model from (batch, n_mels, n_frames, n_channels) to probabilities (batch, n_classes).

    The number of frames is left open, so that training may crop in time. The layer before the softmax is called
    `logits`.

    Args:
        config: the network.
        input_shape: (n_mels, n_frames, n_channels) at inference.
        n_classes: scenes that it tells apart.
        weight_decay: L2 penalty on every kernel.
    """
    penalty = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    if isinstance(config, BaselineConfig):
        inputs, features = _baseline(config, input_shape, penalty)
    else:
        inputs, features = _inverted_residual(config, input_shape, penalty)
    logits = keras.layers.Dense(n_classes, name="logits", kernel_regularizer=penalty)(features)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits), name=config.family)


def _inverted_residual(config: ModelConfig, input_shape: Shape, penalty: Any) -> tuple[Tensor, Tensor]:
    inputs = keras.Input((input_shape[0], None, input_shape[2]), name="log_mel")
    x = _conv(inputs, config.stem_filters, 3, "stem", penalty, strides=config.stem_stride)
    for number, block in enumerate(config.blocks, start=1):
        name = f"block{number}"
        entry = x
        if config.expansion > 1:
            x = _conv(x, x.shape[-1] * config.expansion, 1, f"{name}_expand", penalty)
        x = keras.layers.DepthwiseConv2D(
            config.kernel_size,
            strides=block.stride,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
            depthwise_regularizer=penalty,
            name=f"{name}_depthwise",
        )(x)
        x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(_norm(x, f"{name}_depthwise"))
        x = _conv(x, block.filters, 1, f"{name}_project", penalty, activation=False)
        if block_has_skip(entry.shape[-1], block.filters, block.stride):
            x = keras.layers.Add(name=f"{name}_skip")([entry, x])
        x = _attention(x, config, name, penalty)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return inputs, keras.layers.Dropout(config.dropout, name="dropout")(x) if config.dropout else x


def _attention(x: Tensor, config: ModelConfig, name: str, penalty: Any) -> Tensor:
    """Return `x` scaled by channel attention, then by spatial attention (CBAM: Woo et al. 2018), as configured."""
    if config.attention in ("channel", "casam"):
        channels = x.shape[-1]
        prefix = f"{name}_channel_attention"
        reduce = keras.layers.Dense(
            attention_units(channels, config.reduction_ratio),
            activation="relu",
            kernel_initializer="he_normal",
            kernel_regularizer=penalty,
            name=f"{prefix}_reduce",
        )
        restore = keras.layers.Dense(channels, kernel_regularizer=penalty, name=f"{prefix}_restore")
        average = restore(reduce(keras.layers.GlobalAveragePooling2D(name=f"{prefix}_average")(x)))
        maximum = restore(reduce(keras.layers.GlobalMaxPooling2D(name=f"{prefix}_maximum")(x)))
        scale = keras.layers.Activation("sigmoid", name=f"{prefix}_sigmoid")(keras.layers.Add()([average, maximum]))
        scale = keras.layers.Reshape((1, 1, channels), name=f"{prefix}_reshape")(scale)
        x = keras.layers.Multiply(name=f"{prefix}_scale")([x, scale])
    if config.attention in ("spatial", "casam"):
        prefix = f"{name}_spatial_attention"
        mask = keras.layers.Conv2D(
            1,
            config.spatial_kernel_size,
            padding="same",
            activation="sigmoid",
            use_bias=False,
            kernel_regularizer=penalty,
            name=f"{prefix}_conv",
        )(ChannelStatistics(name=f"{prefix}_statistics")(x))
        x = keras.layers.Multiply(name=f"{prefix}_scale")([x, mask])
    return x


def _baseline(config: BaselineConfig, input_shape: Shape, penalty: Any) -> tuple[Tensor, Tensor]:
    inputs = x = keras.Input(input_shape, name="log_mel")
    for number, filters in enumerate(config.filters, start=1):
        x = _conv(x, filters, 7, f"conv{number}", penalty, biased=True)
        if number > 1:
            x = keras.layers.MaxPooling2D(config.pools[number - 2], name=f"pool{number}")(x)
            x = keras.layers.Dropout(config.dropout, name=f"dropout{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(config.dense_units, activation="relu", kernel_regularizer=penalty, name="dense")(x)
    return inputs, keras.layers.Dropout(config.dropout, name="dropout")(x)


def _conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    penalty: Any,
    *,
    strides: Any = 1,
    activation: bool = True,
    biased: bool = False,
) -> Tensor:
    """Return convolution, batch norm and, unless `activation` is false, ReLU."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=biased,
        kernel_initializer="he_normal",
        kernel_regularizer=penalty,
        name=name,
    )(x)
    x = _norm(x, name)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _norm(x: Tensor, name: str) -> Tensor:
    return FusedBatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm")(x)
