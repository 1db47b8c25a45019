"""Comparison of an exported file with its network, layer by layer."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.tflite.flatbuffer import Graph, Operator, TfliteFile, read_tflite

NUMBERED = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class Drift:
    """One layer's error in an exported file."""

    name: str
    """Name of the layer as listed by `asc describe`, with its operation: `block2_expand_relu`."""
    error: float
    """Root mean square difference from the network's values, relative to their root mean square."""
    own: float
    """Error added by this layer: its error minus the largest error of its inputs."""


def layer_drift(floats: bytes, path: Path, inputs: npt.NDArray[np.float32]) -> list[Drift]:
    """Return the error of each layer of the file at `path` relative to the float32 file, largest own error first.

    Args:
        floats: the same network as a float32 TFLite file.
        path: the exported file; it must run without XNNPACK.
        inputs: network input of some clips, (n_clips, n_mels, n_frames, n_channels).
    """
    graph, exported = TfliteFile(floats, "the float32 file").graph, read_tflite(path).graph
    operators = _computing(graph)
    expected = _outputs(graph, floats, inputs)
    measured = _outputs(exported, path.read_bytes(), inputs)
    is_same = [operator.name for operator in operators] == [operator.name for operator in _computing(exported)]
    errors: dict[int, float] = {}
    drifts: dict[str, Drift] = {}
    for number, operator in enumerate(operators):
        error = _error(expected[number], measured[number]) if is_same else 0.0
        own = error - max((errors.get(tensor, 0.0) for tensor in operator.inputs), default=0.0)
        errors[operator.outputs[0]] = error
        layer = layer_name(graph.name(operator.outputs[0]))
        if layer not in drifts or drifts[layer].own < own:
            drifts[layer] = Drift(layer, error, own)
    return sorted(drifts.values(), key=lambda drift: -drift.own)


def _computing(graph: Graph) -> list[Operator]:
    """Return the operators except conversions of numbers, which are what the files of one network differ in."""
    return [operator for operator in graph.operators if operator.name not in ("QUANTIZE", "DEQUANTIZE")]


def _error(expected: npt.NDArray[np.float64], measured: npt.NDArray[np.float64]) -> float:
    """Return the relative error of a tensor; 0 if the shapes differ."""
    size = float(np.sqrt(np.mean(expected**2)))
    if measured.shape != expected.shape or size == 0:
        return 0.0
    return float(np.sqrt(np.mean((measured - expected) ** 2))) / size


def layer_name(tensor: str) -> str:
    """Return the layer of a tensor, from the converter's name `network_1/layer_1/Operator;…`."""
    parts = tensor.split(";")[0].split("/")
    return NUMBERED.sub("", parts[1] if len(parts) > 1 else parts[0])


def _outputs(graph: Graph, content: bytes, inputs: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
    """Return the output of each computing operator, in order, over all clips; integers are dequantized."""
    outputs = [operator.outputs[0] for operator in _computing(graph)]
    interpreter = preserving_interpreter(content)
    entry = interpreter.get_input_details()[0]["index"]
    values: list[list[npt.NDArray[Any]]] = [[] for _ in outputs]
    for clip in inputs:
        interpreter.set_tensor(entry, clip[np.newaxis])
        interpreter.invoke()
        for stack, tensor in zip(values, outputs, strict=True):
            scale, zero = graph.quantization(tensor)
            raw = interpreter.get_tensor(tensor).astype(np.float64)
            stack.append((raw - zero[0]) * scale[0] if scale.size == 1 else raw)
    return [np.stack(stack) for stack in values]


def preserving_interpreter(content: bytes) -> Any:
    """Return an interpreter without delegates that preserves all intermediate tensors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from asc_models.tflite.quiet import silenced

    with silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that preserving all tensors is for debugging
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    return interpreter
