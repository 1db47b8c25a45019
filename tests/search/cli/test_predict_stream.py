"""`asc predict` of streams: window by window, with the answers that the same clips have as files."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
from candidate_support import CLASSES, write_candidate
from cli_support import ASC, asc
from process_support import ROOT

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    return write_candidate(tmp_path_factory.mktemp("candidate") / "t0000-s0")


@pytest.fixture(scope="module", params=[8000, 22_050])
def clips(request, tmp_path_factory):
    """Three stereo clips of a second each, and the recording that they make, as files."""
    rate, rng, folder = request.param, np.random.default_rng(0), tmp_path_factory.mktemp("audio")
    y = rng.uniform(-0.5, 0.5, (3 * rate, 2)) * np.repeat([[0.01], [0.1], [1.0]], rate, axis=0)
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", y[number * rate : (number + 1) * rate], rate)
    soundfile.write(folder / "all.wav", y, rate)
    return folder, rate


def piped(data, *arguments, code=0):
    """Return the answer of `asc` with these bytes on standard input."""
    with patch.object(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))):
        return asc(*arguments, code=code)


def test_answers_are_those_of_the_clips_as_files(candidate, clips):
    """To the bit, also resampled: WAV and raw samples on standard input, and a long file with --every."""
    folder, rate = clips
    files = json.loads(asc("predict", candidate, *(folder / f"{n}.wav" for n in range(3)), "--json").stdout)
    expected = [row["probabilities"] for row in files]
    assert len({row[CLASSES[0]] for row in expected}) == 3
    data = (folder / "all.wav").read_bytes()
    raw = ("--rate", rate, "--channels", 2, "--format", "s16le")
    for said in (
        piped(data, "predict", candidate, "-", "--json"),
        piped(data[44:], "predict", candidate, "-", "--json", *raw),
        asc("predict", candidate, folder / "all.wav", "--every", 1, "--json"),
    ):
        rows = [json.loads(line) for line in said.stdout.splitlines()]
        assert [(row["start_s"], row["end_s"]) for row in rows] == [(0, 1), (1, 2), (2, 3)]
        assert [row["probabilities"] for row in rows] == expected


def test_windows_overlap_and_the_last_ends_with_the_stream(candidate):
    """2.3 clips every 0.7 s are 0–1, 0.7–1.7 and, as 1.4–2.4 is incomplete, 1.3–2.3; less than 5 % is no window."""
    data = np.random.default_rng(0).integers(-9000, 9000, 18_400, "<i2").tobytes()
    lines = piped(data, "predict", candidate, "-", "--rate", 8000, "--every", 0.7, "--top", 1).stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["0.00–1.00 s", "0.70–1.70 s", "1.30–2.30 s"]
    for n_samples, starts in ((8400, ["0.00"]), (8401, ["0.00", "0.05"]), (16_000, ["0.00", "1.00"])):
        lines = piped(data[: 2 * n_samples], "predict", candidate, "-", "--rate", 8000).stdout.splitlines()
        assert [line.partition("–")[0] for line in lines] == starts
    gaps = piped(data, "predict", candidate, "-", "--rate", 8000, "--every", 1.5).stdout.splitlines()
    assert [line.partition("–")[0] for line in gaps] == ["0.00", "1.30"]


def test_a_short_stream_and_silence_are_warnings(candidate):
    """As with files; a warning that the last window had, too, is not repeated."""
    said = piped(bytes(8000), "predict", candidate, "-", "--rate", 8000)
    assert "0.00–0.50 s: is 0.50 s long, shorter than the clips of 1 s" in said.stderr
    said = piped(bytes(48_000), "predict", candidate, "-", "--rate", 8000)
    assert said.stderr == "Warning: 0.00–1.00 s: is silent\n"
    assert len(said.stdout.splitlines()) == 3


def test_damage_ends_the_stream_and_not_the_others(candidate, clips):
    """Windows before it are answered; the other files, too; exit code 1."""
    folder, rate = clips
    said = piped((folder / "all.wav").read_bytes()[: 5 * rate], "predict", candidate, "-", code=1)
    assert len(said.stdout.splitlines()) == 1
    assert "Error: standard input: is cut off" in said.stderr
    names = (folder / "no.wav", folder / "0.wav")
    rows = asc("predict", candidate, *names, "--every", 1, "--json", code=1).stdout.splitlines()
    assert [sorted(json.loads(row))[0] for row in rows] == ["error", "end_s"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "a.wav"], "-: standard input is classified alone"),
        (["a.wav", "--microphone", "default"], "--microphone: is classified alone"),
        (["a.wav", "--rate", 8000], "Give - as AUDIO"),
        (["-", "--format", "s16le"], "Give --rate"),
        (["-", "--rate", 8000, "--format", "mp3"], "--format mp3: unknown sample format"),
        (["-", "--every", "nan"], "--every nan: must be a finite time"),
        (["-", "--csv", "a.csv"], "Use --json > FILE"),
    ],
)
def test_options_that_do_not_go_together_are_refused(candidate, arguments, message):
    """In one sentence that names the option and the way out."""
    assert message in " ".join(piped(b"", "predict", candidate, *arguments, code=1).stderr.split())


@pytest.mark.skipif(find_spec("sounddevice") is not None, reason="is installed")
def test_a_microphone_needs_an_extra(candidate):
    """The message names it."""
    said = asc("predict", candidate, "--microphone", "default", code=1).stderr
    assert "pip install 'asc-search[microphone]'" in " ".join(said.split())


def test_answers_come_at_once_and_ctrl_c_is_the_end(candidate):
    """The first window is answered while the pipe is open; then SIGINT ends the command without an error."""
    command = [*ASC, "predict", str(candidate), "-", "--rate", "8000"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        process.stdin.write(bytes(16_000))
        process.stdin.flush()
        assert process.stdout.readline().decode().startswith("0.00–1.00 s: ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert err.decode().splitlines() == ["Warning: 0.00–1.00 s: is silent", "  Stopped."]
