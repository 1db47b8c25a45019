"""Ray on machines as people have them: foreign files in the working directory, no home, a forgotten address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from cli_support import asc
from process_support import ROOT

from data_prep.errors import RunError
from search.cluster.session import _signals_kept, cluster_address

pytestmark = pytest.mark.system

SESSIONS = """
import signal
from pathlib import Path

from search.cluster.doctor import sources
from search.cluster.nodes import on_every_node
from search.cluster.session import ray_session

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, print)
    for _ in range(2):
        with ray_session(None, 1):
            print(*on_every_node(sources).values())
            assert signal.getsignal(signal.SIGTERM) is print
            children = Path("/proc/self/task").glob("*/children")
            lines = [Path(f"/proc/{pid}/cmdline").read_text() for one in children for pid in one.read_text().split()]
            assert [line for line in lines if "raylet" in line], lines
            assert not [line for line in lines if "dashboard.py" in line or "monitor.py" in line], lines
"""


def test_a_local_ray_works_beside_foreign_files_and_without_a_home(tmp_path):
    """Workers import the packages, not the user's files of the same names; the token needs no home; twice in a row.
    SIGTERM is answered as before, and no service is started that nothing uses."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "sessions.py").write_text(SESSIONS)
    for name in ("search", "data_prep", "asc_models"):
        (here / f"{name}.py").write_text("raise SystemExit('the wrong file')")
    (here / "results").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/dev/null"}
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        environment.pop(name, None)
    script = [sys.executable, str(tmp_path / "sessions.py")]
    done = subprocess.run(script, cwd=here, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(ROOT)] * 2, done.stdout + done.stderr


def test_sigterm_while_ray_starts_is_answered_by_the_program():
    """Ray's own answer ends a process without a word; the program's, here Ctrl-C's, is given instead."""

    def start() -> None:
        with _signals_kept():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does first of all
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_address_of_jobs_is_refused_with_its_source_and_the_way_out(monkeypatch, tmp_path):
    """`http://HEAD:8265` left in RAY_ADDRESS names the variable and what to do, before a run directory is made."""
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(RunError, match=r"RAY_ADDRESS http://head:8265: .*Unset RAY_ADDRESS .*HOST:6379"):
        cluster_address(None)
    with pytest.raises(RunError, match=r"--address https://head: .*HOST:6379"):
        cluster_address("https://head")
    assert cluster_address("local") is None
    said = asc("run", "demo", "--data", tmp_path, "--out", tmp_path / "run", code=1).stderr
    assert "Unset RAY_ADDRESS" in " ".join(said.split())
    assert not (tmp_path / "run").exists()
