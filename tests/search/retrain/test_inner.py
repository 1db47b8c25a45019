"""Inner cross-validation: parts by location, out-of-fold predictions of every clip, resumed like any retraining."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from cli_support import asc
from process_support import wait_until
from retrain_support import TINY, begin, events, run_config, worker_pids

from asc_models.metrics import log_loss
from data_prep.errors import ConfigError, RunError
from data_prep.reader.reader import read_splits
from data_prep.schema import parse_config
from results.candidates.candidates import read_metrics
from results.candidates.predictions import read_predictions
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import open_ledger, taken
from search.config import RunConfig
from search.retrain.retrain import retrain
from search.retrain_config import RetrainConfig

SECTION = {"all_clips": True, "inner_folds": 2}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"inner_folds": 3}, "inner_folds 3 score candidates that are trained on all clips: set all_clips: true"),
        ({"all_clips": True, "inner_folds": 1}, "inner_folds must be 0 or at least 2"),
    ],
)
def test_inner_folds_that_score_nothing_are_refused(section, problem):
    """They need all_clips, and two parts."""
    with pytest.raises(ConfigError, match=problem):
        parse_config(RetrainConfig, section, "run.yaml")


def call(run: RunDirectory, config: RunConfig, shards: Path):
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        return retrain(run, config, shards=shards, ledger=ledger)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shards, ray_here):
    """A run with one candidate, trained on all clips with averaged weights, and scored out of fold in two parts."""
    config = inner_config()
    run = begin(tmp_path_factory.mktemp("inner") / "run", config, {"t0001": (TINY, 0.6, 900)})
    outcome = call(run, config, shards)
    assert (outcome.names, outcome.n_new, outcome.failures) == (("t0001-full-s0",), 1, ())
    return run, config


def inner_config(**search: object) -> RunConfig:
    config = run_config(**SECTION)
    return config.updated(train=config.train.updated(epochs=6, swa_share=0.5), search=config.search.updated(**search))


@pytest.mark.system
def test_out_of_fold_predictions_cover_every_clip_that_was_trained_on(finished, shards):
    """predictions/validation.parquet has each recorded clip of train and validation once; metrics say what it is."""
    run, config = finished
    files = run.candidate("t0001-full", 0)
    side = read_splits(shards, ("train", "validation"), fold=1, reader=config.reader)
    found = read_predictions(files.predictions_path("validation"), side.classes)
    assert sorted(found.clips["clip_id"]) == sorted(side.clips["clip_id"][side.clips["augmentation"] == "none"])
    metrics = read_metrics(files.metrics_path)
    assert (metrics.inner_folds, metrics.trained_on) == (2, ("train", "validation"))
    assert metrics.value("validation", "log_loss") == pytest.approx(log_loss(found.labels, found.probabilities))
    assert metrics.splits["validation"]["n_clips"] == 24
    assert "| validation, out of fold | 24 |" in files.card_path.read_text()
    kept = {path.relative_to(files.inner_dir).as_posix() for path in files.inner_dir.rglob("*") if path.is_file()}
    assert kept == {"1/model.keras", "2/model.keras"}  # which may teach other candidates


@pytest.mark.system
def test_the_ledger_records_each_training(finished):
    """The candidate's own and one for each part begin and end; test is read once, by the candidate."""
    run, _ = finished
    names = {"t0001-full-s0", "t0001-full-s0/inner/1", "t0001-full-s0/inner/2"}
    for kind in ("candidate_started", "candidate_finished"):
        assert sorted(event["candidate"] for event in events(run, kind)) == sorted(names)
    assert {tuple(event["splits"]) for event in events(run, "candidate_started")} == {("train", "validation")}
    assert events(run, "candidate_finished")[-1]["candidate"] == "t0001-full-s0"
    assert [event["candidate"] for event in events(run, "test_read")] == ["t0001-full-s0"]


@pytest.mark.system
def test_a_repeated_call_trains_nothing(finished, shards):
    """All is there: not one event more."""
    run, config = finished
    before = Ledger(run.ledger_path).events()
    assert call(run, config, shards).n_new == 0
    assert Ledger(run.ledger_path).events() == before


@pytest.mark.system
def test_through_shared_storage_it_is_the_same(finished, tmp_path, shards, ray_here):
    """Parts train on their machines' own disks: the storage ends with the candidate's files, of its parts' the
    networks."""
    _, config = finished
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    with taken(run, tmp_path / "storage") as storage, open_ledger(run, storage) as ledger:
        outcome = retrain(run, config, shards=shards, ledger=ledger, storage=storage)
    assert outcome.names == ("t0001-full-s0",)
    files = run.candidate("t0001-full", 0)
    there = tmp_path / "storage" / "candidates" / files.name
    names = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert names == {path.relative_to(files.root).as_posix() for path in files.root.rglob("*") if path.is_file()}
    assert "predictions/validation.parquet" in names
    assert {name for name in names if name.startswith("inner/")} == {"inner/1/model.keras", "inner/2/model.keras"}
    ours, theirs = (
        read_predictions(place.candidate("t0001-full", 0).predictions_path("validation"))
        for place in (run, finished[0])
    )
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


@pytest.mark.system
def test_a_killed_retraining_resumes(finished, tmp_path, shards, ray_here):
    """Killed once a training has a checkpoint, it fails; the next call gives what an undisturbed one gives."""
    config = inner_config(max_failures=0)
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    files = run.candidate("t0001-full", 0)
    checkpoints = [place.checkpoint_path for place in (files, files.inner(1), files.inner(2))]
    killed: list[int] = []

    def kill_all() -> None:
        """Kill the trainings that run as soon as one has a checkpoint."""
        wait_until(lambda: any(path.exists() for path in checkpoints))
        killed.extend(worker_pids())
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_all, daemon=True)
    killer.start()
    with pytest.raises(RunError, match="every training failed"):
        call(run, config, shards)
    killer.join()
    assert killed
    assert {path.read_text()[:17] for path in run.failures_dir.iterdir()} == {"its process died:"}
    warned = asc("status", run.root).stderr
    assert "failed: t0001-full-s0" in warned
    assert call(run, config, shards).names == ("t0001-full-s0",)
    assert max(event["epoch"] for event in events(run, "candidate_resumed")) >= 2
    whole = finished[0].candidate("t0001-full", 0)
    for split in ("validation", "test"):
        ours, theirs = (read_predictions(place.predictions_path(split)) for place in (files, whole))
        assert ours.clips["clip_id"].tolist() == theirs.clips["clip_id"].tolist()
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert len(events(run, "test_read")) == 1
