"""Weights of files that others made."""

from pathlib import Path

import pytest

from asc_models.tflite.measure import measure


def one_operator(path: Path, name: str, constants: list[int]) -> Path:
    """Write a file with one operator, whose inputs are constants of so many float32 values."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    def tensor(number: int, size: int) -> schema.TensorT:
        """Return a vector, whose content is in the buffer of the same number."""
        found = schema.TensorT()
        found.shape, found.type, found.buffer, found.name = [size], schema.TensorType.FLOAT32, number, f"t{number}"
        return found

    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(range(len(constants))), [len(constants)]
    graph.tensors = [tensor(number + 1, size) for number, size in enumerate([*constants, 1])]
    graph.operators, graph.inputs, graph.outputs = [operator], [], [len(constants)]
    buffers = [schema.BufferT() for _ in range(len(constants) + 2)]
    for buffer, size in zip(buffers[1:], constants, strict=False):
        buffer.data = [1] * (4 * size)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    path.write_bytes(convert_object_to_bytearray(model))
    return path


@pytest.mark.parametrize(
    ("name", "constants", "n_values"),
    [
        ("FULLY_CONNECTED", [50, 10], 60),
        ("BATCH_MATMUL", [50], 50),
        ("TRANSPOSE_CONV", [4, 50], 50),  # the first is the output's shape
        ("EMBEDDING_LOOKUP", [3, 50], 50),  # the first are indices
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [50, 20], 70),
        ("RESHAPE", [50], 0),
    ],
)
def test_kernels_of_every_operator_count(name: str, constants: list[int], n_values: int, tmp_path: Path) -> None:
    """Also of operators that no file of ours has; shapes and indices are no weights."""
    assert measure(one_operator(tmp_path / "a.tflite", name, constants)).weight_bytes == 4 * n_values
