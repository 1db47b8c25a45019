"""`asc predict`: files and folders in, lines, JSON or a table out, and one bad file costs no other its answer."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from candidate_support import CLASSES, write_candidate
from cli_support import asc

from asc_models.classifier import Answer
from search.cli.predict import _write

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    return write_candidate(tmp_path_factory.mktemp("candidate") / "t0000-s0")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """A folder with a recording of 2.5 s, one of 0.5 s in a folder of its own, one that is damaged, and a text."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    (folder / "more").mkdir()
    soundfile.write(folder / "long.wav", rng.uniform(-0.5, 0.5, 20_000), 8000)
    soundfile.write(folder / "more" / "short.wav", rng.uniform(-0.5, 0.5, 4000), 8000)
    (folder / "bad.wav").write_bytes(b"no audio")
    (folder / "notes.txt").write_text("no audio")
    return folder


def test_every_good_file_of_a_folder_is_answered(candidate, audio, tmp_path):
    """Lines for those that can be read, an error for the one that cannot, and exit code 1; the table has the good."""
    said = asc("predict", candidate, audio, "--csv", tmp_path / "t.csv", code=1)
    lines = said.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(audio / name) for name in ("long.wav", "more/short.wav")]
    assert lines[0].endswith("(mean of 3 windows)")
    assert f"Error: {audio / 'bad.wav'}: " in said.stderr
    assert f"{audio / 'more/short.wav'}: is 0.50 s long, shorter than the clips of 1 s" in said.stderr
    table = pd.read_csv(tmp_path / "t.csv")
    assert table.columns.tolist() == ["file", "start_s", "end_s", "scene", *(f"p_{scene}" for scene in CLASSES)]
    assert table["end_s"].tolist() == [2.5, 0.5]
    np.testing.assert_allclose(table.filter(like="p_").sum(axis=1), 1, atol=1e-5)
    best = table.filter(like="p_").idxmax(axis=1).str.removeprefix("p_")
    assert best.tolist() == table["scene"].tolist()


def test_windows_have_a_row_each(candidate, audio, tmp_path):
    """Their mean is the answer to the recording, in every output."""
    options = ("--windows", "--csv", tmp_path / "t.csv")
    windows = json.loads(asc("predict", candidate, audio / "long.wav", *options, "--json").stdout)
    assert [(row["start_s"], row["end_s"]) for row in windows] == [(0.0, 1.0), (0.75, 1.75), (1.5, 2.5)]
    (whole,) = json.loads(asc("predict", candidate, audio / "long.wav", "--json").stdout)
    for scene in CLASSES:
        mean = np.mean([row["probabilities"][scene] for row in windows])
        assert whole["probabilities"][scene] == pytest.approx(mean, abs=1e-6)
    assert len(pd.read_csv(tmp_path / "t.csv")) == 3
    assert "long.wav 0.75–1.75 s: " in asc("predict", candidate, audio / "long.wav", "--windows").stdout


def test_failures_are_in_the_json_too(candidate, audio, tmp_path):
    """A damaged file, one that is not there, and a folder without audio; nothing good, nothing but errors."""
    (tmp_path / "empty").mkdir()
    names = [audio / "bad.wav", tmp_path / "no.wav", tmp_path / "empty"]
    rows = json.loads(asc("predict", candidate, *names, "--json", code=1).stdout)
    assert {row["file"] for row in rows} == set(map(str, names))
    assert all(row["error"].startswith(row["file"]) for row in rows)


def test_times_of_long_recordings_are_whole(tmp_path):
    """Milliseconds after three hours are in the table as they are after a second."""
    one = np.array([[0.25, 0.75]], np.float32)
    answer = Answer(windows=one, starts=(10_800.123,), window_seconds=1.0, seconds=20_000.0, warnings=())
    _write(tmp_path / "t.csv", {"a.wav": answer}, ("rain", "sea"), by_window=True)
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "a.wav,10800.123,10801.123,sea,0.25,0.75"
