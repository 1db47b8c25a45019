"""The example of a run from Python, as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from process_support import ROOT

from data_prep.corpora.corpus import TAU_SCENES
from results.run import open_run

pytestmark = pytest.mark.system


def test_the_first_run_goes_from_audio_to_answers(tmp_path):
    """The script ends with the candidates' front, a report that is there, and a known scene for each recording."""
    command = [sys.executable, "search/examples/first_run.py", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 20
    assert lines[0] == "190 clips of 10 scenes"
    assert re.fullmatch(r"\d+ of 736 candidates are within the limit", lines[1])
    run = open_run(tmp_path / "run")
    front = [line.split()[0] for line in lines[3 : 3 + len(run.front)]]
    assert front == run.front["trial_id"].tolist()
    best = run.candidates.iloc[0]
    assert f"{best['candidate']}: {best['weight_bytes']} bytes, report in {tmp_path}/run/report/index.html" in lines
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    answers = dict(re.findall(r"^(\S+\.wav): (\w+)$", done.stdout, re.MULTILINE))
    assert len(answers) == 7
    assert set(answers.values()) <= set(TAU_SCENES)
