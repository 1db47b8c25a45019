"""Exact size and cost of a network before it exists: closed forms, microseconds, no framework."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from asc_models.config import DYNAMIC_RANGE_MIN_VALUES, EXPORT_MODES, INT4_MIN_VALUES, ExportMode
from asc_models.networks.network import NetworkConfig
from asc_models.networks.topology import Counter, Layer, Shape, count, layers
from asc_models.rules import Quantity, RulesConfig, Verdict, check
from data_prep.config import Windows


@dataclass(frozen=True)
class Estimate:
    """What a network will weigh and cost.

    `weight_bytes` is what `asc_models.tflite.measure` reads from the exported file, to the byte; for non-zero weight
    bytes it is an upper bound. MACs count convolutions and dense layers per inference at the full input, in all windows
    where the network votes over some; pooling and element-wise work stand apart. `peak_activation_bytes` counts float32
    activations that live together, the input all along and those of all windows; scratch space of kernels comes on top
    (tests/arena_support.py measures a file's).
    """

    config: NetworkConfig
    input_shape: Shape
    n_classes: int
    n_params: int
    macs: int
    peak_activation_bytes: int
    keras_float16_bytes: int
    """As the challenge's printer of 2021 counted a Keras model: float16, but batch norm in float32 and not folded."""
    counted: Counter
    """What its layers hold together."""
    windows: Windows | None = None
    """By which it votes on an input; None where it takes the input whole."""

    @cached_property
    def weight_bytes(self) -> dict[ExportMode, int]:
        """{export mode: bytes of weights in its file}."""
        return {mode: self.weight_bytes_as(mode) for mode in EXPORT_MODES}

    def weight_bytes_as(self, mode: ExportMode) -> int:
        """Return the bytes of weights in the file of one mode; a search asks for no other."""
        return _weight_bytes(self.counted, mode)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The weighted layers, first to last; found when they are asked for."""
        return layers(self.config, self.input_shape, self.n_classes, self.windows)

    def quantities(self, mode: ExportMode) -> dict[str, int]:
        """Return {quantity: value} for the size rules; non-zero bytes by their upper bound."""
        weight_bytes = self.weight_bytes_as(mode)
        return {
            "weight_bytes": weight_bytes,
            "nonzero_weight_bytes": weight_bytes,
            "n_params": self.n_params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes,
        }

    def largest(self, quantity: Quantity, mode: ExportMode) -> tuple[Layer, int]:
        """Return the layer with the largest part in `quantity`, and that part in the quantity's unit.

        Of activation bytes that is the layer that runs at the peak.
        """
        parts = [self._part(layer, quantity, mode) for layer in self.layers]
        return self.layers[parts.index(max(parts))], max(parts)

    def verdict(self, rules: RulesConfig, mode: ExportMode) -> Verdict:
        """Return whether the network, exported as `mode`, is within `rules`; what is over names its largest layer."""
        return check(rules, self.quantities(mode), lambda quantity: self._largest_named(quantity, mode), modes=(mode,))

    def _part(self, layer: Layer, quantity: Quantity, mode: ExportMode) -> int:
        if quantity == "n_params":
            return layer.n_params
        if quantity == "macs":
            return layer.macs
        return 4 * layer.n_live if quantity == "peak_activation_bytes" else layer_bytes(layer, mode)

    def _largest_named(self, quantity: Quantity, mode: ExportMode) -> str:
        layer, value = self.largest(quantity, mode)
        return f"{layer.name} {value:,}"


def estimate(config: NetworkConfig, input_shape: Shape, n_classes: int, windows: Windows | None = None) -> Estimate:
    """Return the size and cost of `config` on inputs of `input_shape` (n_mels, n_frames, n_channels).

    Args:
        config: the network.
        input_shape: of the exported file, which takes a clip.
        n_classes: scenes that it tells apart.
        windows: by which it votes on a clip; None where it takes the clip whole.

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
    )


def layer_bytes(layer: Layer, mode: ExportMode) -> int:
    """Return the bytes of one layer's kernel and bias in the exported file."""
    n_kernel = kernel_bytes(layer.n_kernel, mode, is_depthwise=layer.kind == "depthwise")
    return n_kernel + layer.n_bias * bias_width(mode)


def kernel_bytes(n_values: int, mode: ExportMode, *, is_depthwise: bool) -> int:
    """Return the bytes of a kernel; in int4, two values share one, and a single last value has one to itself."""
    if mode == "int4_int8_weights" and n_values >= INT4_MIN_VALUES and not is_depthwise:
        return -(-n_values // 2)
    if mode == "dynamic_range" and n_values < DYNAMIC_RANGE_MIN_VALUES:
        return 4 * n_values
    return n_values * {"float32": 4, "float16": 2}.get(mode, 1)


def bias_width(mode: ExportMode) -> int:
    """Return the bytes of one value of a bias, a norm or a factor: float32 wherever kernels are integers."""
    return 2 if mode == "float16" else 4


def _weight_bytes(counted: Counter, mode: ExportMode) -> int:
    # The converter adds zeros where a convolution has no bias, and merges vectors of equal length into one buffer.
    n_bytes = (counted.n_bias + sum(set(counted.zero_biases))) * bias_width(mode)
    if mode in _BY_SIZE:
        n_bytes += sum(kernel_bytes(n, mode, is_depthwise=False) for n in counted.kernels)
        return n_bytes + sum(kernel_bytes(n, mode, is_depthwise=True) for n in counted.depthwise_kernels)
    return n_bytes + kernel_bytes(counted.n_kernel, mode, is_depthwise=False)


_BY_SIZE: tuple[ExportMode, ...] = ("dynamic_range", "int4_int8_weights")
"""Modes that treat a kernel by its size; in the others all kernels are alike, and their sum will do."""
