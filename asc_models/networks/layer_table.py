"""The layers of a network one by one: the counter of `asc_models.networks.topology`, with a memory."""

from __future__ import annotations

from dataclasses import dataclass

from asc_models.networks.network import NetworkConfig
from asc_models.networks.topology import Counter, LayerKind, Shape
from data_prep.config import Windows


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with weights as in the exported file, with batch norm folded in."""

    name: str
    kind: LayerKind
    output_shape: Shape
    n_params: int
    """Parameters in the Keras model, including the four vectors of batch norm; without branches for training alone."""
    macs: int
    n_kernel: int
    """Number of kernel values."""
    n_bias: int
    """Number of bias values after folding, or of constants of a norm or factor; 0 if there are none."""
    n_live: int
    """Activation values alive while it runs: its input and output, the network's input, and maps kept for later."""
    uses: int = 1
    """Runs per inference; the layers of channel attention run twice, a recurrent layer once per step but the first."""
    is_pruned: bool = False
    """Whether `train.sparsity` prunes its kernel (asc_models.networks.sparsity)."""


def layers(
    config: NetworkConfig, input_shape: Shape, n_classes: int, windows: Windows | None = None
) -> tuple[Layer, ...]:
    """Return the layers with weights of a network, first to last; arguments and errors as in `count`."""
    table = _Table(input_shape, windows)
    config.assemble(table, table.entry, n_classes)
    return tuple(table.layers)


class _Table(Counter):
    """A counter that also records every layer."""

    def __init__(self, input_shape: Shape, windows: Windows | None = None) -> None:
        super().__init__(input_shape, windows)
        self.layers: list[Layer] = []

    def _weigh(
        self, name: str, kind: LayerKind, x: Shape, y: Shape, n_params: int, n_kernel: int, n_bias: int, uses: int
    ) -> int:
        n_live = super()._weigh(name, kind, x, y, n_params, n_kernel, n_bias, uses)
        macs = uses * n_kernel * y[0] * y[1] * self._n_windows
        is_pruned = self._prunes(kind, n_kernel)
        self.layers.append(Layer(name, kind, y, n_params, macs, n_kernel, n_bias, n_live, uses, is_pruned))
        return n_live
