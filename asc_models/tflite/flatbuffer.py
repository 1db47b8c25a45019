"""Reading and writing TFLite files as operators, tensors and constants, without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError

FILE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of a TFLite file."""


class _DamageError(ValueError):
    """What is wrong with a file, in words for the user."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a graph; tensors are given by index, −1 for an omitted operand."""

    name: str
    """Name in the TFLite schema, such as CONV_2D."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    """Options of the operator, an object of the schema."""


class Graph:
    """One subgraph of a file.

    Args:
        model: the whole file, as schema objects.
        subgraph: the subgraph in it.
    """

    def __init__(self, model: Any, subgraph: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._model = model
        self._subgraph = subgraph
        self._tensors = subgraph.tensors
        self._type_names = _names(schema.TensorType)
        names = _names(schema.BuiltinOperator)
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
        self.operators = tuple(
            Operator(
                names.get(codes[operator.opcodeIndex], f"operator {codes[operator.opcodeIndex]}"),
                tuple(int(index) for index in operator.inputs),
                tuple(int(index) for index in operator.outputs),
                operator.builtinOptions,
            )
            for operator in subgraph.operators
        )

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output tensors of the graph."""
        return tuple(int(index) for index in self._subgraph.outputs)

    @outputs.setter
    def outputs(self, tensors: tuple[int, ...]) -> None:
        """Set the output tensors of the graph."""
        self._subgraph.outputs = np.array(tensors, np.int32)

    @property
    def n_tensors(self) -> int:
        """Number of tensors."""
        return len(self._tensors)

    def name(self, tensor: int) -> str:
        """Return a tensor's name, or its number if it has none."""
        name = self._tensors[tensor].name
        return f"tensor {tensor}" if name is None else str(name.decode(errors="replace"))

    def type_name(self, tensor: int) -> str:
        """Return a tensor's type, such as FLOAT32, or `type 99` if the schema does not define the number."""
        number = int(self._tensors[tensor].type)
        return self._type_names.get(number, f"type {number}")

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(int(size) for size in self._tensors[tensor].shape)

    def buffer(self, tensor: int) -> int:
        """Return the index of a tensor's buffer; tensors with equal values may share one."""
        return int(self._tensors[tensor].buffer)

    def data(self, tensor: int) -> npt.NDArray[np.uint8] | None:
        """Return a constant's bytes; None if the tensor is not a constant."""
        data = self._model.buffers[self._tensors[tensor].buffer].data
        return None if data is None or len(data) == 0 else np.asarray(data, np.uint8)

    def quantization(self, tensor: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return a tensor's scales and zero points; both are empty if it is not quantized."""
        quantization = self._tensors[tensor].quantization
        scale = None if quantization is None else quantization.scale
        zero_point = None if quantization is None else quantization.zeroPoint
        return (
            np.asarray([] if scale is None else scale, np.float32),
            np.asarray([] if zero_point is None else zero_point, np.int64),
        )

    def quantized_axis(self, tensor: int) -> int:
        """Return the axis of a tensor that has one scale per index, if it has several scales."""
        return int(self._tensors[tensor].quantization.quantizedDimension)

    def floats(self, tensor: int) -> npt.NDArray[np.float32]:
        """Return a copy of a float32 constant, in the tensor's shape."""
        data = self.data(tensor)
        if data is None:
            raise ValueError(f"{self.name(tensor)} is not a constant")
        return data.view(np.float32).reshape(self._tensors[tensor].shape).copy()

    def set_floats(self, tensor: int, values: npt.NDArray[np.float32]) -> None:
        """Replace a float32 constant by `values` of the same shape."""
        self._model.buffers[self._tensors[tensor].buffer].data = np.frombuffer(
            values.astype(np.float32).tobytes(), np.uint8
        )

    def is_computed(self, tensor: int) -> bool:
        """Return True if the tensor is an operator's output, neither a constant nor the graph's input."""
        return any(tensor in operator.outputs for operator in self.operators)

    def readers(self, tensor: int) -> Sequence[Operator]:
        """Return the operators with `tensor` as an input."""
        return [operator for operator in self.operators if tensor in operator.inputs]


class TfliteFile:
    """A TFLite file in memory.

    Args:
        content: bytes of the file.
        name: name of the file in messages.

    Raises:
        ExportError: if the bytes cannot be read as TFLite.
    """

    def __init__(self, content: bytes, name: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.name = name
        try:
            if content[4:8] != FILE_IDENTIFIER:
                raise _DamageError(f"its bytes 4 to 7 must be {FILE_IDENTIFIER!r}, are {content[4:8]!r}")
            self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
            self._take_in_buffers(content)
            self.graphs = tuple(Graph(self._model, subgraph) for subgraph in self._model.subgraphs)
            self.n_bytes = len(content)
            self._check()
        except _DamageError as error:
            raise ExportError(f"{name}: cannot be read as a TFLite file: {error}") from error
        except (TypeError, ValueError, IndexError, AttributeError, KeyError, OverflowError, struct.error) as error:
            raise ExportError(
                f"{name}: cannot be read as a TFLite file: its {len(content):,} bytes are damaged or incomplete. Copy "
                "it again, or export it again."
            ) from error

    @property
    def model(self) -> Any:
        """The whole file as objects of the schema."""
        return self._model

    @property
    def graph(self) -> Graph:
        """The graph that the interpreter runs."""
        return self.graphs[0]

    @property
    def operator_versions(self) -> dict[str, int]:
        """{operator: version that an interpreter must know} of all operators in the file."""
        from ai_edge_litert import schema_py_generated as schema

        names, versions = _names(schema.BuiltinOperator), dict[str, int]()
        for code in self._model.operatorCodes:
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            name = names.get(number, f"operator {number}")
            versions[name] = max(int(code.version), versions.get(name, 0))
        return versions

    def content(self) -> bytes:
        """Return the file's bytes, including all changes."""
        from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

        return bytes(convert_object_to_bytearray(self._model))

    def _take_in_buffers(self, content: bytes) -> None:
        """Read constants stored after the flatbuffer, where the quantizer puts those of larger models."""
        for buffer in self._model.buffers:
            if buffer.offset > 1:
                if buffer.offset + buffer.size > len(content):
                    raise _DamageError(f"a constant ends at byte {buffer.offset + buffer.size:,} of {len(content):,}")
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0

    def _check(self) -> None:
        """Raise _DamageError if an index leads nowhere, so that all methods of the graphs can be relied on."""
        if not self.graphs:
            raise _DamageError("it contains no graph")
        n_buffers = len(self._model.buffers)
        for graph in self.graphs:
            for operator in graph.operators:
                for tensor in (*operator.inputs, *operator.outputs):
                    if not -1 <= tensor < graph.n_tensors:
                        raise _DamageError(f"{operator.name} names tensor {tensor} of {graph.n_tensors}")
                if operator.name == "DEQUANTIZE" and not (operator.inputs and operator.outputs):
                    raise _DamageError("DEQUANTIZE lacks its input or output")
            for tensor in range(graph.n_tensors):
                if not 0 <= graph.buffer(tensor) < n_buffers:
                    raise _DamageError(f"tensor {tensor} names buffer {graph.buffer(tensor)} of {n_buffers}")
                if any(size < 0 for size in graph.shape(tensor)):
                    raise _DamageError(f"tensor {tensor} has the shape {graph.shape(tensor)}")


def buffer_views(content: bytearray) -> list[npt.NDArray[np.uint8]]:
    """Return the bytes of each buffer of a TFLite file as writable views of `content`."""
    from ai_edge_litert import schema_py_generated as schema

    whole = np.frombuffer(content, np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    # Data is stored after the flatbuffer or in it; DataAsNumpy returns the number 0 for a buffer without data.
    return [
        whole[buffer.Offset() : buffer.Offset() + buffer.Size()]
        if buffer.Offset() > 1
        else np.atleast_1d(buffer.DataAsNumpy())
        for buffer in buffers
    ]


def read_tflite(path: Path) -> TfliteFile:
    """Return the TFLite file at `path`.

    Raises:
        ExportError: if it is missing or cannot be read as TFLite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    return TfliteFile(content, str(path))


def _names(enumeration: type) -> dict[int, str]:
    return dict(_entries(enumeration))


def _entries(enumeration: type) -> Iterator[tuple[int, str]]:
    for name, value in vars(enumeration).items():
        if isinstance(value, int):
            yield value, name
