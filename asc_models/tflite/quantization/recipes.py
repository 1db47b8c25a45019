"""Recipes of ai-edge-quantizer for kernels alone, by operator, and their application to float32 TFLite files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.config import INT4_MIN_VALUES
from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import Graph, Operator, TfliteFile
from asc_models.tflite.quantization.static import scope_of
from asc_models.tflite.quiet import quiet

UP_TO_LARGEST = "min_max_uniform_quantize"
"""The quantizer's algorithm for ranges up to the largest weight of a channel."""
ROUNDED_TOLERANCE = 1e-4
"""Largest distance of a rounded weight from an integer, in steps; float32 errs by 1e-6."""


def int8_weights() -> Any:
    """Return the recipe for per-channel int8 kernels and float activations."""
    from ai_edge_quantizer import qtyping, recipe_manager

    recipe = recipe_manager.RecipeManager()
    recipe.add_weight_only_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8)
    return recipe


def mixed_weights(content: bytes, ranges: str = "OCTAV", kernels: Collection[int] | None = None) -> Any:
    """Return the recipe for large kernels in int4, small and depthwise ones in int8.

    Kernels that training has rounded to int4 (`train.int4_share`) keep their integers.

    Args:
        content: the float32 file.
        ranges: the quantizer's algorithm for the ranges of the other int4 kernels. OCTAV (Sakr et al., "Optimal
            clipping and magnitude-aware differentiation", 2022) clips outliers where that minimizes the squared error;
            `asc`'s networks lose half as much by it as by ranges up to the largest weight
            (tests/benchmarks/int4_ranges.py).
        kernels: buffers of the large kernels that are int4 (`large_kernels`), the others being int8; None means all.
    """
    from ai_edge_quantizer import qtyping

    recipe = int8_weights()
    graph = TfliteFile(content, "the float32 file").graph
    for kernel, operators in large_kernels(graph).items():
        if kernels is None or kernel in kernels:
            key = UP_TO_LARGEST if is_rounded(graph.floats(operators[0].inputs[1])) else ranges
            for operator in operators:
                recipe.add_weight_only_config(
                    scope_of(graph, operator), qtyping.TFLOperationName(operator.name), 4, algorithm_key=key
                )
    return recipe


def is_rounded(kernel: npt.NDArray[np.float32]) -> bool:
    """Return whether every weight is a multiple of a seventh of the largest of its output channel.

    Args:
        kernel: weights in the file's order, shape (n_channels, …).
    """
    step = np.abs(kernel).reshape(len(kernel), -1).max(axis=1) / 7
    multiples = kernel.reshape(len(kernel), -1)[step > 0] / step[step > 0, None]
    return bool(np.abs(multiples - np.rint(multiples)).max(initial=0.0) < ROUNDED_TOLERANCE)


def large_kernels(graph: Graph) -> Mapping[int, Sequence[Operator]]:
    """Return {buffer: operators that read it} of the kernels that can be int4, in the order of the graph.

    Those are kernels of convolutions and dense layers with `INT4_MIN_VALUES` values or more, but not of depthwise
    convolutions. Shared channel attention and recurrent units read a kernel several times.
    """
    found: dict[int, list[Operator]] = defaultdict(list)
    for operator in graph.operators:
        if operator.name in ("CONV_2D", "FULLY_CONNECTED") and _n_values(graph, operator.inputs[1]) >= INT4_MIN_VALUES:
            found[graph.buffer(operator.inputs[1])].append(operator)
    return found


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
