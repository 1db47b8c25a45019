"""Registry of the blocks of residual networks, one module each.

A block is a function from a feature map to a feature map. To add one, write it in a new module and register it in
`BLOCKS`; `block: NAME` in a network's description then selects it, and the conformance tests cover it.
"""

from __future__ import annotations

from asc_models.networks.blocks import inverted_residual, residual
from asc_models.networks.blocks.settings import Block

BLOCKS: dict[str, Block] = {
    "inverted_residual": inverted_residual.assemble,
    "residual": residual.assemble,
}
