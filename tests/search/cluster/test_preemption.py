"""Spot instances: worker nodes are taken away again and again while they train, and others come in their place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from process_support import ROOT, descendants, wait_until
from search_support import LIMIT, write_shards

from results.ledger.ledger import Ledger
from results.rundir import RunDirectory

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]

N_TRIALS = 10
N_STRIKES = 3
RUNGS = (6, 14, 30)
CONFIG = {
    "reader": {"deltas": 0},
    "rules": {"name": "custom", "limits": {"weight_bytes": LIMIT}},
    "train": {"batch_size": 8, "learning_rate": 0.05},
    "space": {
        "stem_filters": [8], "n_blocks": [1, 2], "base_filters": [8, 12, 16, 20, 24], "growth": [1.0], "n_strided": [1],
        "expansion": [1, 2], "reduction_ratio": [4], "attention": ["none", "casam"], "dropout": [0.0],
    },
    "search": {"n_trials": N_TRIALS, "epochs": RUNGS[-1], "min_epochs": RUNGS[0], "max_failures": N_STRIKES},
}  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of a head that trains nothing and two workers with a processor each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()


def is_training(node: Any) -> bool:
    """Return whether a trial's process runs on a node."""
    pids = [entry.process.pid for entries in node.all_processes.values() for entry in entries]
    return any("SceneTrial" in text for pid in pids for text in descendants(pid).values())


def test_taken_nodes_lose_nothing(cluster, tmp_path):
    """Three times a node that trains is killed and replaced: what was in the ledger stays there, every trial begins
    once, every rung is recorded once, all trials end or wait for a promotion, and as many finish as without."""
    shards, out = write_shards(tmp_path), tmp_path / "run"
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    command = ["search", tmp_path / "tiny.yaml", "--shards", shards, "--out", out, "--address", cluster.address]
    command += ["--storage", tmp_path / "storage"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = tmp_path / "driver.log"
    ledger = RunDirectory(out).ledger_path
    with log.open("w") as file:
        driver = subprocess.Popen(
            [sys.executable, "-m", "search.cli.main", *map(str, command)], env=environment, stdout=file, stderr=file
        )
    before: list[dict[str, Any]] = []
    try:
        for _ in range(N_STRIKES):
            n_before = n_rungs(ledger)
            wait_until(lambda: n_rungs(ledger) > n_before or driver.poll() is not None)  # noqa: B023
            wait_until(lambda: any(map(is_training, cluster.worker_nodes)) or driver.poll() is not None)
            assert driver.poll() is None, f"it ended before it was struck: {log.read_text()[-3000:]}"
            struck = next(filter(is_training, cluster.worker_nodes))
            before = Ledger(ledger).events()
            cluster.remove_node(struck, allow_graceful=False)
            cluster.add_node(num_cpus=1)
        assert driver.wait() == 0, log.read_text()[-3000:]
    finally:
        driver.kill()
        driver.wait()

    events = Ledger(ledger).events()
    assert events[: len(before)] == before
    kinds = Counter(event["event"] for event in events)
    assert 1 <= kinds["trial_retried"] <= N_STRIKES
    started = [event["key"] for event in events if event["event"] == "trial_started"]
    assert len(started) == len(set(started)) == N_TRIALS
    rungs = [(event["trial_id"], event["rung"]) for event in events if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs))
    assert [sum(rung == n for _, rung in rungs) for n in range(len(RUNGS))] == [N_TRIALS, N_TRIALS // 2, N_TRIALS // 4]
    ended = {event["trial_id"]: event["state"] for event in events if event["event"] == "trial_ended"}
    assert ended == {trial_id: "finished" for trial_id, rung in rungs if rung == len(RUNGS) - 1}


def n_rungs(ledger: Path) -> int:
    """Return how many rungs the ledger has."""
    return sum(event["event"] == "rung" for event in Ledger(ledger).events()) if ledger.exists() else 0
