"""What a file's activations take in the interpreter's memory, to hold the estimate against."""

from pathlib import Path

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from asc_models.tflite.flatbuffer import read_tflite


def arena_bytes(path: Path) -> int:
    """Return the bytes that the interpreter's own kernels hold for the activations of one inference.

    That is the span of the arena in which it lays out every tensor that isn't a constant, by their addresses, and the
    scratch space of kernels that lies between them (a large kernel's patches can outweigh everything else). Delegates
    keep their activations to themselves, so the file runs without any.
    """
    graph = read_tflite(path).graph
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
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
