"""Files that vote over windows of a clip: answers, sizes, costs, in every mode."""

import numpy as np
import pytest
from arena_support import arena_bytes
from asc_models_support import (
    NETWORKS,
    SMALL_MODEL,
    WINDOWED,
    file_macs,
    in_every_mode,
    windowed_set,
    with_random_weights,
    without_ties,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import ModelConfig
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.bench import bench
from asc_models.tflite.export import convert, export
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.measure import measure
from asc_models.tflite.quantization.drift import layer_drift
from asc_models.tflite.quantization.probe import require_running
from asc_models.tflite.quantization.quantize import quantize
from asc_models.tflite.rung_reader import RungReader
from asc_models.tflite.template import file_constants, find_template
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer
from asc_models.training.voting import Voting, answering
from data_prep.config import Windows

pytestmark = pytest.mark.system

DATA = windowed_set(24)
CALIBRATION = windowed_set(6, 10)
SHAPE, WINDOWS = DATA.input_shape, DATA.windows
N_CLASSES = 10

networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def trained(request, tmp_path_factory):
    """A network's description, its Keras model after six epochs on windows, and {mode: its voting file}."""
    trainer = Trainer(request.param, TrainConfig(batch_size=8, learning_rate=0.05, mixup_alpha=0.0), DATA, seed=0)
    trainer.train_to(6)
    folder = tmp_path_factory.mktemp("files")
    files = {}
    for mode, content in in_every_mode(answering(without_ties(trainer.model), WINDOWS), SHAPE, DATA):
        files[mode] = folder / f"{mode}.tflite"
        files[mode].write_bytes(content)
    return request.param, trainer.model, files


def by_window(model, data):
    """Return the mean of the Keras network's answers to windows, cut and run one by one."""
    clips = data.inputs(slice(None))
    starts = WINDOWS.starts(clips.shape[2])
    return np.mean([model(clips[:, :, s : s + WINDOWS.n_frames], training=False).numpy() for s in starts], axis=0)


def test_a_voting_file_answers_as_the_windows_do(trained):
    """In float32 a trained network's file is within 1e-4 of its answers window by window; every other mode agrees."""
    _, model, files = trained
    theirs = by_window(model, DATA)
    for mode, path in files.items():
        artifact = Artifact(path)
        ours = artifact.predict(DATA)
        assert artifact.input_shape == SHAPE
        np.testing.assert_allclose(ours, theirs, atol=1e-4 if mode == "float32" else 0.1, err_msg=mode)
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.95, mode


def test_a_voting_file_weighs_what_its_network_weighs(trained):
    """Bytes are those of the network alone, to the byte in every mode; MACs are those of all windows."""
    network, _, files = trained
    n_classes = len(DATA.classes)
    expected = estimate(network, SHAPE, n_classes, WINDOWS)
    alone = estimate(network, DATA.network_shape, n_classes)
    assert expected.weight_bytes == alone.weight_bytes
    assert (expected.n_params, expected.macs) == (alone.n_params, 4 * alone.macs)
    assert sum(layer.macs for layer in expected.layers) == expected.macs
    for mode, path in files.items():
        assert measure(path).weight_bytes == expected.weight_bytes[mode], mode
    assert 4 * file_macs(files["float32"]) == expected.macs  # counted for one element of a batch
    assert expected.peak_activation_bytes <= arena_bytes(files["float32"])


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_frames=st.integers(12, 40), n_windows=st.integers(1, 12), place=st.integers(0, len(NETWORKS) - 1))
def test_any_windows_have_their_closed_forms(n_frames, n_windows, place, tmp_path):
    """However many and long the windows: bytes, MACs, and activations under the interpreter's own."""
    network, windows = list(NETWORKS.values())[place], Windows(n_frames, n_windows)
    expected = estimate(network, SHAPE, N_CLASSES, windows)
    model = with_random_weights(build(network, (SHAPE[0], n_frames, SHAPE[2]), N_CLASSES))
    export(Voting(model, windows), SHAPE, tmp_path / "model.tflite", "float32")
    assert measure(tmp_path / "model.tflite").weight_bytes == expected.weight_bytes["float32"]
    assert n_windows * file_macs(tmp_path / "model.tflite") == expected.macs
    assert expected.peak_activation_bytes <= arena_bytes(tmp_path / "model.tflite")


def test_peak_activations_count_all_windows():
    """By hand: the stem's input and output in each window, and the clip; more windows need more, none the plain sum."""
    network = ModelConfig(stem_filters=8, stem_stride=1, stages=({"filters": 8},), attention="none", expansion=1)
    window = 32 * 24
    peak = estimate(network, SHAPE, 3, WINDOWS).peak_activation_bytes
    assert peak == 4 * (32 * 40 * 3 + 4 * 3 * 8 * window)  # a block's input, which waits, and a map in and a map out
    assert estimate(network, SHAPE, 3, Windows(24, 8)).peak_activation_bytes > peak


@networks
def test_a_voting_file_is_a_template(network):
    """Filled with other weights it is byte for byte the converter's own."""
    model = with_random_weights(build(network, DATA.network_shape, N_CLASSES))
    template = find_template(convert(Voting(model, WINDOWS), SHAPE), file_constants(model))
    assert template is not None
    with_random_weights(model, 1)
    assert template.filled(file_constants(model)) == convert(Voting(model, WINDOWS), SHAPE)


@pytest.mark.parametrize("mode", ["float32", "int8_weights", "int8"])
def test_a_rung_reads_the_voting_file(mode, tmp_path):
    """At a rung the answers and sizes are those of the exported file, also from its template."""
    trainer = Trainer(SMALL_MODEL, TrainConfig(batch_size=8, mixup_alpha=0.0), DATA, seed=0)
    reader = RungReader()
    for epoch in (1, 2):
        trainer.train_to(epoch)
        read = reader.read(trainer.model, "small", DATA, mode, DATA)
        export(answering(trainer.model, WINDOWS), SHAPE, tmp_path / "model.tflite", mode, DATA)
        np.testing.assert_array_equal(read.probabilities, Artifact(tmp_path / "model.tflite").predict(DATA))
        assert read.sizes == measure(tmp_path / "model.tflite")


def test_other_windows_have_other_templates():
    """One network read with other windows answers by those."""
    trainer = Trainer(SMALL_MODEL, TrainConfig(batch_size=8, mixup_alpha=0.0), DATA, seed=0)
    trainer.train_to(1)
    reader, fewer = RungReader(), windowed_set(24, n_windows=2)
    one, two = (reader.read(trainer.model, "small", data, "float32").probabilities for data in (DATA, fewer))
    assert np.abs(one - two).max() > 1e-5
    by_two = answering(trainer.model, fewer.windows)(fewer.inputs(slice(None))).numpy()
    np.testing.assert_allclose(two, by_two, atol=1e-4)


def test_the_first_convolution_stays_float():
    """In full int8 a voting file reads log-mels and deltas in float as any other: its windows are still the input."""
    model = with_random_weights(build(SMALL_MODEL, CALIBRATION.network_shape, N_CLASSES))
    content = quantize(convert(Voting(model, WINDOWS), SHAPE), "int8", CALIBRATION)
    graph = TfliteFile(content, "test").graph
    first = next(operator for operator in graph.operators if operator.name == "CONV_2D")
    assert graph.type_name(first.inputs[0]) == "FLOAT32"
    assert any(graph.type_name(operator.inputs[0]) == "INT8" for operator in graph.operators if "CONV" in operator.name)


def test_a_voting_file_runs_wherever_files_run(tmp_path):
    """It passes the probe with and without XNNPACK, is timed by the clip, and its layers can be compared."""
    model = with_random_weights(build(SMALL_MODEL, CALIBRATION.network_shape, N_CLASSES))
    path = tmp_path / "model.tflite"
    export(Voting(model, WINDOWS), SHAPE, path, "int8_weights")
    clips = CALIBRATION.inputs(slice(0, 2))
    require_running(path, clips)
    assert bench(path, 3).n_clips == 3
    drift = layer_drift(convert(Voting(model, WINDOWS), SHAPE), path, clips)
    assert {"stem", "logits"} & {layer.name.removesuffix("_relu") for layer in drift}
    assert WINDOWED.input_shape(DATA.spec) == SHAPE
