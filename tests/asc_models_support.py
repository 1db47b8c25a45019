"""Networks for the tests: random descriptions, and models whose weights are all different and not zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from asc_models.config import EXPORT_MODES, ExportMode
from asc_models.networks.blocks import BLOCKS
from asc_models.networks.families import (
    FAMILIES,
    BaselineConfig,
    BcResnetConfig,
    BlockConfig,
    CpMobileConfig,
    ModelConfig,
    StageConfig,
    Tan2025Config,
)
from asc_models.networks.families.residual_network import Head
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.reader.reader import FeatureSet


def model_configs() -> st.SearchStrategy[ModelConfig]:
    """Return a strategy over small residual networks of every kind the factory knows."""
    stage = st.builds(
        StageConfig,
        filters=st.sampled_from([1, 4, 8, 12, 16]),
        stride=st.sampled_from([1, 2, (2, 1), (1, 2)]),
        repeats=st.sampled_from([1, 1, 2]),
    )
    return st.builds(
        _model_config,
        input_norm=st.booleans(),
        stem_filters=st.sampled_from([4, 8, 16]),
        stem_stride=st.sampled_from([1, 2, (2, 1)]),
        stages=st.lists(stage, min_size=1, max_size=4).map(tuple),
        block=st.sampled_from(sorted(BLOCKS)),
        kernel_size=st.sampled_from([3, 5]),
        expansion=st.sampled_from([1, 2, 3]),
        attention=st.sampled_from(["none", "channel", "spatial", "casam"]),
        attention_at=st.sampled_from(["input", "block", "stage"]),
        reduction_ratio=st.sampled_from([2, 4, 8, 32]),
        spatial_kernel_size=st.sampled_from([3, 7]),
        projection_activation=st.booleans(),
        depthwise_branches=st.sampled_from([0, 0, 1, 3]),
        activation=st.sampled_from(["relu", "relu6", "leaky_relu", "hard_swish", "swish", "none"]),
        normalization=st.sampled_from(["batch", "batch", "none"]),
        head=st.sampled_from(get_args(Head)),
        dropout=st.sampled_from([0.0, 0.2]),
    )


def _model_config(*, depthwise_branches: int, **settings) -> ModelConfig:
    """Return a network that has branches only with the norm that they need."""
    return ModelConfig(depthwise_branches=depthwise_branches * (settings["normalization"] == "batch"), **settings)


def cp_mobile_configs() -> st.SearchStrategy[CpMobileConfig]:
    """Return a strategy over small networks of CP-Mobile's kind."""
    return st.builds(
        CpMobileConfig,
        base_channels=st.sampled_from([8, 16]),
        channels_multiplier=st.sampled_from([1.0, 1.5, 2.0]),
        expansion_rate=st.sampled_from([1.0, 1.75, 3.0]),
        n_blocks=st.sampled_from([(1,), (2, 1), (3, 2, 1)]),
        strides=st.sampled_from([{}, {1: 2}, {1: (2, 1)}, {1: (1, 2)}]),
        response_norm=st.booleans(),
    )


def baseline_configs() -> st.SearchStrategy[BaselineConfig]:
    """Return a strategy over small networks of the 2021 baseline's kind."""
    return st.builds(
        BaselineConfig,
        filters=st.tuples(*[st.sampled_from([2, 4, 8])] * 3),
        dense_units=st.sampled_from([5, 20]),
        pools=st.sampled_from([((5, 5), (2, 2)), ((2, 2), (4, 10)), ((2, 4), (2, 1))]),
    )


def bc_resnet_configs() -> st.SearchStrategy[BcResnetConfig]:
    """Return a strategy over small networks of BC-ResNet's kind."""
    return st.builds(
        BcResnetConfig,
        base_channels=st.sampled_from([4, 8]),
        multipliers=st.just((1.0, 1.5)),
        n_blocks=st.sampled_from([(1, 1), (2, 1), (1, 3)]),
        n_pools=st.sampled_from([0, 1, 2]),
        n_bands=st.sampled_from([1, 2, 4]),
        residual_norm=st.booleans(),
        residual_weight=st.sampled_from([0.0, 0.1, 1.0]),
        dropout=st.sampled_from([0.0, 0.1]),
    )


def tan2025_configs() -> st.SearchStrategy[Tan2025Config]:
    """Return a strategy over small networks of the CNN-GRU's kind."""
    return st.builds(
        Tan2025Config,
        stem_channels=st.sampled_from([1, 7]),
        base_channels=st.sampled_from([4, 8, 12]),
        channels_multiplier=st.sampled_from([1.0, 1.25, 2.0]),
        expansion=st.sampled_from([1, 2, 3]),
        head_channels=st.sampled_from([2, 5, 9]),
        kernel_size=st.sampled_from([3, 5]),
        reduction_ratio=st.sampled_from([1, 2, 8]),
        gru_units=st.sampled_from([0, 1, 4, 20]),
        dropout=st.sampled_from([0.0, 0.3]),
        gru_dropout=st.sampled_from([0.0, 0.5]),
    )


NETWORK_CONFIGS = {
    "inverted_residual": model_configs(),
    "dcase_baseline": baseline_configs(),
    "cp_mobile": cp_mobile_configs(),
    "bc_resnet": bc_resnet_configs(),
    "tan2025": tan2025_configs(),
}
"""{family: strategy}"""


STAGES = (StageConfig(filters=8, stride=2, repeats=2), StageConfig(filters=12, stride=(1, 2)))
SAMPLES = {
    "dcase_baseline": BaselineConfig(filters=(4, 4, 8), pools=((5, 5), (2, 2))),  # its own need 500 frames
    "cp_mobile": CpMobileConfig(n_blocks=(2, 1), strides={2: (2, 2), 3: (2, 1)}),  # a block of each kind
    "bc_resnet": BcResnetConfig(base_channels=8, multipliers=(1.0, 1.5), n_blocks=(2, 1), n_pools=1),  # likewise
    "tan2025": Tan2025Config(base_channels=12, head_channels=8, gru_units=24),  # its own are 28 steps of a unit
}
POOLINGS = ("mean_max", "attention")
NETWORKS = {name: SAMPLES.get(name) or family() for name, family in FAMILIES.items() if family is not ModelConfig}
NETWORKS |= {f"block {name}": ModelConfig(block=name, stem_filters=8, stages=STAGES) for name in BLOCKS}
NETWORKS |= {"depthwise branches": ModelConfig(depthwise_branches=2, stem_filters=8, stages=STAGES)}
NETWORKS |= {f"head {name}": ModelConfig(head=name, stem_filters=8, stages=STAGES[1:]) for name in POOLINGS}
"""A small network of every family, every block, branches, and the poolings that are more than one operator."""


def n_params_at_inference(model) -> int:
    """Return the parameters of a Keras model without those that only its training needs."""
    return model.count_params() - sum(layer.n_dropped for layer in model.layers if hasattr(layer, "n_dropped"))


def with_random_weights(model, seed: int = 0):
    """Set every variable to distinct non-zero values: the converter merges equal buffers of an untrained network."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.uniform(0.5, 1.0, variable.shape) * rng.choice([-1.0, 1.0], variable.shape)
        variable.assign(np.abs(values) if "variance" in variable.name else values * 0.3)
    return model


def without_ties(model):
    """Change every weight a little, each differently: the converter merges equal constants, such as dead units have."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign_add(rng.uniform(1e-4, 1e-3, variable.shape))
    return model


def in_every_mode(model, input_shape, calibration: FeatureSet) -> Iterator[tuple[ExportMode, bytes]]:
    """Yield every export mode with its file; no conversion, which takes the most time, is made twice."""
    from asc_models.tflite.export import convert, exported

    converted = cache(lambda conversion: convert(model, input_shape, conversion))
    for mode in EXPORT_MODES:
        yield mode, exported(converted, mode, calibration)


def feature_set(
    n_clips: int = 24,
    n_classes: int = 3,
    n_mels: int = 16,
    n_frames: int = 20,
    deltas: int = 0,
    seed: int = 0,
    n_devices: int = 1,
):
    """Return clips whose scene is the band that is loud, with noise: easy to learn, not constant."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_clips) % n_classes
    log_mel = rng.normal(0, 0.5, (n_clips, n_mels, n_frames))
    for clip, label in enumerate(labels):
        band = n_mels // n_classes
        log_mel[clip, label * band : (label + 1) * band] += 3.0
    classes = tuple(f"scene{i}" for i in range(n_classes))
    clips = pd.DataFrame(
        {
            "clip_id": [f"clip{i}" for i in range(n_clips)],
            "filename": [f"audio/clip{i}.wav" for i in range(n_clips)],
            "scene": [classes[label] for label in labels],
            "device": ["abcdef"[i % n_devices] for i in range(n_clips)],
            "city": [None] * n_clips,
            "location": [f"place{i // 2}" for i in range(n_clips)],
            "segment": [None] * n_clips,
            "augmentation": ["none"] * n_clips,
        }
    )
    spec = FeatureSpec(sample_rate=8000, clip_seconds=(n_frames - 1) * 0.032, n_fft=512, hop_length=256, n_mels=n_mels)
    reader = ReaderSpec(deltas=deltas)
    return FeatureSet(log_mel.astype(np.float16), labels.astype(np.int64), clips, classes, reader, spec)


WINDOWED = ReaderSpec(scaling="none", deltas=2, window_seconds=24 * 0.032, n_windows=4)
"""Four windows of 24 frames."""


def windowed_set(n_clips: int = 24, n_classes: int = 3, n_devices: int = 1, **reader):
    """Return clips of 48 frames read by `WINDOWED`, `reader` changing it."""
    data = feature_set(n_clips, n_classes, n_mels=32, n_frames=48, n_devices=n_devices)
    return replace(data, reader=WINDOWED.updated(**reader))


SMALL_MODEL = ModelConfig(
    stem_filters=8, blocks=(BlockConfig(filters=8, stride=2), BlockConfig(filters=8)), reduction_ratio=4
)


def file_macs(path) -> int:
    """Return the multiply–accumulates of a TFLite file's convolutions and dense layers, from the file alone."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph, total = model.subgraphs[0], 0
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind in (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D):
            _, height, width, _ = graph.tensors[operator.outputs[0]].shape
            total += int(np.prod(graph.tensors[operator.inputs[1]].shape)) * int(height) * int(width)
        elif kind == schema.BuiltinOperator.FULLY_CONNECTED:
            total += int(np.prod(graph.tensors[operator.inputs[1]].shape))
    return total
