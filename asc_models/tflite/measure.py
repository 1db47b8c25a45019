"""Sizes of an exported file, measured from its operators and constants."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import Graph, TfliteFile, read_tflite
from data_prep.wording import printable

ARITHMETIC = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "ADD", "SUB", "DIV", "PRELU"),
    # in files of others only
    *("TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE", "BATCH_MATMUL", "EMBEDDING_LOOKUP", "SVDF", "RNN", "LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
)
"""Operators whose constant operands are weights: kernels, biases, per-channel factors."""
NO_WEIGHTS = {"TRANSPOSE_CONV": 0, "CONV_3D_TRANSPOSE": 0, "EMBEDDING_LOOKUP": 0}
"""{operator: position of the operand that is a shape or a list of indices, not a weight}."""

FLOAT_BITS = {"FLOAT64": 64, "FLOAT32": 32, "FLOAT16": 16, "BFLOAT16": 16}
INTEGER_BITS = {
    **{"INT64": 64, "INT32": 32, "INT16": 16, "INT8": 8, "INT4": 4, "INT2": 2},
    **{"UINT64": 64, "UINT32": 32, "UINT16": 16, "UINT8": 8, "UINT4": 4},
}


@dataclass(frozen=True, slots=True)
class FileSizes:
    """Sizes of an exported file."""

    weight_bytes: int
    """Bytes of all constants that arithmetic operators read as kernel, bias or factor, directly or through DEQUANTIZE.
    Each buffer counts once, at its stored width (4-bit values share a byte); zero biases added by the converter
    count, too."""
    nonzero_weight_bytes: int
    """Bytes of the weights that are not zero."""
    quantization_bytes: int
    """Bytes of all scales and zero points."""
    file_bytes: int
    """Size of the whole file."""
    n_nonzero: int
    """Number of stored weights that are not zero."""

    def quantities(self) -> dict[str, int]:
        """Return {quantity: value}."""
        return asdict(self)


def measure(path: Path) -> FileSizes:
    """Return the sizes of the TFLite file at `path`.

    Raises:
        ExportError: if the file cannot be read as TFLite, or holds weights of a type that can't be counted.
    """
    return sizes_of(read_tflite(path))


def sizes_of(file: TfliteFile) -> FileSizes:
    """Return the sizes of a TFLite file in memory; errors as in `measure`."""
    weights = _weights(file)
    tensors = ((graph, tensor) for graph in file.graphs for tensor in range(graph.n_tensors))
    return FileSizes(
        weight_bytes=sum(size.stored for size in weights),
        nonzero_weight_bytes=sum(-(-size.n_nonzero * size.bits // 8) for size in weights),
        quantization_bytes=sum(_quantization_bytes(graph, tensor) for graph, tensor in tensors),
        file_bytes=file.n_bytes,
        n_nonzero=sum(size.n_nonzero for size in weights),
    )


def count_weights(path: Path) -> tuple[int, int]:
    """Return the number of weights in the TFLite file at `path`, and the number of nonzero ones.

    Raises:
        ExportError: if the file cannot be read as TFLite, or holds weights of a type that can't be counted.
    """
    weights = _weights(read_tflite(path))
    return sum(size.n_values for size in weights), sum(size.n_nonzero for size in weights)


def weight_tensors(graph: Graph) -> list[int]:
    """Return the tensors that arithmetic operators read; dequantized ones are replaced by their quantized source."""
    sources = {operator.outputs[0]: operator.inputs[0] for operator in graph.operators if operator.name == "DEQUANTIZE"}
    read = (
        index
        for operator in graph.operators
        if operator.name in ARITHMETIC
        for position, index in enumerate(operator.inputs)
        if NO_WEIGHTS.get(operator.name) != position
    )
    return [sources.get(index, index) for index in read if index >= 0]


class _Constant(NamedTuple):
    """One constant: stored bytes, number of values, number of nonzero values, bits per value."""

    stored: int
    n_values: int
    n_nonzero: int
    bits: int


def _weights(file: TfliteFile) -> list[_Constant]:
    """Return the constants that are weights; each buffer occurs once."""
    weights: dict[int, _Constant] = {}
    for graph in file.graphs:
        for tensor in weight_tensors(graph):
            if graph.data(tensor) is not None:
                weights[graph.buffer(tensor)] = _constant(graph, tensor, file.name)
    return list(weights.values())


def _constant(graph: Graph, tensor: int, name: str) -> _Constant:
    data, kind = graph.data(tensor), graph.type_name(tensor)
    assert data is not None
    n_values = math.prod(graph.shape(tensor))
    width = {**FLOAT_BITS, **INTEGER_BITS}.get(kind)
    if width is not None and data.size != (n_bytes := -(-n_values * width // 8)):
        raise ExportError(
            f"{name}: weights {printable(graph.name(tensor))!r} of shape {graph.shape(tensor)} take {n_bytes:,} bytes "
            f"as {kind}, but {data.size:,} are stored: the file is damaged. Copy it again, or export it again."
        )
    if kind in FLOAT_BITS:
        bits = FLOAT_BITS[kind]
        # Compare values, not bits, so that −0.0 counts as zero.
        values = data.view(f"u{bits // 8}" if kind == "BFLOAT16" else f"f{bits // 8}")
        n_nonzero = np.count_nonzero(values & 0x7FFF if kind == "BFLOAT16" else values)
        return _Constant(data.size, n_values, int(n_nonzero), bits)
    if kind not in INTEGER_BITS:
        known = ", ".join([*FLOAT_BITS, *INTEGER_BITS])
        raise ExportError(
            f"{name}: weights {printable(graph.name(tensor))!r} have type {kind}, whose size is unknown; "
            f"known types: {known}. Export the model again with one of this tool's modes."
        )
    bits = INTEGER_BITS[kind]
    _, zero_points = graph.quantization(tensor)
    zero = int(zero_points[0]) if zero_points.size == 1 else 0  # per-channel kernels have zero points 0 only
    if bits >= 8:
        values = data.view(f"{kind[0].lower()}{bits // 8}")
        return _Constant(data.size, n_values, int(np.count_nonzero(values != zero)), bits)
    packed = np.stack([(data >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])
    return _Constant(data.size, n_values, int(np.count_nonzero(packed)), bits)


def _quantization_bytes(graph: Graph, tensor: int) -> int:
    scales, zero_points = graph.quantization(tensor)
    return 4 * scales.size + 8 * zero_points.size
