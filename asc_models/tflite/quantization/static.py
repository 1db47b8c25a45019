"""Full int8: integer convolutions with measured ranges, and float arithmetic for the sensitive operators.

The stock tools' full int8 fails on networks with attention for three reasons:

1. The converter propagates one scale backwards through concatenation, maximum and multiplication, which clips feature
   maps. Here the arithmetic of attention, skip sums and global statistics stay float (their dense layers and masks have
   int8 kernels): they cost little, and the quantizer has no integer maximum. The linear 1 × 1 projections before them
   stay float, too, so that the map scaled by attention is never rounded.
2. A ReLU that is dead on every calibration clip gets a scale of 1e-8, which XNNPACK rejects. Here every range is at
   least as large as a convolution's integer arithmetic can rescale to, and the range of every kernel channel is large
   enough to express its bias.
3. The quantizer's own calibration uses a moving average of extremes, which covers about half the true range. Here the
   true ranges are used (calibration.py).

SOFTMAX and the logits stay float, since int8 logits worsen the log loss. A first convolution on several channels stays
float, since log-mel and its deltas would share one scale, of which the deltas use a tenth. Input and output of the file
are float. The remaining bias of the logits is removed afterwards (correction.py).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from asc_models.tflite.flatbuffer import Graph, Operator, TfliteFile
from asc_models.tflite.quantization.calibration import Ranges, tensor_ranges
from data_prep.reader.reader import FeatureSet

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
ACTIVATIONS = ("HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6")
"""Activations that are separate operators after a convolution without a fused activation."""
BETWEEN = ("MAX_POOL_2D", "HARD_SWISH")
"""Operators between integer convolutions that are computed in integers, too."""

WINDOWING = ("STRIDED_SLICE", "SLICE", "CONCATENATION")
"""Operators that cut windows out of the file's input and stack them."""

LARGEST_RESCALING = 1.0
"""Largest factor from an integer convolution's accumulator to its output. XNNPACK accepts less than 256; trained layers
have a few thousandths."""
SMALLEST_RESCALING = 2.0**-30
"""Smallest such factor; XNNPACK accepts 2⁻³² and more."""
LARGEST_BIAS = 2.0**28
"""Largest integer bias, in units of input scale times kernel scale: an eighth of the int32 range, which leaves room for
the sum of products."""


def static_recipe(content: bytes, clips: FeatureSet) -> tuple[Any, Ranges]:
    """Return the recipe and the ranges for full int8 quantization of a float32 file.

    Args:
        content: the float32 file.
        clips: calibration clips from the training split.

    Raises:
        ExportError: if an activation is not finite on the calibration clips.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    graph = TfliteFile(content, "the float32 file").graph
    recipe = recipe_manager.RecipeManager()
    recipe.add_weight_only_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8)
    for operator in graph.operators:
        if operator.name in BETWEEN or (operator.name in CONVOLUTIONS and not _stays_float(graph, operator)):
            recipe.add_static_config(scope_of(graph, operator), qtyping.TFLOperationName(operator.name), 8, 8)
    return recipe, _within_reach(graph, tensor_ranges(content, clips))


def scope_of(graph: Graph, operator: Operator) -> str:
    """Return the regular expression that matches one operator. The quantizer matches the names of the operator's
    outputs, each followed by a semicolon."""
    return "^" + re.escape(graph.name(operator.outputs[0])) + ";?$"


def _stays_float(graph: Graph, operator: Operator) -> bool:
    """Return True for linear convolutions that are 1 × 1 or have one output channel (projections, masks, classifiers),
    and for a first convolution on several channels."""
    if operator.name != "CONV_2D":
        return False
    n_outputs, height, width, n_inputs = graph.shape(operator.inputs[1])
    if _reads_computed(graph, operator.inputs[0]):
        activated = any(reader.name in ACTIVATIONS for reader in graph.readers(operator.outputs[0]))
        is_linear = operator.options.fusedActivationFunction == 0 and not activated
        return is_linear and (height * width == 1 or n_outputs == 1)
    return n_inputs > 1


def _reads_computed(graph: Graph, tensor: int) -> bool:
    """Return True unless a tensor is the file's input or windows of it."""
    made = [operator for operator in graph.operators if tensor in operator.outputs]
    return any(
        operator.name not in WINDOWING or any(_reads_computed(graph, source) for source in operator.inputs)
        for operator in made
    )


def _within_reach(graph: Graph, ranges: Ranges) -> Ranges:
    """Return the ranges, widened where int32 arithmetic could not rescale between them, and the kernels' ranges."""
    widened = {name: dict(limits) for name, limits in ranges.items()}
    for operator in graph.operators:
        if operator.name == "MAX_POOL_2D":  # has the scale of its input, which may have been widened
            source, target = (graph.name(tensor) for tensor in (operator.inputs[0], operator.outputs[0]))
            widened[target] = dict(widened[source])
        if operator.name not in CONVOLUTIONS:
            continue
        source, target = (graph.name(tensor) for tensor in (operator.inputs[0], operator.outputs[0]))
        axis = 0 if operator.name == "CONV_2D" else 3
        kernel = np.abs(graph.floats(operator.inputs[1]))
        largest = kernel.max(axis=tuple(set(range(4)) - {axis}), keepdims=True)
        source_step = max(_span(widened[source]) / 255, 1e-9)
        bias = np.abs(graph.floats(operator.inputs[2])).reshape(largest.shape)
        reach = np.maximum(largest, 127 * bias / source_step / LARGEST_BIAS)
        # The output step must not be much smaller than the accumulator's, input step · kernel step (reach / 127).
        floor = 255 * source_step * float(reach.max()) / 127 / LARGEST_RESCALING
        limits = widened[target]
        limits["max"] = np.maximum(limits["max"], np.minimum(limits["min"], 0) + np.float32(max(floor, 1e-6)))
        least = 127 * _span(limits) / 255 / source_step * SMALLEST_RESCALING
        reach = np.maximum(reach, least).astype(np.float32)
        widened[graph.name(operator.inputs[1])] = {"min": -reach, "max": reach}
    return widened


def _span(limits: dict[str, Any]) -> float:
    """Return the width of a range extended to include 0, as quantized ranges do."""
    return float(max(limits["max"].item(), 0.0) - min(limits["min"].item(), 0.0))
