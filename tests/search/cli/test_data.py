"""`asc data` and the options that say how a data set is read, as a user gives them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_support import asc

SMALL = "{sample_rate: 8000, clip_seconds: 0.5, n_fft: 256, hop_length: 128, n_mels: 16}"


@pytest.fixture
def table_data(tmp_path) -> Path:
    """Twelve recordings of two scenes at six places, and a table with columns of unusual names."""
    root = tmp_path / "data"
    root.mkdir()
    rows = [("wave", "what", "place")]
    for i in range(12):
        rows.append((f"r{i}.wav", ("rain", "wind")[i % 2], f"yard{i // 2}"))
        soundfile.write(root / f"r{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(4000), 8000)
    (root / "clips.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    return root


COLUMNS = ("--table", "clips.csv", "--file-column", "wave", "--label-column", "what", "--location-column", "place")


def test_a_table_is_prepared_with_columns_from_the_command_line(table_data, tmp_path):
    """`asc prepare` with a table, its columns and k folds: shards with that many folds."""
    shards = tmp_path / "shards"
    asc(
        "prepare", table_data, "--out", shards, "--workers", 1, *COLUMNS, "--k-folds", 3,
        "--set", f"prepare.features={SMALL}",
    )  # fmt: skip
    manifest = json.loads((shards / "manifest.json").read_text())
    assert sorted(manifest["folds"]) == ["1", "2", "3"]
    assert manifest["classes"] == ["rain", "wind"]
    assert manifest["locations"]["r0"] == "yard0"
    wrong = asc("prepare", table_data, "--out", tmp_path / "x", *COLUMNS[:-1], "spot", code=1)
    assert "has no column 'spot', which prepare.corpus.location_column names" in wrong.stderr


def test_check_exits_with_1_where_prepare_would_refuse(table_data, tmp_path):
    """A sound table exits with 0; with a file cut off, 1, the file named, and the tables written."""
    good = asc("data", "check", table_data, "--workers", 1, *COLUMNS)
    assert "No problems found." in good.stdout
    assert "12 clips listed (layout table)" in good.stdout
    path = table_data / "r3.wav"
    path.write_bytes(path.read_bytes()[:3000])
    out = tmp_path / "report.csv"
    bad = asc("data", "check", table_data, "--workers", 1, *COLUMNS, "--out", out, "--json", code=1)
    report = json.loads(bad.stdout)
    assert (report["n_errors"], report["findings"][0]["filename"]) == (1, "r3.wav")
    with out.open() as file:
        kinds = [(row["severity"], row["kind"]) for row in csv.DictReader(file)]
    assert kinds[0] == ("error", "unreadable")
    assert set(kinds[1:]) == {("warning", "no test clip"), ("warning", "no validation clip")}  # it was its fold's only
    assert (tmp_path / "report.counts.csv").exists()
    shown = asc("data", "check", table_data, "--workers", 1, *COLUMNS, code=1)
    assert "unreadable: r3.wav" in shown.stderr
    assert "is cut off: 2,956 of 8,000 bytes of audio are present" in shown.stderr
    assert "1/2" in shown.stdout


@pytest.mark.parametrize(("seconds", "code"), [(0.4, 1), (0.6, 0), (31.0, 1)])
def test_check_takes_the_length_that_prepare_takes(table_data, seconds, code):
    """Recordings shorter than 0.5 s or longer than 30 s are clips of 10 s for both; with the length set, they pass."""
    for i, path in enumerate(sorted(table_data.glob("*.wav"))):
        soundfile.write(path, 0.1 * np.random.default_rng(i).standard_normal(round(seconds * 8000)), 8000)
    found = asc("data", "check", table_data, "--workers", 1, *COLUMNS, code=code)
    assert ("clips must be 10 s ± 50% (prepare.features.clip_seconds)" in found.stderr) == bool(code)
    given = ("--set", f"prepare.features.clip_seconds={seconds}")
    assert "No problems found." in asc("data", "check", table_data, "--workers", 1, *COLUMNS, *given).stdout


def test_check_names_what_is_no_data_set(tmp_path):
    """No folder, or one without anything known: one message, exit 1."""
    assert "no such folder" in asc("data", "check", tmp_path / "nowhere", code=1).stderr
    assert (
        "contains no lists of a fold; expected: audio/" in asc("data", "check", tmp_path, "--workers", 1, code=1).stderr
    )


def test_download_lists_what_there_is_and_fails_in_words(tmp_path):
    """Without a name the sets with their sizes; without a connection the address, the licence and the way on."""
    listed = asc("data", "download").stdout
    assert "tau2020-mobile " in listed
    assert "27.4" in listed
    assert "unknown data set" in asc("data", "download", "tau1999", tmp_path / "x", code=1).stderr
    assert "name the folder" in asc("data", "download", "tut2016", code=2).stderr
    dead = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": ""}
    failed = asc("data", "download", "tut2016", tmp_path / "x", code=1, **dead).stderr
    assert "TUT Acoustic Scenes 2016: 11 archives, about 10.4 GB on disk" in failed
    assert "Free for experimental, non-commercial use" in failed
    assert "zenodo.org/record/45739" in failed
    assert "rerun the same command" in failed
    (tmp_path / "x/mine.txt").write_text("")
    (tmp_path / "x/.download.json").unlink()
    assert "is not empty" in asc("data", "download", "tut2016", tmp_path / "x", code=1, **dead).stderr
