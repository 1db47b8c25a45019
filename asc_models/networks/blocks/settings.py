"""Interface of blocks: their settings and their signature."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from asc_models.networks.network import Activation, Network, Normalization, Stride, T, stride_pair


class BlockSettings(NamedTuple):
    """Settings of one block; a block ignores those it does not use."""

    filters: int
    """Output channels."""
    stride: Stride
    """Stride of the block; a pair is (frequency, time)."""
    kernel_size: int
    """Kernel size of the spatial convolutions."""
    expansion: int
    """Factor by which the block widens its inner channels."""
    normalization: Normalization
    activation: Activation
    projection_activation: bool = False
    """Whether the activation is applied after the block's projection, too."""
    depthwise_branches: int = 0
    """Convolutions that a depthwise convolution is in training; 0 for itself."""


class Block(Protocol):
    """A function from a feature map to a feature map; its layers are named `name`_…."""

    def __call__(self, net: Network[T], x: T, name: str, settings: BlockSettings) -> T:
        """Return the block's output."""


def has_skip(n_channels: int, settings: BlockSettings) -> bool:
    """Return True if a block's input has the shape of its output, so that they can be added."""
    return n_channels == settings.filters and stride_pair(settings.stride) == (1, 1)
