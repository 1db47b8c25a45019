"""Nothing is lost: a search that is killed again and again comes to what one that was never killed comes to."""

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
import yaml
from process_support import ROOT, command_of, descendants, wait_until
from search_support import LIMIT, write_shards

from results.ledger.ledger import Ledger
from results.rundir import RunDirectory

N_KILLS = 20
N_TRIALS = 96
CONFIG = {
    "recipe": "paper",
    "reader": {"deltas": 0},
    "rules": {"name": "custom", "limits": {"weight_bytes": LIMIT}},
    "train": {"batch_size": 8, "learning_rate": 0.05},
    "space": {
        "stem_filters": [8, 16],
        "n_blocks": [1, 2],
        "base_filters": [8, 12, 16, 20, 24, 28, 32],
        "growth": [1.0],
        "n_strided": [1],
        "expansion": [1, 2],
        "reduction_ratio": [4],
        "attention": ["none", "casam"],
        "dropout": [0.0],
    },
    "search": {"n_trials": N_TRIALS, "epochs": 30, "min_epochs": 6},
}


def start(folder: Path) -> subprocess.Popen:
    """Start `asc search` as a user does."""
    arguments = ["search", folder / "tiny.yaml", "--shards", folder / "shards", "--out", folder / "run"]
    return subprocess.Popen(
        [sys.executable, "-m", "search.cli.main", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start jobs with it ignored
    )


def strike(driver: subprocess.Popen, what: str, rng: random.Random) -> bool:
    """Kill the driver or one of its training processes, or interrupt it; return whether the driver is to end of it."""
    if what == "worker":
        training = [pid for pid, command in descendants(driver.pid).items() if "SceneTrial" in command]
        if training:
            os.kill(rng.choice(training), signal.SIGKILL)
        return False
    driver.send_signal(signal.SIGINT if what == "interrupt" else signal.SIGKILL)
    return True


def wait_for_orphans(pids: list[int]) -> None:
    """Wait until what a killed driver left behind has ended by itself."""
    wait_until(lambda: not any("SceneTrial" in command_of(pid) for pid in pids))


@pytest.mark.full
@pytest.mark.timeout(3000)
def test_twenty_strikes_lose_nothing(tmp_path):
    """Driver and workers killed, the driver interrupted, the ledger's last line torn, at twenty random moments: every
    trial begins once, every rung is told once, and as many finish, per rung, as without."""
    write_shards(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    ledger = RunDirectory(tmp_path / "run").ledger_path
    rng = random.Random(0)
    kinds = [["driver", "worker", "interrupt", "torn"][i % 4] for i in range(N_KILLS)]
    driver, struck = start(tmp_path), Counter()
    for kind in kinds:
        n_before = len(Ledger(ledger).events())
        # every session comes to something, so that twenty kills end
        wait_until(lambda: len(Ledger(ledger).events()) >= n_before + 2 or driver.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0.0, 2.0))
        if driver.poll() is not None:
            break
        below = list(descendants(driver.pid))
        struck[kind] += 1
        if strike(driver, kind, rng):
            driver.wait()
            if kind == "torn":
                with ledger.open("ab") as file:
                    file.write(b'{"event": "rung", "trial_id": "t00')
            wait_for_orphans(below)
            driver = start(tmp_path)
    error = driver.communicate()[1]
    assert driver.returncode == 0, error
    assert struck.total() == N_KILLS, f"the search ended before it was struck so often: {struck}"

    events = Ledger(ledger).events()
    keys = [event["key"] for event in events if event["event"] == "trial_started"]
    assert len(keys) == len(set(keys)) == N_TRIALS
    rungs = [(event["trial_id"], event["rung"]) for event in events if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs))
    ended = Counter(event["trial_id"] for event in events if event["event"] == "trial_ended")
    assert set(ended.values()) == {1}
    reached = [sum(rung == n for _, rung in rungs) for n in range(3)]
    assert reached == [N_TRIALS, N_TRIALS // 2, N_TRIALS // 4]
    assert {event["state"] for event in events if event["event"] == "trial_ended"} == {"finished"}
