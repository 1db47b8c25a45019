"""Microcontrollers: the file that is written for them gives the same answers, and the check says what happens there."""

from __future__ import annotations

import numpy as np
import pytest
from asc_models_support import feature_set, in_every_mode, with_random_weights

from asc_models.networks.families import ModelConfig, StageConfig
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.micro import check_micro, for_microcontrollers
from asc_models.training.builder import build
from data_prep.errors import AscError

pytestmark = pytest.mark.system

MODEL = ModelConfig(
    stem_filters=32, stages=(StageConfig(filters=64, stride=2, repeats=1),), attention="casam", activation="relu"
)
"""Its largest kernel, 96 × 64, is stored as int4 where that is allowed; its attention has dense layers."""


@pytest.fixture(scope="module")
def clips():
    return feature_set(n_clips=6, n_classes=3, n_mels=16, n_frames=20)


@pytest.fixture(scope="module")
def files(clips):
    """{export mode: file} of one network with random weights."""
    model = with_random_weights(build(MODEL, clips.input_shape, 3))
    return dict(in_every_mode(model, clips.input_shape, clips))


def answers(content, clips, folder):
    (folder / "m.tflite").write_bytes(content)
    return Artifact(folder / "m.tflite").predict(clips)


@pytest.mark.parametrize("mode", ["float32", "float16", "dynamic_range", "int8_weights", "int4_int8_weights", "int8"])
def test_the_file_for_microcontrollers_gives_the_same_answers(mode, files, clips, tmp_path):
    """In the usual interpreter up to rounding; no constant is dequantized any more; no operator is unused."""
    made = for_microcontrollers(files[mode])
    np.testing.assert_allclose(answers(made, clips, tmp_path), answers(files[mode], clips, tmp_path), atol=1e-6)
    file = TfliteFile(made, "made")
    dequantized = [one.inputs[0] for one in file.graph.operators if one.name == "DEQUANTIZE"]
    assert not any(file.graph.data(tensor) is not None for tensor in dequantized)
    assert set(file.operator_versions) == {operator.name for operator in file.graph.operators}
    has_stored = mode not in ("float32", "dynamic_range")
    assert (made != files[mode]) == has_stored


def test_a_damaged_file_is_refused(files):
    """Bytes that are no TFLite, and a kernel with fewer values than its shape has."""
    with pytest.raises(AscError, match="cannot be read as a TFLite file"):
        for_microcontrollers(b"no model")
    file = TfliteFile(files["int8_weights"], "the file")
    kernel = next(one.inputs[0] for one in file.graph.operators if one.name == "DEQUANTIZE")
    file.model.subgraphs[0].tensors[kernel].shape = np.array([7, 7, 7, 7], np.int32)
    with pytest.raises(AscError, match="the model file is damaged"):
        for_microcontrollers(file.content())


@pytest.mark.parametrize("mode", ["float32", "float16", "int8_weights", "int4_int8_weights", "int8"])
def test_microcontrollers_give_the_same_answers(mode, files, clips, tmp_path):
    """The interpreter for microcontrollers runs what is written for it, and counts the memory that it takes."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    expected = answers(files[mode], clips, tmp_path)
    check = check_micro(for_microcontrollers(files[mode]), clips.inputs(slice(None)), expected)
    assert check.failure == ""
    assert check.max_difference < (1e-5 if mode != "int8" else 0.01)
    assert (check.n_same, check.n_clips, check.agrees) == (6, 6, True)
    assert 4 * np.prod(clips.input_shape) < check.arena_bytes < 10_000_000


def test_the_unchanged_file_would_give_other_answers(files, clips, tmp_path):
    """The reason for the change: kernels with a scale per channel come out wrong, without an error."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    check = check_micro(
        files["int8_weights"], clips.inputs(slice(None)), answers(files["int8_weights"], clips, tmp_path)
    )
    assert check.failure == ""
    assert check.max_difference > 1e-3


def test_an_operator_that_microcontrollers_lack_is_named(files, clips, tmp_path):
    """Hybrid kernels, and a file that is none: why it does not run, in one line."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    expected, inputs = answers(files["dynamic_range"], clips, tmp_path), clips.inputs(slice(None))
    check = check_micro(files["dynamic_range"], inputs, expected)
    assert "Hybrid models are not supported" in check.failure
    assert "Node CONV_2D" in check.failure
    assert not check.agrees
    broken = check_micro(b"no model", inputs, expected)
    assert broken.failure
    assert "\n" not in broken.failure
