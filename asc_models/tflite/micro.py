"""Microcontrollers: the file as TensorFlow Lite Micro can read it, and the check that it runs there.

Of a tensor's scales, TensorFlow Lite Micro's DEQUANTIZE uses the first only, without an error: kernels that have one
scale per channel and are dequantized before they are used come out wrong. It reads no float16 and no int4 there. These
kernels are stored as float32 instead (`for_microcontrollers`).

    python -m asc_models.tflite.micro FILE INPUTS.npy ANSWERS.npy

runs FILE on INPUTS (n_clips, n_mels, n_frames, n_channels) in the interpreter for microcontrollers (`tflite-micro`, the
extra `micro`), built for this machine, and writes the probabilities to ANSWERS and the use of the arena to standard
error.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.process import failure_of, run_module
from asc_models.tflite.compact import compact
from asc_models.tflite.flatbuffer import Graph, TfliteFile
from asc_models.tflite.quantization.probe import limit_memory
from data_prep.files.scratch import scratch_folder
from data_prep.wording import shortened

INSTALL = "pip install 'asc-search[micro]'"
"""How to get the interpreter."""
ARENA_BYTES = 2**30
"""Memory that the interpreter may use for tensors; only what it uses is taken from the system."""
TIMEOUT_S = 600.0
"""Its kernels are plain loops: a clip of a large network takes seconds."""
SAME = 0.01
"""Largest difference of a probability that rounding explains; that of int8 kernels differs between interpreters."""

_USED = re.compile(r"Arena allocation total (\d+) bytes")
_SOURCE = re.compile(r"^\S*tensorflow/lite/\S+\s+(\d+\s+)?")


@dataclass(frozen=True, slots=True)
class MicroCheck:
    """What a file does in the interpreter for microcontrollers."""

    failure: str
    """Why it does not run, with the operator; empty if it does."""
    n_clips: int = 0
    """Number of clips that it ran on."""
    max_difference: float = 0.0
    """Largest difference of a probability from the usual interpreter's."""
    n_same: int = 0
    """Number of clips with the same most probable scene."""
    arena_bytes: int = 0
    """Memory for tensors on this machine, whose pointers have 8 bytes; with 4 bytes it is a little less."""

    @property
    def agrees(self) -> bool:
        """Whether it runs and gives the same answers, up to rounding."""
        return not self.failure and self.max_difference <= SAME


def is_installed() -> bool:
    """Return whether the interpreter for microcontrollers is installed."""
    return find_spec("tflite_micro") is not None


def check_micro(content: bytes, inputs: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> MicroCheck:
    """Return what a TFLite file does in the interpreter for microcontrollers, in a separate process.

    Args:
        content: the file.
        inputs: network input, (n_clips, n_mels, n_frames, n_channels).
        expected: probabilities of the usual interpreter, (n_clips, n_scenes).
    """
    with scratch_folder("asc-micro-") as folder:
        model, clips, answers = folder / "model.tflite", folder / "inputs.npy", folder / "answers.npy"
        model.write_bytes(content)
        np.save(clips, inputs)
        try:
            done = run_module(__name__, model, clips, answers, timeout_s=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return MicroCheck(f"no answer within {TIMEOUT_S:.0f} s")
        used = _USED.search(done.stderr)
        if done.returncode or used is None:
            return MicroCheck(_reason(done))
        found = np.load(answers, allow_pickle=False)
    return MicroCheck(
        failure="",
        n_clips=len(found),
        max_difference=float(np.abs(found - expected).max()),
        n_same=int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        arena_bytes=int(used[1]),
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return why the interpreter refuses a file: its own words, which name the operator, or how its process ended."""
    lines = [_SOURCE.sub("", line).strip(" .") for line in done.stderr.splitlines() if "RecordingMicro" not in line]
    said = "; ".join(line for line in lines[:-1] if line) if done.returncode > 0 else ""
    return shortened(said or failure_of(done) or "it gives no account of its memory", 300)


def for_microcontrollers(content: bytes) -> bytes:
    """Return a TFLite file with the same answers, in which the constants that DEQUANTIZE reads are stored as float32.

    A file without such constants is returned unchanged.

    Raises:
        ExportError: if the bytes cannot be read as TFLite.
    """
    file = TfliteFile(content, "the exported file")
    buffers, is_changed = file.model.buffers, False
    for graph, subgraph in zip(file.graphs, file.model.subgraphs, strict=True):
        kept = []
        for operator, entry in zip(graph.operators, subgraph.operators, strict=True):
            if operator.name != "DEQUANTIZE" or not _is_stored(graph, operator.inputs[0]):
                kept.append(entry)
                continue
            buffer = type(buffers[0])()
            buffer.data = np.frombuffer(_dequantized(graph, operator.inputs[0]).tobytes(), np.uint8)
            subgraph.tensors[operator.outputs[0]].buffer = len(buffers)
            buffers.append(buffer)
        is_changed |= len(kept) < len(subgraph.operators)
        subgraph.operators = kept
        for tensor in _unread(graph, kept):  # its bytes are left out with its buffer
            subgraph.tensors[tensor].buffer = 0
            subgraph.tensors[tensor].quantization = None
    if not is_changed:
        return content
    _drop_unused_codes(file.model)
    return compact(file.content())


def _is_stored(graph: Graph, tensor: int) -> bool:
    return graph.data(tensor) is not None and graph.type_name(tensor) in ("FLOAT16", "INT8", "INT4")


def _dequantized(graph: Graph, tensor: int) -> npt.NDArray[np.float32]:
    """Return the values of a constant that is stored as float16, int8 or int4, in its shape."""
    data, kind, shape = graph.data(tensor), graph.type_name(tensor), graph.shape(tensor)
    assert data is not None
    try:
        if kind == "FLOAT16":
            return data.view(np.float16).astype(np.float32).reshape(shape)
        values = data.view(np.int8)
        if kind == "INT4":  # two values a byte, the first in the lower half
            values = np.stack([values << 4 >> 4, values >> 4], axis=1).reshape(-1)[: math.prod(shape)]
        scales, zero_points = graph.quantization(tensor)
        along = [1] * len(shape)
        if scales.size > 1:
            along[graph.quantized_axis(tensor)] = scales.size
        steps = values.reshape(shape).astype(np.float32) - zero_points.reshape(along).astype(np.float32)
        result: npt.NDArray[np.float32] = steps * scales.reshape(along)
    except (ValueError, IndexError) as error:
        raise ExportError(f"a kernel of shape {shape} cannot be read as {kind}: the model file is damaged.") from error
    return result


def _unread(graph: Graph, operators: Sequence[Any]) -> list[int]:
    """Return the constants that only operators outside `operators` read."""
    read = {int(tensor) for entry in operators for tensor in entry.inputs}
    return [tensor for tensor in range(graph.n_tensors) if tensor not in read and _is_stored(graph, tensor)]


def _drop_unused_codes(model: Any) -> None:
    """Remove the operators that no graph uses, which an interpreter would otherwise have to know."""
    operators = [entry for graph in model.subgraphs for entry in graph.operators]
    used = sorted({entry.opcodeIndex for entry in operators})
    place = {number: new for new, number in enumerate(used)}
    model.operatorCodes = [model.operatorCodes[number] for number in used]
    for entry in operators:
        entry.opcodeIndex = place[entry.opcodeIndex]


def _run(path: Path, inputs: npt.NDArray[np.float32], answers: Path) -> str:
    """Run the file in this process; return why it fails, or an empty string."""
    from tflite_micro import runtime

    limit_memory()
    try:
        interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA_BYTES)
        found = []
        for clip in inputs:
            interpreter.set_input(clip[np.newaxis], 0)
            interpreter.invoke()
            found.append(interpreter.get_output(0)[0])
    except (ValueError, RuntimeError, TypeError) as error:
        return " ".join(str(error).split()) or f"{type(error).__name__} without a message"
    except MemoryError:
        return "not enough memory"
    np.save(answers, np.asarray(found, np.float32))
    interpreter.print_allocations()
    return ""


if __name__ == "__main__":
    failure = _run(Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False), Path(sys.argv[3]))
    sys.exit(failure or 0)
