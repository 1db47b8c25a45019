"""A search on a cluster and on shared storage, with nodes and drivers killed for real."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from cluster_support import RAY, LocalCluster
from process_support import ROOT, descendants, wait_until
from search_support import settings

from data_prep.store.store import open_store
from results.ledger.ledger import Ledger
from results.ledger.lines import EventReader
from results.storage.stored_ledger import read_segments
from search.config import RunConfig

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

N_TRIALS = 8
ASC = [sys.executable, "-m", "search.cli.main"]


@pytest.fixture
def stored_shards(s3, shards):
    """The tiny shards in an object store."""
    there = open_store("s3://sets/shards")
    for path in shards.iterdir():
        if path.is_file() and not path.name.startswith("."):
            there.write(path.name, path.read_bytes())
    return "s3://sets/shards"


@pytest.fixture
def config(tmp_path):
    """A configuration file of a search of `N_TRIALS` short trials."""
    asked = settings(n_trials=N_TRIALS, epochs=6, n_startup=4)
    sections = {name: getattr(asked, name) for name in ("space", "search", "train", "reader", "rules", "fold")}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(RunConfig(**sections).model_dump(mode="json")))
    return path


def stored_events(storage):
    lines, _ = read_segments(open_store(f"{storage}/ledger"))
    return EventReader(Path(storage)).read(lines)


def rungs_of(events):
    return [(event["trial_id"], event["rung"]) for event in events if event["event"] == "rung"]


def require_whole(events):
    """Every trial asked for came to a rung, no candidate and no rung twice, and nothing is still training."""
    assert set(Counter(rungs_of(events)).values()) == {1}
    started = [event for event in events if event["event"] == "trial_started"]
    assert len(started) == len({event["key"] for event in started}) == N_TRIALS
    assert {event["trial_id"] for event in started} == {trial_id for trial_id, _ in rungs_of(events)}
    assert not [event for event in events if event["event"] == "trial_ended" and event["state"] == "failed"]
    last = {trial_id: event for event in events if event["event"] == "rung" for trial_id in [event["trial_id"]]}
    assert {event["decision"] for event in last.values()} <= {"pause", "finish"}


def test_a_job_on_two_nodes_outlives_one_of_them(stored_shards, config, tmp_path):
    """A job submitted over HTTP, with a token, on two nodes of which one is killed: it ends, nothing twice or lost."""
    binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    storage, out = "s3://sets/job", tmp_path / "run"
    with LocalCluster(PATH=binaries) as cluster:
        second = cluster.add_node()
        environment = {**cluster.environment, "PYTHONPATH": str(ROOT)}
        doctor = [*ASC, "doctor", "--address", cluster.address, "--storage", storage, "--shards", stored_shards]
        found = subprocess.run(doctor, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
        assert "2 of 2 ready." in found.stdout

        command = ["asc", "search", str(config), "--shards", stored_shards, "--storage", storage, "--out", str(out)]
        job = [RAY, "job", "submit", "--address", cluster.jobs_address, "--working-dir", str(ROOT), "--", *command]
        with (tmp_path / "job.log").open("w") as log:
            submitted = subprocess.Popen(job, env=cluster.environment, stdout=log, stderr=log)

        def said():
            return (tmp_path / "job.log").read_text()[-5000:]

        wait_until(lambda: len(rungs_of(stored_events(storage))) >= 3 or submitted.poll() is not None)
        assert submitted.poll() is None, said()
        assert [text for text in descendants(second.pid).values() if "SceneTrial" in text], "it trained nothing"
        cluster.kill(second)
        n_before = len(rungs_of(stored_events(storage)))
        wait_until(lambda: submitted.poll() is not None)
        assert submitted.returncode == 0, said()
    events = Ledger(out / "ledger.jsonl").events()
    assert events == stored_events(storage)
    assert n_before < len(rungs_of(events))
    require_whole(events)


def test_a_wrong_token_is_told(tmp_path):
    """A driver with another token than the cluster's is told so, in one message without a traceback."""
    with LocalCluster() as cluster:
        environment = {**cluster.environment, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": "f" * 32}
        doctor = [*ASC, "doctor", "--address", cluster.address]
        found = subprocess.run(doctor, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1
    assert "cannot connect to a Ray cluster" in found.stderr
    assert "RAY_AUTH_TOKEN" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_run_outlives_the_disk_of_its_driver(stored_shards, config, tmp_path):
    """Driver killed −9 and its run directory deleted: the same command goes on from the storage, nothing twice."""
    storage, out = "s3://sets/disk", tmp_path / "run"
    command = [*ASC, "search", str(config), "--shards", stored_shards, "--storage", storage, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)

    def start():
        with (tmp_path / "driver.log").open("a") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def said():
        return (tmp_path / "driver.log").read_text()[-3000:]

    driver = start()
    wait_until(lambda: len(rungs_of(stored_events(storage))) >= 4 or driver.poll() is not None)
    assert driver.poll() is None, said()
    for pid in [driver.pid, *descendants(driver.pid)]:
        os.kill(pid, signal.SIGKILL)
    driver.wait()
    shutil.rmtree(out)
    before = stored_events(storage)
    assert open_store(f"{storage}/checkpoints").names()

    driver = start()
    wait_until(lambda: driver.poll() is not None)
    assert driver.returncode == 0, said()
    events = Ledger(out / "ledger.jsonl").events()
    assert events == stored_events(storage)
    assert events[: len(before)] == before
    require_whole(events)
