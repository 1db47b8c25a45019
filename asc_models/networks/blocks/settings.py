"""What a block is told, and what it looks like."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from asc_models.networks.network import Activation, Network, Normalization, Stride, T, stride_pair


class BlockSettings(NamedTuple):
    """The settings of one block; those that a block has no use for it leaves alone."""

    filters: int
    stride: Stride
    kernel_size: int
    expansion: int
    normalization: Normalization
    activation: Activation


class Block(Protocol):
    """A function from a feature map to a feature map, its layers called `name`_…."""

    def __call__(self, net: Network[T], x: T, name: str, settings: BlockSettings) -> T:
        """Return the block's output."""


def has_skip(n_channels: int, settings: BlockSettings) -> bool:
    """True where a block's input has the shape of its output and can be added to it."""
    return n_channels == settings.filters and stride_pair(settings.stride) == (1, 1)
