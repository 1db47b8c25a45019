import tempfile
from pathlib import Path

import pytest
from asc_models_support import NETWORK_CONFIGS, feature_set, in_every_mode, with_random_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from asc_models.config import EXPORT_MODES
from asc_models.networks.estimate import estimate, layer_bytes
from asc_models.networks.families import BaselineConfig, BlockConfig, ModelConfig
from asc_models.tflite.export import export
from asc_models.tflite.measure import measure
from asc_models.training.builder import build

pytestmark = pytest.mark.system

SHAPE = (32, 40, 3)
N_CLASSES = 10


CALIBRATION = feature_set(6, N_CLASSES, n_mels=32, n_frames=48, deltas=2)


def wide_networks():
    """Return a strategy over networks with kernels on both sides of every mode's limit, tiny ones among them."""
    block = st.builds(
        BlockConfig, filters=st.sampled_from([1, 2, 12, 33, 64]), stride=st.sampled_from([1, 1, 2, (2, 1)])
    )
    return st.builds(
        ModelConfig,
        stem_filters=st.sampled_from([1, 7, 33]),
        blocks=st.lists(block, min_size=1, max_size=3).map(tuple),
        block=st.sampled_from(["inverted_residual", "residual"]),
        kernel_size=st.sampled_from([3, 5]),
        expansion=st.sampled_from([1, 2, 4]),
        attention=st.sampled_from(["none", "channel", "spatial", "casam"]),
        reduction_ratio=st.sampled_from([2, 8, 64]),
        spatial_kernel_size=st.sampled_from([1, 7]),
        normalization=st.sampled_from(["batch", "none"]),
    )


ANY_NETWORK = st.one_of(wide_networks(), *NETWORK_CONFIGS.values())


def check_every_mode(config, seed):
    """Hold the estimate against files with weights that are all different and not zero."""
    expected = estimate(config, SHAPE, N_CLASSES)
    model = build(config, SHAPE, N_CLASSES)
    assert model.count_params() == expected.n_params
    for attempt in range(3):  # constants of one value may be equal when rounded, and are merged then: draw others
        measured = measured_in_every_mode(with_random_weights(model, seed + 100 * attempt))
        weight_bytes = {mode: sizes.weight_bytes for mode, sizes in measured.items()}
        assert all(n_bytes <= expected.weight_bytes[mode] for mode, n_bytes in weight_bytes.items())
        if weight_bytes == expected.weight_bytes:
            break
    assert weight_bytes == expected.weight_bytes
    for mode, sizes in measured.items():
        assert sizes.nonzero_weight_bytes <= expected.quantities(mode)["nonzero_weight_bytes"], mode
        assert sizes.file_bytes >= expected.quantities(mode)["file_bytes"], mode
    assert expected.weight_bytes["int4_int8_weights"] <= expected.weight_bytes["int8_weights"]
    # A convolution of a TFLite file always has a bias: the converter adds zeros, which equal ones share.
    without_bias = [layer for layer in expected.layers if layer.kind in ("conv", "depthwise") and not layer.n_bias]
    zeros = 4 * sum({layer.output_shape[2] for layer in without_bias})
    for mode in EXPORT_MODES:
        assert 0 <= expected.weight_bytes[mode] - sum(layer_bytes(layer, mode) for layer in expected.layers) <= zeros


def measured_in_every_mode(model):
    """Return {mode: what the exported file holds}."""
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        for mode, content in in_every_mode(model, SHAPE, CALIBRATION):
            path.write_bytes(content)
            measured[mode] = measure(path)
            assert measured[mode].file_bytes == path.stat().st_size
    return measured


@settings(max_examples=20, deadline=None)
@given(config=ANY_NETWORK, seed=st.integers(0, 9))
def test_estimate_equals_measure(config, seed):
    """The estimated weight bytes are the exported file's, to the byte, in every mode, for networks of every kind."""
    check_every_mode(config, seed)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(max_examples=400, deadline=None)
@given(config=ANY_NETWORK, seed=st.integers(0, 9))
def test_estimate_equals_measure_many_times(config, seed):
    """The same over hundreds of networks."""
    check_every_mode(config, seed)


def test_constants_behind_the_flatbuffer_are_counted():
    """A network of over a megabyte, whose kernels the quantizer stores outside the flatbuffer, is weighed too."""
    stages = tuple({"filters": 64, "stride": 2} for _ in range(3))
    check_every_mode(ModelConfig(stages=stages, block="residual", attention="channel", reduction_ratio=2), 0)


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
