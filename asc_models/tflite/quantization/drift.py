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

from asc_models.tflite.flatbuffer import TfliteFile, read_tflite

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
    reference = TfliteFile(floats, "the float32 file")
    expected = _activations(reference, floats, inputs)
    measured = _activations(read_tflite(path), path.read_bytes(), inputs)
    errors = {tensor: _error(values, measured.get(tensor)) for tensor, values in expected.items()}
    drifts: dict[str, Drift] = {}
    for operator in reference.graph.operators:
        error = errors[reference.graph.name(operator.outputs[0])]
        names = [reference.graph.name(tensor) for tensor in operator.inputs if tensor >= 0]
        own = error - max((errors.get(name, 0.0) for name in names), default=0.0)
        layer = layer_name(reference.graph.name(operator.outputs[0]))
        if layer not in drifts or drifts[layer].own < own:
            drifts[layer] = Drift(layer, error, own)
    return sorted(drifts.values(), key=lambda drift: -drift.own)


def _error(expected: npt.NDArray[np.float64], measured: npt.NDArray[np.float64] | None) -> float:
    """Return the relative error of a tensor; 0 if the file has no tensor of that name and shape."""
    size = float(np.sqrt(np.mean(expected**2)))
    if measured is None or measured.shape != expected.shape or size == 0:
        return 0.0
    return float(np.sqrt(np.mean((measured - expected) ** 2))) / size


def layer_name(tensor: str) -> str:
    """Return the layer of a tensor, from the converter's name `network_1/layer_1/Operator;…`."""
    parts = tensor.split(";")[0].split("/")
    return NUMBERED.sub("", parts[1] if len(parts) > 1 else parts[0])


def _activations(
    file: TfliteFile, content: bytes, inputs: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return {tensor: values over all clips}, with integers dequantized."""
    graph = file.graph
    outputs = [tensor for operator in graph.operators for tensor in operator.outputs]
    interpreter = preserving_interpreter(content)
    entry = interpreter.get_input_details()[0]["index"]
    values: dict[str, list[npt.NDArray[Any]]] = {graph.name(tensor): [] for tensor in outputs}
    for clip in inputs:
        interpreter.set_tensor(entry, clip[np.newaxis])
        interpreter.invoke()
        for tensor in outputs:
            scale, zero = graph.quantization(tensor)
            raw = interpreter.get_tensor(tensor).astype(np.float64)
            values[graph.name(tensor)].append((raw - zero[0]) * scale[0] if scale.size == 1 else raw)
    return {name: np.stack(stack) for name, stack in values.items()}


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
