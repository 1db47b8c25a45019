"""Damaged TFLite files, reproducible by seed."""

from __future__ import annotations

import random

import numpy as np

KILLER = 559
"""Seed by which the file of `write_dense_tflite` becomes one that kills its process in the interpreter of 2026."""
SPREAD = 0.618
"""Step between places of a file, as a share of its length: consecutive multiples are spread evenly."""
EXTREMES = (b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 4, b"\0" * 4)


def mutated(source: bytes, seed: int) -> bytes:
    """Return a TFLite file with bytes changed, cut, or replaced by extreme numbers."""
    chance, data = random.Random(seed), bytearray(source)
    kind = seed % 4
    if kind == 0:
        del data[chance.randrange(len(data)) :]
    for _ in range((0, 12, 1, 1)[kind]):
        place = chance.randrange(len(data) - 4)
        if kind == 1:
            data[place] = chance.randrange(256)
        elif kind == 2:  # at places spread over the file: some in the weights, which change the answer alone
            data[int(seed * SPREAD % 1.0 * len(data))] ^= 1 << chance.randrange(8)
        else:
            data[place : place + 4] = chance.choice(EXTREMES)
    return bytes(data)


def memory_bomb(n_copies: int = 40_000) -> bytes:
    """Return a small TFLite file that repeats its input of 8 numbers `n_copies`² times: 51 GB by default."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TILE
    operator.inputs, operator.outputs = [0, 1], [2]
    copies = schema.BufferT()
    copies.data = np.frombuffer(np.asarray([n_copies, n_copies], np.int32).tobytes(), np.uint8)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT(), copies]
    graph.inputs, graph.outputs, graph.operators, graph.tensors = [0], [2], [operator], []
    for shape, kind, buffer in (((1, 8), "FLOAT32", 0), ((2,), "INT32", 1), ((n_copies, 8 * n_copies), "FLOAT32", 0)):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), getattr(schema.TensorType, kind), buffer
        graph.tensors.append(tensor)
    return bytes(convert_object_to_bytearray(model))
