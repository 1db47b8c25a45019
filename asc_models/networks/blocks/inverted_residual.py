"""The inverted residual block of MobileNetV2 (Sandler et al. 2018): 1 × 1 widening, depthwise, 1 × 1 projection."""

from __future__ import annotations

from asc_models.networks.blocks.settings import BlockSettings, has_skip
from asc_models.networks.network import Network, T


def assemble(net: Network[T], x: T, name: str, settings: BlockSettings) -> T:
    """Return the block's output. An expansion of 1 omits the widening; by default the projection has no activation."""
    entry, n_channels = x, net.n_channels(x)
    skips = has_skip(n_channels, settings)
    normalization, activation = settings.normalization, settings.activation
    if skips:
        net.keep(entry)
    if settings.expansion > 1:
        wide = n_channels * settings.expansion
        x = net.conv(x, f"{name}_expand", wide, 1, normalization=normalization, activation=activation)
    x = net.depthwise(
        x,
        f"{name}_depthwise",
        settings.kernel_size,
        stride=settings.stride,
        normalization=normalization,
        activation=activation,
        branches=settings.depthwise_branches,
    )
    last = activation if settings.projection_activation else "none"
    x = net.conv(x, f"{name}_project", settings.filters, 1, normalization=normalization, activation=last)
    return net.add(x, entry, f"{name}_skip") if skips else x
