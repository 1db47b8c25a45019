"""Inner cross-validation: parts by location, out-of-fold predictions of every clip, resumed like any retraining."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from asc_models_support import feature_set
from cli_support import asc
from process_support import wait_until
from retrain_support import TINY, begin, events, run_config, worker_pids

from asc_models.metrics import log_loss
from data_prep.config import ReaderSpec
from data_prep.errors import ConfigError, DataError, RunError
from data_prep.reader.reader import FeatureSet, read_splits
from data_prep.reader.statistics import fit_statistics
from data_prep.schema import parse_config
from results.candidates.candidates import read_metrics
from results.candidates.predictions import read_predictions
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import open_ledger, taken
from search.config import RetrainConfig, RunConfig
from search.retrain.inner import leave_out
from search.retrain.retrain import retrain

SECTION = {"all_clips": True, "inner_folds": 2}


def training_side(n_clips: int = 48, *, located: bool = True) -> FeatureSet:
    """Clips of three scenes, two scenes' neighbours at a place, each with a copy that is stretched and one mixed."""
    plain = feature_set(n_clips)
    clips = plain.clips if located else plain.clips.assign(location=None)
    copies = [
        clips.assign(clip_id=clips["clip_id"] + f"+{kind}", augmentation=kind) for kind in ("time_stretch", "mix")
    ]
    rows = np.tile(np.arange(n_clips), 3)
    return replace(plain.take(rows), clips=pd.concat([clips, *copies], ignore_index=True))


def sources(clips: pd.DataFrame) -> set[str]:
    return {str(clip_id).partition("+")[0] for clip_id in clips["clip_id"]}


@pytest.mark.parametrize("located", [True, False])
@pytest.mark.parametrize("n_parts", [2, 4, 5])
def test_parts_cover_every_clip_once_and_share_no_location(n_parts, located):
    """Each recorded clip is left out once; what is trained on has neither its location nor a copy of it."""
    side = training_side(located=located)
    held_ids: list[str] = []
    for part in range(1, n_parts + 1):
        train, held = leave_out(side, n_parts, part)
        held_ids += held.clips["clip_id"].tolist()
        assert set(held.clips["augmentation"]) == {"none"}
        assert set(train.clips["augmentation"]) == {"none", "time_stretch"}
        assert not sources(train.clips) & sources(held.clips)
        known = set(held.clips["location"].dropna())
        assert bool(known) is located
        assert not known & set(train.clips["location"].dropna())
        assert train.n_clips == 2 * (48 - held.n_clips)
        assert len(set(train.labels)) == 3
    assert sorted(held_ids) == sorted(f"clip{i}" for i in range(48))


def test_parts_are_the_same_whatever_the_copies_and_the_order():
    """The cut depends on the recorded clips alone, so that every candidate's scores are of the same parts."""
    side = training_side()
    recorded = side.take(np.arange(48)[::-1])
    for part in (1, 2, 3):
        one, other = (leave_out(features, 3, part)[1].clips["clip_id"] for features in (side, recorded))
        assert set(one) == set(other)


def test_a_parts_statistics_are_those_of_what_it_trains_on():
    """A standardizing reader is fitted without the clips that are left out."""
    side = training_side()
    side = replace(side, reader=ReaderSpec(scaling="standardize", deltas=0), statistics=fit_statistics(side.log_mel))
    train, held = leave_out(side, 4, 1)
    assert train.statistics == held.statistics == fit_statistics(train.log_mel)
    assert train.statistics != side.statistics


def test_what_cannot_be_cut_is_refused():
    """Fewer locations than parts, or a scene with a single location: named, with the way out."""
    side = training_side(6)
    with pytest.raises(DataError, match="4 parts need at least 4 locations, the training side has 3"):
        leave_out(side, 4, 1)
    alone = side.clips.assign(location=[f"at {scene}" for scene in side.clips["scene"]])
    with pytest.raises(DataError, match=r"scene\d has a single location on the training side"):
        leave_out(replace(side, clips=alone), 3, 1)


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
