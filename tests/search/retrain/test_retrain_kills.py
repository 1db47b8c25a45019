"""A retraining that is killed again and again ends like one that was never killed, and never reads test unrecorded."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from process_support import ROOT, command_of, descendants, wait_until
from retrain_support import TINY, begin, events, run_config

from results.candidates.candidates import read_candidates
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory

N_KILLS = 100
SPLITS = ("validation", "test")


def start(run: RunDirectory, shards: Path) -> subprocess.Popen:
    """Start `asc retrain` as a user does."""
    command = [sys.executable, "-m", "search.cli.main", "retrain", str(run.root), "--shards", str(shards)]
    with run.root.with_suffix(".log").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def wait_for_moment(driver: subprocess.Popen, run: RunDirectory, moment: str, rng: random.Random) -> None:
    """Wait for a random moment of the session; with `reading`, until a split is read and not yet written."""
    n_events, n_reads = len(Ledger(run.ledger_path).events()), len(events(run, "test_read"))
    if moment == "reading":
        wait_until(lambda: driver.poll() is not None or len(events(run, "test_read")) > n_reads)
        return
    wait_until(lambda: driver.poll() is not None or len(Ledger(run.ledger_path).events()) > n_events)
    time.sleep(rng.uniform(0.0, 3.0))


def strike(driver: subprocess.Popen, moment: str, rng: random.Random) -> str:
    """Kill a training process if there is one and it is asked for, else the driver; return which.

    What a killed driver leaves behind ends by itself, which is waited for.
    """
    below = descendants(driver.pid)
    training = [pid for pid, command in below.items() if "_train_in_worker" in command]
    if moment == "worker" and training:
        os.kill(rng.choice(training), signal.SIGKILL)
        return "worker"
    driver.kill()
    driver.wait()
    wait_until(lambda: not any("_train_in_worker" in command_of(pid) for pid in below))
    return "driver"


@pytest.mark.full
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_kills_lose_nothing(tmp_path: Path, shards: Path) -> None:
    """Driver and workers killed at random moments, and between reading and writing a split: every run comes to its
    candidate, whose files are those that were scored; test is read once more only after a kill."""
    rng, struck, n_runs = random.Random(0), Counter[str](), 0
    while struck.total() < N_KILLS:
        run = begin(tmp_path / f"run{n_runs}", run_config(), {"t0001": (TINY, 0.6, 900)})
        n_runs, n_killed = n_runs + 1, 0
        driver = start(run, shards)
        while driver.poll() is None and struck.total() < N_KILLS:
            moment = ("driver", "reading", "worker")[struck.total() % 3]
            wait_for_moment(driver, run, moment, rng)
            if driver.poll() is not None:
                break
            struck[moment] += 1
            if strike(driver, moment, rng) == "driver":
                n_killed += 1
                assert [files.name for files in run.candidates()] in ([], ["t0001-s0"])
                driver = start(run, shards)
        assert driver.wait() == 0, run.root.with_suffix(".log").read_text()
        (candidate,) = read_candidates(run)  # checks every file's SHA-256
        assert all(candidate.predictions(split).is_labelled for split in SPLITS)
        assert 1 <= len(events(run, "test_read")) <= 1 + n_killed
        assert len({event["candidate"] for event in events(run, "candidate_finished")}) == 1
    assert min(struck.values()) >= N_KILLS // 4
