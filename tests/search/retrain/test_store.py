"""Retraining with shared storage: nothing hangs on the driver's or a worker's own disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from retrain_support import TINY, begin, candidate_of, events, run_config

from data_prep.store.store import Location, open_store
from results.rundir import CandidateFiles, RunDirectory
from results.storage.storage import RunStorage, open_ledger, taken
from search.retrain.hooks import Hooks
from search.retrain.retrain import retrain
from search.retrain.store import StoredCandidate, exchange_candidates
from search.retrain.trained import read_trained
from search.retrain.training import train_candidate


def call(run: RunDirectory, location: Location, shards: Path, config):
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        return retrain(run, config, shards=shards, ledger=ledger, storage=storage)


def relative(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.mark.system
def test_a_lost_run_directory_has_its_candidates_again(tmp_path, shards, ray_here):
    """Trained through the storage, scored by the driver; then another machine trains and reads nothing."""
    config = run_config()
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    location = tmp_path / "storage"
    assert call(run, location, shards, config).names == ("t0001-s0",)
    files = run.candidate("t0001", 0)
    assert relative(location / "candidates" / "t0001-s0") == relative(files.root)
    assert "metrics.json" in relative(files.root)
    assert not files.checkpoint_path.exists()

    shutil.rmtree(run.root)
    again = RunDirectory(tmp_path / "elsewhere")
    assert call(again, location, shards, config).n_new == 0
    assert relative(again.candidate("t0001", 0).root) == relative(location / "candidates" / "t0001-s0")
    assert len(events(again, "test_read")) == 1


def test_what_a_killed_call_kept_back_is_brought_there(tmp_path, shards):
    """A candidate that is finished here and not in the storage is taken there by the next call."""
    run = RunDirectory(tmp_path / "run")
    files = run.candidate("t0001", 0)
    files.predictions_path("test").parent.mkdir(parents=True)
    files.predictions_path("test").write_bytes(b"p")
    files.metrics_path.write_text("{}")
    storage = RunStorage(tmp_path / "storage")
    exchange_candidates(run, storage)
    there = {"candidates/t0001-s0/metrics.json", "candidates/t0001-s0/predictions/test.parquet"}
    assert set(storage.store.names()) == there


@pytest.mark.system
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_training_goes_on_on_another_machine(request, tmp_path, shards, kind):
    """Killed in epoch 3, the state of epoch 2 is in the storage: a machine with an empty disk goes on from there."""
    location = tmp_path / "storage"
    if kind == "s3":
        request.getfixturevalue("s3")
        location = "s3://sets/one/candidates/t0001-s0"
    assert go_on_elsewhere(tmp_path, shards, location) == [2]


def go_on_elsewhere(tmp_path: Path, shards: Path, location: Location) -> list[int]:
    """Return at which epoch another machine takes a killed training up; it ends it, and a third one has the result."""
    config, _ = candidate_of(RunDirectory(tmp_path), shards)
    there = StoredCandidate(location)
    first, second = (CandidateFiles(tmp_path / name / "t0001-s0") for name in ("one", "two"))

    def stop(epoch: int) -> None:
        """Be the crash."""
        if epoch == 3:
            raise KeyboardInterrupt

    there.pull_checkpoint(first)
    with pytest.raises(KeyboardInterrupt):
        train_candidate(config, shards, first, hooks=Hooks(on_epoch=stop, on_save=lambda: there.push_checkpoint(first)))
    shutil.rmtree(first.root)
    there.pull_checkpoint(second)
    began: list[int] = []
    trained = train_candidate(
        config,
        shards,
        second,
        hooks=Hooks(on_start=began.append, on_save=lambda: there.push_checkpoint(second)),
    )
    there.push_trained(second)
    third = CandidateFiles(tmp_path / "three" / "t0001-s0")
    there.pull_trained(third)
    assert read_trained(third) == trained
    assert "checkpoint.npz" in open_store(location).names()
    return began
