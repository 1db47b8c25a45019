"""The blocks that a residual network can be stacked from: one file each, entered here.

A block is a function from a feature map to a feature map. To add one, write it in a file of its own and give it a name
in `BLOCKS`: `block: NAME` in a network's description then builds it, and the conformance tests run over it.
"""

from __future__ import annotations

from asc_models.networks.blocks import inverted_residual, residual
from asc_models.networks.blocks.settings import Block

BLOCKS: dict[str, Block] = {
    "inverted_residual": inverted_residual.assemble,
    "residual": residual.assemble,
}
