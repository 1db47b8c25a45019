"""The page of ratios reads what the speed benchmarks print."""

import os
import subprocess
import sys

import pytest
from benchmarks.bench import SCRIPTS, TINY, page, rows_of
from process_support import ROOT

RECORDED = (ROOT / "tests/benchmarks/README.md").read_text(encoding="utf-8")


def test_the_recorded_outputs_are_read():
    """From the outputs in the README of the benchmarks come their ratios, peers and shares of the limit."""
    assert rows_of("features", RECORDED)[0][1:] == (
        *("11.78", "librosa on soundfile", "reading and the bare transform", "42%"),
    )
    first, second = rows_of("training", RECORDED)
    assert (first[1], first[4]) == ("2.49", "15.1%")
    assert (second[1], second[4]) == (f"{3.72 / 1.46:.2f}", "22.5%")
    assert rows_of("rung_reading", RECORDED)[0][1] == "3.20"
    assert rows_of("search_overhead", RECORDED)[0][1] == f"{1.06 / 0.05:.2f}"


def test_a_script_that_printed_nothing_has_its_reason_on_the_page():
    """No value is left out silently, and a tiny run is marked."""
    rows = rows_of("reader", "Killed")
    assert rows[0][1] == "not measured"
    assert "not measured" in page(rows, tiny=True)
    assert TINY in page(rows, tiny=True)
    assert TINY not in page(rows, tiny=False)


def test_every_script_exists():
    """Each name is a script of the folder."""
    assert [name for name in SCRIPTS if not (ROOT / f"tests/benchmarks/{name}.py").is_file()] == []


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_all_scripts_run(tmp_path):
    """The tiny version measures every ratio."""
    command = [sys.executable, str(ROOT / "tests/benchmarks/bench.py"), "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "not measured" not in (tmp_path / "bench.md").read_text()
