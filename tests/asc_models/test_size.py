import pytest
from asc_models_support import model_configs, with_random_weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asc_models.builder import build
from asc_models.config import EXPORT_MODES
from asc_models.estimate import estimate
from asc_models.export import export
from asc_models.families import BaselineConfig, ModelConfig
from asc_models.measure import measure

SHAPE = (32, 40, 3)
N_CLASSES = 10


@pytest.mark.parametrize("mode", EXPORT_MODES)
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=model_configs(), seed=st.integers(0, 9))
def test_estimate_equals_measure(config, seed, mode, tmp_path):
    """The estimated weight bytes are the exported file's, to the byte, and bound its non-zero bytes from above."""
    model = with_random_weights(build(config, SHAPE, N_CLASSES), seed)
    expected = estimate(config, SHAPE, N_CLASSES)
    assert model.count_params() == expected.n_params
    export(model, SHAPE, tmp_path / "model.tflite", mode)
    measured = measure(tmp_path / "model.tflite")
    assert measured.weight_bytes == expected.weight_bytes[mode]
    assert measured.nonzero_weight_bytes <= expected.weight_bytes[mode]
    assert measured.file_bytes == (tmp_path / "model.tflite").stat().st_size


def test_baseline_weighs_what_the_organisers_print():
    """The 2021 baseline has 46,246 parameters and 91,980 bytes as TFLite float16 (organisers' printed figures)."""
    table = estimate(BaselineConfig(), (40, 500, 1), 10)
    assert table.n_params == 46_246
    assert table.weight_bytes["float16"] == 91_980


def test_baseline_file_weighs_what_the_organisers_print(tmp_path):
    """The exported float16 file of the 2021 baseline holds 91,980 bytes of weights."""
    model = with_random_weights(build(BaselineConfig(), (40, 500, 1), 10))
    export(model, (40, 500, 1), tmp_path / "model.tflite", "float16")
    assert measure(tmp_path / "model.tflite").weight_bytes == 91_980


def test_reduction_ratio_is_clamped():
    """Channel attention keeps one hidden neuron where r exceeds the channels."""
    wide = estimate(ModelConfig(reduction_ratio=64, attention="channel"), SHAPE, N_CLASSES)
    hidden = [layer.output_shape[2] for layer in wide.layers if layer.name.endswith("reduce")]
    assert hidden == [1, 1, 1]
