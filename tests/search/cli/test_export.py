"""`asc export`: a folder, or one sentence about why there is none."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from candidate_support import write_candidate
from cli_support import asc

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    return write_candidate(tmp_path_factory.mktemp("candidate") / "t0000-s0", "int8_weights")


def test_each_format_writes_its_folder(candidate, tmp_path):
    """With a README and labels; the last line names it; the array's size is said next to the file's."""
    for name, files in {
        "tflite": {"model.tflite", "config.yaml", "labels.txt", "README.md"},
        "c": {"model.h", "model.c", "model.tflite", "config.yaml", "labels.txt", "README.md"},
    }.items():
        said = asc("export", candidate, "--to", name, "--out", tmp_path / name)
        assert {path.name for path in (tmp_path / name).iterdir()} == files
        assert said.stdout.splitlines()[-1] == f"Written: {tmp_path / name}"
    assert f"the candidate's file {(candidate / 'model.tflite').stat().st_size:,}." in said.stdout


def test_the_users_recordings_are_checked(candidate, tmp_path):
    """`--audio` names them; one that is none is an error, before anything is written."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 20_000), 8000)
    said = asc("export", candidate, "--to", "c", "--out", tmp_path / "c", "--audio", tmp_path / "a.wav")
    assert "on 1 recording its probabilities differ" in said.stdout
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    said = asc("export", candidate, "--to", "c", "--out", tmp_path / "no", "--audio", tmp_path / "bad.wav", code=1)
    assert f"{tmp_path / 'bad.wav'}: " in said.stderr
    assert not (tmp_path / "no").exists()


def test_mistakes_are_one_sentence(candidate, tmp_path):
    """A format that is none, a folder in use, what is no candidate, and what a format needs."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").write_text("kept")
    assert "--to" in asc("export", candidate, "--to", "pickle", "--out", tmp_path / "x", code=2).stderr
    assert "--to" in asc("export", candidate, "--out", tmp_path / "x", code=2).stderr
    for arguments, reason in (
        ((candidate, "--to", "tflite", "--out", tmp_path / "used"), "need a new or empty folder"),
        ((tmp_path / "nowhere", "--to", "c", "--out", tmp_path / "x"), "no such candidate folder or zip"),
        ((candidate, "--to", "hf", "--out", tmp_path / "x"), "has no metrics.json"),
        ((candidate, "--to", "tflite", "--out", tmp_path / "x", "--audio", "a.wav"), "only c and onnx are checked"),
    ):
        said = asc("export", *arguments, code=1)
        assert reason in " ".join(said.stderr.split())
    assert not (tmp_path / "x").exists()
