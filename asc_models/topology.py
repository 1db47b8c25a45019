"""The layers of a network, from its description alone: shapes, parameters, multiply–accumulates. No framework.

`asc_models.builder` builds the same networks in Keras; tests hold the two together, parameter for parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from asc_models.config import BaselineConfig, ModelConfig, Stride, stride_pair

AnyModelConfig = ModelConfig | BaselineConfig
Shape = tuple[int, int, int]
"""(frequency, time, channels)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that holds weights, as it stands in the exported file: batch norm folded into it."""

    name: str
    kind: Literal["conv", "depthwise", "dense"]
    output_shape: Shape
    n_params: int
    """Values in the Keras model, batch norm's four vectors included."""
    macs: int
    n_kernel: int
    """Values of the kernel."""
    n_bias: int
    """Values of the bias after folding; 0 where there is none."""
    n_live: int
    """Activation values alive while it runs: its input, its output, and whatever waits for later."""

    @property
    def n_zero_bias(self) -> int:
        """Zeros that the converter adds: a convolution of a TFLite file always has a bias."""
        return self.output_shape[2] if self.kind != "dense" and not self.n_bias else 0


def layers(config: AnyModelConfig, input_shape: Shape, n_classes: int) -> tuple[Layer, ...]:
    """Return the weighted layers of a network, first to last.

    Args:
        config: the network.
        input_shape: (n_mels, n_frames, n_channels) at inference.
        n_classes: scenes that it tells apart.
    """
    if isinstance(config, BaselineConfig):
        return tuple(_baseline(config, input_shape, n_classes))
    return tuple(_inverted_residual(config, input_shape, n_classes))


def attention_units(n_channels: int, reduction_ratio: int) -> int:
    """Return the hidden neurons of channel attention: C // r, at least 1."""
    return max(1, n_channels // reduction_ratio)


def same_shape(shape: Shape, stride: Stride, filters: int) -> Shape:
    """Return the output shape of a 'same'-padded convolution."""
    frequency, time = stride_pair(stride)
    return -(-shape[0] // frequency), -(-shape[1] // time), filters


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _inverted_residual(config: ModelConfig, input_shape: Shape, n_classes: int) -> Iterator[Layer]:
    shape = same_shape(input_shape, config.stem_stride, config.stem_filters)
    yield _conv("stem", input_shape, shape, kernel_size=3, normalized=True)
    for number, block in enumerate(config.blocks, start=1):
        name = f"block{number}"
        entry, wide = shape, shape
        skip = _size(entry) if block_has_skip(entry[2], block.filters, block.stride) else 0
        if config.expansion > 1:
            wide = (*shape[:2], shape[2] * config.expansion)
            yield _conv(f"{name}.expand", shape, wide, kernel_size=1, normalized=True)
        narrow = same_shape(wide, block.stride, wide[2])
        yield _depthwise(f"{name}.depthwise", wide, narrow, config.kernel_size, waiting=skip)
        shape = (*narrow[:2], block.filters)
        yield _conv(f"{name}.project", narrow, shape, kernel_size=1, normalized=True, waiting=skip)
        yield from _attention(f"{name}.", config, shape)
    yield _dense("classifier", shape[2], n_classes, uses=1, live=shape[2] + n_classes)


def block_has_skip(n_channels: int, filters: int, stride: Stride) -> bool:
    """True where a block's input can be added to its output."""
    return n_channels == filters and stride_pair(stride) == (1, 1)


def _attention(prefix: str, config: ModelConfig, shape: Shape) -> Iterator[Layer]:
    channels = shape[2]
    if config.attention in ("channel", "casam"):
        hidden = attention_units(channels, config.reduction_ratio)
        live = _size(shape) + 2 * (channels + hidden)
        yield _dense(f"{prefix}channel_attention.reduce", channels, hidden, uses=2, live=live)
        yield _dense(f"{prefix}channel_attention.restore", hidden, channels, uses=2, live=live)
    if config.attention in ("spatial", "casam"):
        pooled = (*shape[:2], 2)
        mask = (*shape[:2], 1)
        yield _conv(
            f"{prefix}spatial_attention",
            pooled,
            mask,
            kernel_size=config.spatial_kernel_size,
            normalized=False,
            biased=False,
            waiting=_size(shape),
        )


def _baseline(config: BaselineConfig, input_shape: Shape, n_classes: int) -> Iterator[Layer]:
    shape = input_shape
    for number, filters in enumerate(config.filters, start=1):
        output = (*shape[:2], filters)
        yield _conv(f"conv{number}", shape, output, kernel_size=7, normalized=True, biased=True)
        shape = output
        if number > 1:
            pool = config.pools[number - 2]
            shape = (shape[0] // pool[0], shape[1] // pool[1], filters)
    yield _dense("dense", _size(shape), config.dense_units, uses=1, live=_size(shape) + config.dense_units)
    yield _dense("classifier", config.dense_units, n_classes, uses=1, live=config.dense_units + n_classes)


def _conv(
    name: str,
    source: Shape,
    target: Shape,
    *,
    kernel_size: int,
    normalized: bool,
    biased: bool = False,
    waiting: int = 0,
) -> Layer:
    kernel = kernel_size**2 * source[2] * target[2]
    return Layer(
        name=name,
        kind="conv",
        output_shape=target,
        n_params=kernel + target[2] * (4 * normalized + biased),
        macs=kernel * target[0] * target[1],
        n_kernel=kernel,
        n_bias=target[2] if normalized or biased else 0,
        n_live=_size(source) + _size(target) + waiting,
    )


def _depthwise(name: str, source: Shape, target: Shape, kernel_size: int, *, waiting: int) -> Layer:
    kernel = kernel_size**2 * source[2]
    return Layer(
        name=name,
        kind="depthwise",
        output_shape=target,
        n_params=kernel + 4 * target[2],
        macs=kernel * target[0] * target[1],
        n_kernel=kernel,
        n_bias=target[2],
        n_live=_size(source) + _size(target) + waiting,
    )


def _dense(name: str, n_inputs: int, n_outputs: int, *, uses: int, live: int) -> Layer:
    return Layer(
        name=name,
        kind="dense",
        output_shape=(1, 1, n_outputs),
        n_params=n_inputs * n_outputs + n_outputs,
        macs=uses * n_inputs * n_outputs,
        n_kernel=n_inputs * n_outputs,
        n_bias=n_outputs,
        n_live=live,
    )
