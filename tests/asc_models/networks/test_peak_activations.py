"""Peak activation bytes: the estimate beside what the interpreter lays out."""

import pytest
from arena_support import arena_bytes
from asc_models_support import with_random_weights

from asc_models.networks.estimate import estimate
from asc_models.networks.families import CpMobileConfig, ModelConfig, StageConfig
from asc_models.networks.presets import preset
from asc_models.tflite.export import export
from asc_models.training.builder import build

pytestmark = pytest.mark.system

SKIPS = ModelConfig(stages=(StageConfig(filters=16, stride=2, repeats=3), StageConfig(filters=24, repeats=2)))


@pytest.mark.parametrize(
    ("network", "shape", "slack"),
    [
        (preset("cao2021-system4"), (128, 423, 3), 1.0),
        (preset("cp-mobile"), (256, 64, 1), 1.0),
        (preset("tan2025"), (256, 33, 1), 1.2),
        (SKIPS, (64, 100, 3), 1.2),
        (SKIPS.updated(attention="none", expansion=1), (64, 100, 3), 1.2),
        (SKIPS.updated(activation="hard_swish", input_norm=True), (64, 100, 3), 1.2),
        (SKIPS.updated(activation="swish", attention="none", stem_stride=1), (64, 100, 3), 1.2),
        (CpMobileConfig(base_channels=32, strides={}, response_norm=False), (64, 64, 1), 1.35),
    ],
    ids=["system4", "cp-mobile", "tan2025", "skips", "no-expansion", "hard-swish", "swish", "unstrided"],
)
def test_the_peak_is_the_interpreters_arena(network, shape, slack, tmp_path):
    """The estimate is what must live together at least: the arena is no smaller, and larger by the layout's gaps."""
    export(with_random_weights(build(network, shape, 10)), shape, tmp_path / "model.tflite", "float32")
    expected = estimate(network, shape, 10).peak_activation_bytes
    assert expected <= arena_bytes(tmp_path / "model.tflite") <= slack * expected
