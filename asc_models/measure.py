"""What an exported file really holds, operator by operator."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asc_models.errors import ExportError

ARITHMETIC = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "ADD", "SUB", "DIV", "PRELU")
"""Operators whose constant operands are weights: kernels, biases, per-channel factors."""

FILE_IDENTIFIER = b"TFL3"
"""What a TFLite file has behind its first offset."""

FLOAT_BITS = {"FLOAT64": 64, "FLOAT32": 32, "FLOAT16": 16, "BFLOAT16": 16}
INTEGER_BITS = {"INT64": 64, "INT32": 32, "INT16": 16, "INT8": 8, "UINT8": 8, "INT4": 4, "INT2": 2}


@dataclass(frozen=True, slots=True)
class Measured:
    """Sizes of an exported file, in bytes.

    `weight_bytes` counts every constant that an arithmetic operator reads as kernel, bias or factor, looked up through
    DEQUANTIZE, each buffer once, at its own width, zero biases that the converter added included. Scales and zero
    points are `quantization_bytes`; `file_bytes` is everything. `n_nonzero` counts the stored values that aren't zero.
    """

    weight_bytes: int
    nonzero_weight_bytes: int
    quantization_bytes: int
    file_bytes: int
    n_nonzero: int

    def quantities(self) -> dict[str, int]:
        """Return {quantity: value}."""
        return asdict(self)


def measure(path: Path) -> Measured:
    """Return the sizes of the TFLite file at `path`.

    Raises:
        ExportError: if the file cannot be read as TFLite.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        content = path.read_bytes()
        if content[4:8] != FILE_IDENTIFIER:
            raise ValueError(f"its bytes 4 to 7 must be {FILE_IDENTIFIER!r}, are {content[4:8]!r}")
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        graph = model.subgraphs[0]
    except (OSError, TypeError, ValueError, IndexError, AttributeError, KeyError, struct.error) as error:
        raise ExportError(f"{path}: cannot be read as a TFLite file: {error}") from error
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    weights = {
        tensor.buffer: tensor for tensor in _weight_tensors(model, graph, names) if _data(model, tensor) is not None
    }
    sizes = [_constant(_data(model, tensor), types[tensor.type]) for tensor in weights.values()]
    return Measured(
        weight_bytes=sum(size.stored for size in sizes),
        nonzero_weight_bytes=sum(-(-size.n_nonzero * size.bits // 8) for size in sizes),
        quantization_bytes=sum(_quantization_bytes(tensor) for tensor in graph.tensors),
        file_bytes=len(content),
        n_nonzero=sum(size.n_nonzero for size in sizes),
    )


def _weight_tensors(model: Any, graph: Any, names: dict[int, str]) -> list[Any]:
    """Return the tensors that arithmetic operators read, each replaced by what it was dequantized from."""
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    operators = [(names[codes[operator.opcodeIndex]], operator) for operator in graph.operators]
    sources = {operator.outputs[0]: operator.inputs[0] for name, operator in operators if name == "DEQUANTIZE"}
    read = (index for name, operator in operators if name in ARITHMETIC for index in operator.inputs if index >= 0)
    return [graph.tensors[sources.get(index, index)] for index in read]


def _data(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return None if data is None or len(data) == 0 else np.asarray(data, np.uint8)


class _Constant(NamedTuple):
    """One constant: bytes stored, values that aren't zero, bits of a value."""

    stored: int
    n_nonzero: int
    bits: int


def _constant(data: Any, kind: str) -> _Constant:
    if kind in FLOAT_BITS:
        bits = FLOAT_BITS[kind]
        # By value, not by bits, where NumPy knows the type: −0.0 is a zero too.
        values = data.view(f"u{bits // 8}" if kind == "BFLOAT16" else f"f{bits // 8}")
        return _Constant(data.size, int(np.count_nonzero(values)), bits)
    bits = INTEGER_BITS[kind]
    if bits >= 8:
        return _Constant(data.size, int(np.count_nonzero(data.view(f"i{bits // 8}"))), bits)
    packed = np.stack([(data >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])
    return _Constant(data.size, int(np.count_nonzero(packed)), bits)


def _quantization_bytes(tensor: Any) -> int:
    quantization = tensor.quantization
    if quantization is None:
        return 0
    scales = 0 if quantization.scale is None else 4 * len(quantization.scale)
    zeros = 0 if quantization.zeroPoint is None else 8 * len(quantization.zeroPoint)
    return scales + zeros
