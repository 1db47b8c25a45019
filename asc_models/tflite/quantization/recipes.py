"""Quantization of float32 TFLite files with ai-edge-quantizer: one recipe per mode, by operator."""

from __future__ import annotations

from typing import Any

from asc_models.config import CALIBRATED_MODES, INT4_MIN_VALUES, ExportMode
from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import Graph, TfliteFile
from asc_models.tflite.quantization.correction import with_corrected_bias
from asc_models.tflite.quantization.static import scope_of, static_recipe
from asc_models.tflite.quiet import quiet
from data_prep.reader.reader import FeatureSet


def quantize(content: bytes, mode: ExportMode, calibration: FeatureSet | None = None) -> bytes:
    """Return a float32 TFLite file quantized in one of the quantizer's modes.

    Args:
        content: the float32 file.
        mode: `int8_weights`, `int4_int8_weights` or `int8`.
        calibration: clips of the training split, for modes that need them (asc_models.config.CALIBRATED_MODES).

    Raises:
        ExportError: if the quantizer fails, or `mode` needs calibration clips and none are given.
    """
    if mode == "int8_weights":
        return apply(content, _weights())
    if mode not in CALIBRATED_MODES:
        raise ValueError(f"the quantizer makes int8_weights and {', '.join(CALIBRATED_MODES)}, not {mode}")
    if calibration is None:
        raise ExportError(f"export as {mode} needs calibration clips: training clips, drawn by draw_calibration")
    if mode == "int4_int8_weights":
        return with_corrected_bias(content, calibration, lambda floats: apply(floats, mixed_weights(floats)))
    recipe, ranges = static_recipe(content, calibration)
    # The quantizer modifies the ranges passed to it.
    return with_corrected_bias(
        content, calibration, lambda floats: apply(floats, recipe, {name: dict(ends) for name, ends in ranges.items()})
    )


def _weights() -> Any:
    """Return the recipe for per-channel int8 kernels and float activations."""
    from ai_edge_quantizer import qtyping, recipe_manager

    recipe = recipe_manager.RecipeManager()
    recipe.add_weight_only_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8)
    return recipe


def mixed_weights(content: bytes, ranges: str = "OCTAV") -> Any:
    """Return the recipe for large kernels in int4, small and depthwise ones in int8.

    Args:
        content: the float32 file.
        ranges: the quantizer's algorithm for the ranges of int4 kernels. OCTAV (Sakr et al., "Optimal clipping and
            magnitude-aware differentiation", 2022) clips outliers where that minimizes the squared error; `asc`'s
            networks lose half as much by it as by ranges up to the largest weight (tests/benchmarks/int4_ranges.py).
    """
    from ai_edge_quantizer import qtyping

    recipe = _weights()
    graph = TfliteFile(content, "the float32 file").graph
    for operator in graph.operators:
        if operator.name in ("CONV_2D", "FULLY_CONNECTED") and _n_values(graph, operator.inputs[1]) >= INT4_MIN_VALUES:
            recipe.add_weight_only_config(
                scope_of(graph, operator), qtyping.TFLOperationName(operator.name), 4, algorithm_key=ranges
            )
    return recipe


def apply(content: bytes, recipe: Any, ranges: dict[str, Any] | None = None) -> bytes:
    """Return `content` quantized by `recipe`.

    Args:
        content: a float32 TFLite file.
        recipe: recipe manager of the quantizer.
        ranges: {tensor: {"min", "max"}}, if activations are quantized.

    Raises:
        ExportError: if the quantizer fails.
    """
    from ai_edge_quantizer import quantizer

    try:
        with quiet():
            tool = quantizer.Quantizer(content)
            tool.load_quantization_recipe(recipe.get_quantization_recipe())
            result = tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
            return bytes(result.quantized_model)
    except Exception as error:  # the quantizer has no exception class of its own
        raise ExportError(f"the quantizer refused the file: {error}") from error


def _n_values(graph: Graph, tensor: int) -> int:
    data = graph.data(tensor)
    return 0 if data is None else data.size // 4
