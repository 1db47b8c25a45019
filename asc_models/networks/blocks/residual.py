"""The basic residual block of ResNet (He et al. 2016): two k × k convolutions, and an activation after the sum."""

from __future__ import annotations

from asc_models.networks.blocks.settings import BlockSettings, has_skip
from asc_models.networks.network import Network, T


def assemble(net: Network[T], x: T, name: str, settings: BlockSettings) -> T:
    """Return the block's output. The first convolution has the stride and `expansion` times the filters."""
    entry, filters = x, settings.filters
    skips = has_skip(net.n_channels(x), settings)
    if skips:
        net.keep(entry)
    x = net.conv(
        x,
        f"{name}_first",
        filters * settings.expansion,
        settings.kernel_size,
        stride=settings.stride,
        normalization=settings.normalization,
        activation=settings.activation,
    )
    x = net.conv(
        x,
        f"{name}_second",
        filters,
        settings.kernel_size,
        normalization=settings.normalization,
        activation="none",
    )
    x = net.add(x, entry, f"{name}_skip") if skips else x
    return net.activate(x, f"{name}_out", settings.activation)
