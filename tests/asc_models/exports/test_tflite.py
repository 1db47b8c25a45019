"""The TFLite folder: the same bytes, and words enough to use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from candidate_support import CLASSES, write_candidate
from ensemble_support import write_ensemble

from asc_models.classifier import Classifier
from asc_models.ensemble import opened_system
from asc_models.exports.tflite import tflite_export
from data_prep.files.folders import write_folder

pytestmark = pytest.mark.system

WAVE = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)


@pytest.mark.parametrize("kind", ["candidate", "ensemble"])
def test_the_folder_answers_like_its_source(kind, tmp_path):
    """`Classifier` opens it, and gives the same probabilities to the last bit."""
    source = write_candidate(tmp_path / "t0000-s0") if kind == "candidate" else write_ensemble(tmp_path)
    with opened_system(source) as system:
        write_folder(tmp_path / "out", tflite_export(system).files)
    found, expected = (Classifier(path).predict(WAVE, 8000) for path in (tmp_path / "out", source))
    np.testing.assert_array_equal(found, expected)
    assert (tmp_path / "out" / "labels.txt").read_text().split() == list(CLASSES)


def test_the_readme_says_what_goes_in_and_what_comes_out(tmp_path):
    """Rates, sizes, scaling, shapes and the order of the scenes, of the candidate's own configuration."""
    with opened_system(
        write_candidate(tmp_path / "t0000-s0", "int8_weights", scaling="standardize", deltas=0)
    ) as system:
        readme = tflite_export(system).files["README.md"].decode()
    for text in (
        "resampled to 8,000 Hz",
        "Fourier transform of 512 samples every 256 samples",
        "16 triangular mel filters from 0 to 4000 Hz",
        "minus `statistics.mean`",
        "`float32`, 1 × 16 × 32 × 1",
        "| 0 | bus |\n| 1 | airport |\n| 2 | park |",
        "Export mode `int8_weights`",
        "`CONV_2D` 1",
    ):
        assert text in readme


def test_windows_and_deltas_are_described(tmp_path):
    """A file that averages windows says so; members that read the features differently have their own steps."""
    candidate = write_candidate(tmp_path / "t0000-s0", scaling="none", window_seconds=0.3, n_windows=4)
    with opened_system(candidate) as system:
        assert "the file itself cuts 4 windows of 0.3 s" in tflite_export(system).files["README.md"].decode()
    with opened_system(write_ensemble(tmp_path)) as system:
        readme = tflite_export(system).files["README.md"].decode()
    assert readme.index("Then, for a:") < readme.index("minimum is 0") < readme.index("Then, for b:")


def test_names_are_inert_in_the_readme(tmp_path):
    """A scene's name is shown as it is: no HTML, no link, no table, no control character."""
    hostile = ("<script>x</script>", "[a](http://b)", "a|b\n# c", "\x1b[2J", "*_`$@&!")
    with opened_system(write_candidate(tmp_path / "t0000-s0", classes=hostile)) as system:
        files = tflite_export(system).files
    text = files["README.md"].decode()
    assert r"| 0 | \<script\>x\</script\> |" in text
    assert r"| 1 | \[a\](http\://b) |" in text
    assert r"| 2 | a\|b\\n\# c |" in text
    assert "\x1b" not in text + files["labels.txt"].decode()
    assert len(files["labels.txt"].decode().splitlines()) == 5


def test_the_title_is_the_name_of_the_folder(tmp_path, monkeypatch):
    """Also from inside of it, where the path has no name."""
    monkeypatch.chdir(write_candidate(tmp_path / "t0000-s0"))
    with opened_system(Path()) as system:
        assert tflite_export(system).files["README.md"].decode().startswith("# t0000-s0\n")
