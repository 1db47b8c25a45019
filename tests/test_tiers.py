"""The unit tier is what it says: a guard fails tests that do more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from process_support import ROOT

pytestmark = pytest.mark.system

TESTS = """
import multiprocessing, subprocess, sys
import pytest

def test_counts():
    assert 1 + 1 == 2

def test_imports():
    import keras

def test_hides_what_it_imports():
    try:
        import ray
    except Exception:
        pass

def test_runs():
    subprocess.run([sys.executable, "-c", ""])

def test_spawns():
    process = multiprocessing.get_context("spawn").Process(target=print)
    process.start()
    process.join()

def test_draws(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))  # as on a machine where Matplotlib never ran: it looks for fonts
    import matplotlib.font_manager

@pytest.mark.system
def test_may_run():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""


def run_pytest(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-q"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SLIPCOVER_")}  # it's for this run
    done = subprocess.run([*command, *arguments, str(folder)], capture_output=True, text=True, cwd=folder, env=ours)
    return done.stdout


def test_a_unit_test_that_does_more_fails(tmp_path):
    """A framework, even where its failure is caught, or a process started by either way is a failure; fonts are not."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_made.py").write_text(TESTS)
    said = run_pytest(tmp_path)
    assert "4 failed, 3 passed" in said
    for what in (
        "imports keras",
        "imports ray",
        "starts a process (subprocess.Popen",
        "starts a process (SpawnProcess",
    ):
        assert f"a unit test {what}" in said


def test_a_module_that_is_marked_is_not_imported_by_the_unit_tier(tmp_path):
    """`-m unit` leaves it alone, whatever it imports; a module that is not marked may import no framework."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_marked.py").write_text("import pytest\npytestmark = pytest.mark.system\nraise ValueError\n")
    (tmp_path / "test_unit.py").write_text("def test_counts():\n    assert 1 + 1 == 2\n")
    assert "1 passed" in run_pytest(tmp_path, "-m", "unit")
    (tmp_path / "test_unit.py").write_text("import keras\n\ndef test_counts():\n    assert 1 + 1 == 2\n")
    assert "a unit test imports keras" in run_pytest(tmp_path, "-m", "unit")
