"""Bias correction: the mean error of a quantized file's logits is subtracted from the classifier's bias.

Rounded kernels shift each logit by about the same amount on every clip; in int4 this shift is two thirds of the error.
The classifier's bias is float32 in every mode, so subtracting the shift measured on calibration clips costs no bytes
(Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, here for one layer).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from asc_models.tflite.flatbuffer import Graph, TfliteFile
from asc_models.tflite.quiet import silenced
from data_prep.reader.reader import FeatureSet

SMALLEST = 1e-20
"""Lower bound applied to probabilities before the logarithm."""


def with_corrected_bias(content: bytes, clips: FeatureSet, quantize: Callable[[bytes], bytes]) -> bytes:
    """Return the quantized file, with the classifier's bias corrected for the shift caused by quantization.

    If the classifier has no separate bias, the file is quantized without correction.

    Args:
        content: the float32 file.
        clips: calibration clips from the training split.
        quantize: maps a float32 file to a quantized one.
    """
    quantized = quantize(content)
    file = TfliteFile(content, "the float32 file")
    bias = _classifier_bias(file.graph)
    if bias is None:
        return quantized
    shift = (logits_of(quantized, clips) - logits_of(content, clips)).mean(axis=0)
    file.graph.set_floats(bias, file.graph.floats(bias) - shift.astype(np.float32))
    return quantize(file.content())


def _classifier_bias(graph: Graph) -> int | None:
    """Return the bias of the last dense layer or convolution; None if it is missing, shared, or all zeros."""
    for operator in reversed(graph.operators):
        if operator.name in ("FULLY_CONNECTED", "CONV_2D"):
            bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
            if bias < 0 or graph.data(bias) is None or not graph.floats(bias).any():
                return None
            sharing = [tensor for tensor in range(graph.n_tensors) if graph.buffer(tensor) == graph.buffer(bias)]
            return bias if sharing == [bias] and len(graph.readers(bias)) == 1 else None
    return None


def logits_of(content: bytes, clips: FeatureSet) -> npt.NDArray[np.float64]:
    """Return a file's logits for each clip or window up to an additive constant, (n, n_classes), from its softmax."""
    from ai_edge_litert.interpreter import Interpreter

    with silenced():
        interpreter = Interpreter(model_content=_before_vote(content), num_threads=1)
        interpreter.allocate_tensors()
    entry, out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    logits = []
    for index in range(clips.n_clips):
        interpreter.set_tensor(entry, clips.inputs(np.array([index])))
        interpreter.invoke()
        values = np.log(np.maximum(interpreter.get_tensor(out).astype(np.float64), SMALLEST))
        logits.extend(values - values.mean(axis=1, keepdims=True))
    return np.array(logits)


def _before_vote(content: bytes) -> bytes:
    """Return the file with its last softmax as output, which is per window if the file averages over windows."""
    file = TfliteFile(content, "the exported file")
    # attentive pooling has a softmax of its own, before
    softmax = next((operator for operator in reversed(file.graph.operators) if operator.name == "SOFTMAX"), None)
    if softmax is None or softmax.outputs == file.graph.outputs:
        return content
    file.graph.outputs = softmax.outputs
    return file.content()
