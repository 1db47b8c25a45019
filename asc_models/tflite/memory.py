"""What a file's activations take in the interpreter's memory, beside the estimate."""

from __future__ import annotations

from pathlib import Path

from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import read_tflite


def arena_bytes(path: Path) -> int:
    """Return the bytes that the interpreter's own kernels hold for the activations of one inference.

    That is the span of the arena in which it lays out every tensor that isn't a constant, by their addresses, and the
    scratch space of kernels that lies between them (a large kernel's patches can outweigh everything else). Delegates
    keep their activations to themselves, so the file runs without any.

    Raises:
        ExportError: if the file can't be read, or the interpreter refuses it.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = read_tflite(path).graph
    try:
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"{path}: the TFLite interpreter refuses the file: {error}") from error
    starts, ends = [], []
    for index in range(graph.n_tensors):
        if graph.data(index) is not None:
            continue
        try:
            view = interpreter.tensor(index)()
        except ValueError:  # fused away: it has no place
            continue
        if view.size:
            starts.append(view.ctypes.data)
            ends.append(view.ctypes.data + view.nbytes)
    return int(max(ends) - min(starts))
