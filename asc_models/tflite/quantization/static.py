"""Full int8: integer convolutions on ranges that were measured, everything delicate around them in float.

What breaks the stock tools' full int8 on networks with attention, and what stands against it here:

1. The converter forces one scale backwards through concatenation, maximum and multiplication, which clips a feature
   map's values. Here attention's own arithmetic, sums of a skip and global statistics stay float (their dense layers
   and masks with int8 kernels): they cost next to nothing, and the quantizer knows no integer maximum anyway.
   So do the linear 1 × 1 projections in front of them: the map that is scaled by attention is then never rounded.
2. A ReLU that is dead on every calibration clip gets a scale of 1e-8, and XNNPACK refuses the file. Here no range is
   smaller than what a convolution's integer arithmetic can rescale to, and no kernel channel's range smaller than what
   its bias can be expressed in.
3. The quantizer's own calibration is a moving average of extremes, about half the true range. Here ranges are the true
   ones (calibration.py).

SOFTMAX and the logits stay float too: int8 logits cost log loss. So does a first convolution on several channels:
log-mel and its deltas would share one scale, a tenth of which is left for the deltas. Input and output of the file are
float. What bias the rounding leaves in the logits is taken out afterwards (correction.py).
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
"""Activations that are operators of their own, behind a convolution with none fused into it."""
BETWEEN = ("MAX_POOL_2D", "HARD_SWISH")
"""What stands between integer convolutions and is carried out in integers too."""

WINDOWING = ("STRIDED_SLICE", "SLICE", "CONCATENATION")
"""What cuts windows out of the file's input and stacks them."""

LARGEST_RESCALING = 1.0
"""From an integer convolution's accumulator to its output; XNNPACK takes less than 256, and trained
layers have some thousandths."""
SMALLEST_RESCALING = 2.0**-30
"""Likewise; it takes 2⁻³² and more."""
LARGEST_BIAS = 2.0**28
"""In steps of input times kernel: an eighth of what 32 bits hold, so that the sum of the products fits beside it."""


def static_recipe(content: bytes, clips: FeatureSet) -> tuple[Any, Ranges]:
    """Return the recipe and the ranges that make a float32 file a full int8 one.

    Args:
        content: the float32 file.
        clips: calibration clips, from the training split.

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
    """Return the regular expression that names one operator: the quantizer goes by its outputs' names, each followed by
    a semicolon."""
    return "^" + re.escape(graph.name(operator.outputs[0])) + ";?$"


def _stays_float(graph: Graph, operator: Operator) -> bool:
    """True for linear convolutions that are 1 × 1 or give a single channel (projections, masks, classifiers), and for
    the one that reads the file's input where that has several channels."""
    if operator.name != "CONV_2D":
        return False
    n_outputs, height, width, n_inputs = graph.shape(operator.inputs[1])
    if _reads_computed(graph, operator.inputs[0]):
        activated = any(reader.name in ACTIVATIONS for reader in graph.readers(operator.outputs[0]))
        is_linear = operator.options.fusedActivationFunction == 0 and not activated
        return is_linear and (height * width == 1 or n_outputs == 1)
    return n_inputs > 1


def _reads_computed(graph: Graph, tensor: int) -> bool:
    """Return whether a tensor holds other values than the file's input: neither it nor windows of it."""
    made = [operator for operator in graph.operators if tensor in operator.outputs]
    return any(
        operator.name not in WINDOWING or any(_reads_computed(graph, source) for source in operator.inputs)
        for operator in made
    )


def _within_reach(graph: Graph, ranges: Ranges) -> Ranges:
    """Return the ranges, widened where integers of 32 bits could not get from one to the next; kernels' beside them."""
    widened = {name: dict(limits) for name, limits in ranges.items()}
    for operator in graph.operators:
        if operator.name == "MAX_POOL_2D":  # takes its input's scale, which may have been widened
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
        # An output's step must be a fair part of the accumulator's: input step times kernel step, which is reach / 127.
        floor = 255 * source_step * float(reach.max()) / 127 / LARGEST_RESCALING
        limits = widened[target]
        limits["max"] = np.maximum(limits["max"], np.minimum(limits["min"], 0) + np.float32(max(floor, 1e-6)))
        least = 127 * _span(limits) / 255 / source_step * SMALLEST_RESCALING
        reach = np.maximum(reach, least).astype(np.float32)
        widened[graph.name(operator.inputs[1])] = {"min": -reach, "max": reach}
    return widened


def _span(limits: dict[str, Any]) -> float:
    """Return the width of a range with 0 in it, as quantized ranges have."""
    return float(max(limits["max"].item(), 0.0) - min(limits["min"].item(), 0.0))
