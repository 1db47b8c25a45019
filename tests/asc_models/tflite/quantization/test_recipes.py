"""Ranges of int4 kernels."""

from __future__ import annotations

import numpy as np
import pytest
from asc_models_support import feature_set

from asc_models.networks.families import BlockConfig, ModelConfig
from asc_models.tflite.export import convert
from asc_models.tflite.flatbuffer import Graph, TfliteFile
from asc_models.tflite.quantization.recipes import apply, mixed_weights
from asc_models.training.builder import build

pytestmark = pytest.mark.system

CLIPS = feature_set(2)
WIDE = ModelConfig(stem_filters=8, blocks=(BlockConfig(filters=32),) * 2, expansion=5, attention="none")


def int4_kernels(graph: Graph) -> list[np.ndarray]:
    """Return the values that a file's int4 kernels stand for, one row per output channel."""
    stored = {operator.outputs[0]: operator.inputs[0] for operator in graph.operators if operator.name == "DEQUANTIZE"}
    found = []
    for operator in graph.operators:
        tensor = stored.get(operator.inputs[1], -1) if operator.name == "CONV_2D" else -1
        if tensor >= 0 and graph.type_name(tensor) == "INT4":
            data, shape = graph.data(tensor), graph.shape(tensor)
            halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[: np.prod(shape)].astype(np.int64)
            scales, _ = graph.quantization(tensor)
            found.append(np.where(halves > 7, halves - 16, halves).reshape(shape[0], -1) * scales[:, np.newaxis])
    return found


def test_ranges_of_int4_kernels_clip_outliers():
    """Kernels with heavy tails: the squared error is below that of ranges up to the largest weight."""
    model, rng = build(WIDE, CLIPS.input_shape, 3), np.random.default_rng(0)
    for variable in model.weights:
        if len(variable.shape) == 4:
            variable.assign(rng.standard_t(3, variable.shape) / 8)
    content = convert(model, CLIPS.input_shape)
    ours, plain = (
        int4_kernels(TfliteFile(apply(content, mixed_weights(content, *ranges)), "file").graph)
        for ranges in ((), ("min_max_uniform_quantize",))
    )
    graph = TfliteFile(content, "file").graph
    floats = [graph.floats(operator.inputs[1]) for operator in graph.operators if operator.name == "CONV_2D"]
    kernels = [values.reshape(len(values), -1) for values in floats if values.size in {kernel.size for kernel in ours}]
    assert len(kernels) == len(ours) == len(plain) > 0
    for kernel, one, other in zip(kernels, ours, plain, strict=True):
        assert np.mean((one - kernel) ** 2) < 0.98 * np.mean((other - kernel) ** 2)
