"""ONNX: the network before quantization, with Keras' answers."""

from __future__ import annotations

import numpy as np
import pytest
from candidate_support import write_candidate
from ensemble_support import write_ensemble

from asc_models.candidate import CONFIG, read_candidate_config
from asc_models.ensemble import opened_system
from asc_models.exports.clips import all_inputs, check_clips
from asc_models.exports.onnx_model import onnx_export
from asc_models.tflite.artifact import Artifact
from data_prep.errors import AscError, ConfigError

pytestmark = pytest.mark.system

READERS = {"clips": {}, "windows": {"scaling": "none", "window_seconds": 0.3, "n_windows": 4}}


@pytest.fixture
def runtime():
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.mark.parametrize("reading", READERS)
def test_onnx_runtime_gives_the_answers(reading, runtime, tmp_path):
    """On several clips at once, those of the float32 file; with windows the average is in the network."""
    candidate = write_candidate(tmp_path / "t0000-s0", with_network=True, **READERS[reading])
    with opened_system(candidate) as system:
        exported = onnx_export(system)
    assert set(exported.files) == {"model.onnx", "config.yaml", "labels.txt", "README.md"}
    clips = check_clips(read_candidate_config(candidate / CONFIG))
    session = runtime.InferenceSession(exported.files["model.onnx"], providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"log_mel": all_inputs(clips)})
    np.testing.assert_allclose(found, Artifact(candidate / "model.tflite").predict(clips), atol=1e-5)
    assert "on 10 synthesized clips" in exported.findings[0]


def test_what_cannot_be_exported_is_refused(runtime, tmp_path):
    """An ensemble, a candidate without its network, and a network that is damaged or another one."""
    without = write_candidate(tmp_path / "without")
    damaged = write_candidate(tmp_path / "damaged")
    (damaged / "model.keras").write_bytes(b"no network")
    for path, reason in (
        (write_ensemble(tmp_path), "is an ensemble"),
        (without, r"has no model\.keras.*RUN/candidates/NAME"),
        (damaged, r"model\.keras: its weights are not those of config\.yaml"),
    ):
        with opened_system(path) as system, pytest.raises(AscError, match=reason):
            onnx_export(system)


def test_a_missing_converter_is_named(tmp_path, monkeypatch):
    """With what to install."""
    monkeypatch.setattr("asc_models.exports.onnx_model.find_spec", lambda name: None)
    reason = r"tf2onnx, onnx, onnxruntime: not installed.*asc-search\[onnx\]"
    candidate = write_candidate(tmp_path / "t0000-s0")
    with opened_system(candidate) as system, pytest.raises(ConfigError, match=reason):
        onnx_export(system)
