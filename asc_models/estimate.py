"""Exact size and cost of a network before it exists: closed forms, microseconds, no framework."""

from __future__ import annotations

from dataclasses import dataclass

from asc_models.config import EXPORT_MODES, ExportMode
from asc_models.errors import SizeError
from asc_models.topology import AnyModelConfig, Layer, Shape, layers

KERNEL_BYTES: dict[ExportMode, int] = {"float32": 4, "float16": 2, "int8_weights": 1}
BIAS_BYTES: dict[ExportMode, int] = {"float32": 4, "float16": 2, "int8_weights": 4}
"""Biases stay float32 in weight-only int8 files."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a network will weigh and cost.

    `weight_bytes` is what `asc_models.measure` reads from the exported file, to the byte; for non-zero weight bytes
    it is an upper bound. MACs count convolutions and dense layers per inference at the full input; pooling and
    element-wise work stand apart. `peak_activation_bytes` counts float32 activations that live together.
    """

    input_shape: Shape
    n_params: int
    macs: int
    peak_activation_bytes: int
    weight_bytes: dict[ExportMode, int]
    layers: tuple[Layer, ...]

    def quantities(self, mode: ExportMode) -> dict[str, int]:
        """Return {quantity: value} for the size rules; non-zero bytes by their upper bound."""
        return {
            "weight_bytes": self.weight_bytes[mode],
            "nonzero_weight_bytes": self.weight_bytes[mode],
            "n_params": self.n_params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes,
        }

    def largest_layer(self) -> Layer:
        """Return the layer with the most weights."""
        return max(self.layers, key=lambda layer: layer.n_kernel + layer.n_bias)


def estimate(config: AnyModelConfig, input_shape: Shape, n_classes: int) -> Estimate:
    """Return the size and cost of `config` on inputs of `input_shape` (n_mels, n_frames, n_channels).

    Raises:
        SizeError: if the input is so small that pooling leaves nothing of it.
    """
    table = layers(config, input_shape, n_classes)
    if any(min(layer.output_shape) < 1 or layer.n_kernel < 1 for layer in table):
        raise SizeError(f"an input of {input_shape} is too small for this network: its pooling leaves nothing of it")
    return Estimate(
        input_shape=input_shape,
        n_params=sum(layer.n_params for layer in table),
        macs=sum(layer.macs for layer in table),
        peak_activation_bytes=4 * max(layer.n_live for layer in table),
        weight_bytes={mode: _weight_bytes(table, mode) for mode in EXPORT_MODES},
        layers=table,
    )


def layer_bytes(layer: Layer, mode: ExportMode) -> int:
    """Return the bytes of one layer's kernel and bias in the exported file."""
    return layer.n_kernel * KERNEL_BYTES[mode] + layer.n_bias * BIAS_BYTES[mode]


def _weight_bytes(table: tuple[Layer, ...], mode: ExportMode) -> int:
    # The converter adds zeros where a convolution has no bias, and merges vectors of equal length into one buffer.
    zeros = sum({layer.n_zero_bias for layer in table})
    return sum(layer_bytes(layer, mode) for layer in table) + zeros * BIAS_BYTES[mode]
