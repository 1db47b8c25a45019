"""Exact size and cost of a network from its description, in closed form and without a framework."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

from asc_models.config import DYNAMIC_RANGE_MIN_VALUES, EXPORT_MODES, INT4_MIN_VALUES, INT4_MODE, ExportMode
from asc_models.networks.layer_table import Layer, layers
from asc_models.networks.network import NetworkConfig
from asc_models.networks.sparsity import n_zeros
from asc_models.networks.topology import Counter, Shape, count
from asc_models.rules import Quantity, RulesConfig, Verdict, check
from data_prep.config import Windows

KERNEL_OVERHEAD_BYTES = 200
"""Least bytes that a file holds for each kernel beside its weights: the records and shapes of its tensors and
its operator. Files of every mode have 250 to 800 (tests/asc_models/tflite/test_size.py holds the bound to them)."""
LOWER_BOUNDS: tuple[Quantity, ...] = ("file_bytes",)
"""Quantities of which an estimate is a lower bound."""


@dataclass(frozen=True)
class Estimate:
    """Size and cost of a network.

    `weight_bytes` equals what `asc_models.tflite.measure` reads from the exported file, to the byte; with limits for
    int4 (`asc_models.tflite.quantization.mixed`), it is the least that the file may have. The non-zero bytes are an
    upper bound: weights that pruning keeps may be rounded to zero as well.
    """

    config: NetworkConfig
    input_shape: Shape
    n_classes: int
    n_params: int
    macs: int
    """Multiply-accumulates of convolutions and dense layers per inference on the full input, summed over all windows;
    pooling and element-wise operations are not counted."""
    peak_activation_bytes: int
    """Most bytes of float32 activations alive at once, always including the input and all windows. Scratch space of
    kernels is not included (tests/arena_support.py measures it)."""
    keras_float16_bytes: int
    """Size as counted by the challenge's script of 2021: float16, with unfolded batch norm in float32."""
    counted: Counter
    """Totals over its layers."""
    windows: Windows | None = None
    """Windows whose predictions are averaged; None if the network reads whole inputs."""
    sparsity: float = 0.0
    """Share of zeros in the kernels that are pruned."""

    @cached_property
    def weight_bytes(self) -> dict[ExportMode, int]:
        """{export mode: weight bytes of the file}."""
        return {mode: self.weight_bytes_as(mode) for mode in EXPORT_MODES}

    def weight_bytes_as(self, mode: ExportMode) -> int:
        """Return the weight bytes of the file in one mode."""
        return _weight_bytes(self.counted, mode)

    @cached_property
    def nonzero_weight_bytes(self) -> dict[ExportMode, int]:
        """{export mode: most non-zero weight bytes of the file}."""
        return {mode: self.nonzero_weight_bytes_as(mode) for mode in EXPORT_MODES}

    def nonzero_weight_bytes_as(self, mode: ExportMode) -> int:
        """Return the most non-zero weight bytes that the file has in one mode."""
        saved = (pruned_bytes(n_values, mode, self.sparsity) for n_values in self.counted.pruned_kernels)
        return self.weight_bytes_as(mode) - (sum(saved) if self.sparsity else 0)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Layers with weights, first to last; computed on first access."""
        return layers(self.config, self.input_shape, self.n_classes, self.windows)

    def quantities(self, mode: ExportMode) -> dict[str, int]:
        """Return {quantity: value} for the size rules; non-zero bytes are the upper bound, `LOWER_BOUNDS` the lower."""
        weight_bytes = self.weight_bytes_as(mode)
        n_kernels = len(self.counted.kernels) + len(self.counted.depthwise_kernels)
        return {
            "weight_bytes": weight_bytes,
            "nonzero_weight_bytes": self.nonzero_weight_bytes_as(mode),
            "file_bytes": weight_bytes + KERNEL_OVERHEAD_BYTES * n_kernels,
            "n_params": self.n_params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes,
        }

    def largest(self, quantity: Quantity, mode: ExportMode) -> tuple[Layer, int]:
        """Return the layer that contributes most to `quantity`, and its contribution in the quantity's unit.

        For activation bytes this is the layer that runs at the peak.
        """
        parts = [self._part(layer, quantity, mode) for layer in self.layers]
        return self.layers[parts.index(max(parts))], max(parts)

    def verdict(self, rules: RulesConfig, mode: ExportMode) -> Verdict:
        """Return whether the network, exported as `mode`, is within `rules`, with the largest layers if it is not."""
        largest = partial(self._largest_named, mode=mode)
        return check(rules, self.quantities(mode), largest, modes=(mode,), bounds=LOWER_BOUNDS)

    def _part(self, layer: Layer, quantity: Quantity, mode: ExportMode) -> int:
        if quantity == "n_params":
            return layer.n_params
        if quantity == "macs":
            return layer.macs
        if quantity == "peak_activation_bytes":
            return 4 * layer.n_live
        is_smaller = quantity == "nonzero_weight_bytes" and layer.is_pruned
        return layer_bytes(layer, mode) - (pruned_bytes(layer.n_kernel, mode, self.sparsity) if is_smaller else 0)

    def _largest_named(self, quantity: Quantity, mode: ExportMode) -> str:
        layer, value = self.largest(quantity, mode)
        return f"{layer.name} {value:,}"


def estimate(
    config: NetworkConfig,
    input_shape: Shape,
    n_classes: int,
    windows: Windows | None = None,
    *,
    sparsity: float = 0.0,
) -> Estimate:
    """Return the size and cost of `config` on inputs of `input_shape` (n_mels, n_frames, n_channels).

    Args:
        config: the network.
        input_shape: shape of one clip, the input of the exported file.
        n_classes: number of scenes.
        windows: windows whose predictions are averaged; None if the network reads whole clips.
        sparsity: share of zeros that training leaves in the kernels that are pruned (`train.sparsity`).

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    counted = count(config, input_shape, n_classes, windows)
    return Estimate(
        config=config,
        input_shape=input_shape,
        n_classes=n_classes,
        n_params=counted.n_params,
        macs=counted.macs,
        peak_activation_bytes=4 * counted.peak_live,
        keras_float16_bytes=2 * counted.n_params + 2 * counted.n_norm,
        counted=counted,
        windows=windows,
        sparsity=sparsity,
    )


def layer_bytes(layer: Layer, mode: ExportMode) -> int:
    """Return the bytes of one layer's kernel and bias in the exported file."""
    n_kernel = kernel_bytes(layer.n_kernel, mode, is_depthwise=layer.kind == "depthwise")
    return n_kernel + layer.n_bias * bias_width(mode)


def kernel_bytes(n_values: int, mode: ExportMode, *, is_depthwise: bool) -> int:
    """Return the bytes of a kernel; in int4, two values share a byte, rounded up."""
    return -(-n_values * _kernel_bits(n_values, mode, is_depthwise=is_depthwise) // 8)


def is_int4(layer: Layer) -> bool:
    """Return whether `int4_int8_weights` stores the layer's kernel in int4."""
    return _kernel_bits(layer.n_kernel, INT4_MODE, is_depthwise=layer.kind == "depthwise") == 4


def pruned_bytes(n_values: int, mode: ExportMode, sparsity: float) -> int:
    """Return by how much the non-zero bytes of a pruned kernel are fewer than its bytes."""
    n_left = n_values - n_zeros(n_values, sparsity)
    left = -(-n_left * _kernel_bits(n_values, mode, is_depthwise=False) // 8)
    return kernel_bytes(n_values, mode, is_depthwise=False) - left


def _kernel_bits(n_values: int, mode: ExportMode, *, is_depthwise: bool) -> int:
    """Return the bits of one value of a kernel of `n_values`."""
    if mode == INT4_MODE and n_values >= INT4_MIN_VALUES and not is_depthwise:
        return 4
    if mode == "dynamic_range" and n_values < DYNAMIC_RANGE_MIN_VALUES:
        return 32
    return {"float32": 32, "float16": 16}.get(mode, 8)


def bias_width(mode: ExportMode) -> int:
    """Return the bytes of one value of a bias, a norm or a factor: 4 (float32 or int32) in every mode but float16."""
    return 2 if mode == "float16" else 4


def _weight_bytes(counted: Counter, mode: ExportMode) -> int:
    # The converter adds a zero bias to convolutions without one, and merges those of equal length into one buffer.
    n_bytes = (counted.n_bias + sum(set(counted.zero_biases))) * bias_width(mode)
    if mode in _BY_SIZE:
        n_bytes += sum(kernel_bytes(n, mode, is_depthwise=False) for n in counted.kernels)
        return n_bytes + sum(kernel_bytes(n, mode, is_depthwise=True) for n in counted.depthwise_kernels)
    return n_bytes + kernel_bytes(counted.n_kernel, mode, is_depthwise=False)


_BY_SIZE: tuple[ExportMode, ...] = ("dynamic_range", INT4_MODE)
"""Modes in which a kernel's storage depends on its size; the other modes need only the sum over kernels."""
