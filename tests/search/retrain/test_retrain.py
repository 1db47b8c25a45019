"""Retraining by real Ray tasks on tiny shards: what is chosen, read, resumed, and told over seeds."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cli_support import asc
from process_support import wait_until
from retrain_support import TINY, begin, candidate_of, events, run_config, worker_pids
from search_support import settings

from asc_models.networks.estimate import estimate
from data_prep.errors import AscError, BudgetError, DataError, RunError
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_candidates, read_metrics, without_validation
from results.candidates.limits import read_limits
from results.candidates.predictions import read_predictions
from results.candidates.seeds import seed_groups
from results.ensembles.calibration import calibrate, location_parts, locations_of
from results.ensembles.ensemble import build_ensemble
from results.ledger.ledger import Ledger
from results.report.data import select_candidate
from results.rundir import RunDirectory
from results.submission.systems import rank_systems
from search.config import RunConfig
from search.retrain.hooks import Hooks
from search.retrain.retrain import Variant, retrain
from search.retrain.trained import read_trained
from search.retrain.training import score_candidate, train_candidate


def call(run: RunDirectory, config: RunConfig, shards: Path, **options: object):
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        return retrain(run, config, shards=shards, ledger=ledger, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shards, ray_here):
    """A run whose best trial was retrained with two seeds, and with two threads once on train and validation.

    TensorFlow's threads are fixed once it runs, which Ray's processes do from one training to the next.
    """
    config = run_config(seeds=(0, 1))
    run = begin(tmp_path_factory.mktemp("retrain") / "run", config, {"t0001": (TINY, 0.6, 900)})
    outcome = call(run, config, shards)
    assert outcome.names == ("t0001-s0", "t0001-s1")
    assert (outcome.n_new, outcome.failures) == (2, ())
    lent = config.search.updated(cpus_per_trial=2)
    outcome = call(run, run_config(), shards, variant=Variant(with_validation=True), lent=lent)
    assert (outcome.names, outcome.failures) == (("t0001-full-s0",), ())
    return run, config


@pytest.mark.system
def test_a_changed_file_of_a_finished_candidate_is_not_passed_over(finished, shards):
    """Its metrics have the SHA-256 of all that was measured; a repeated call checks them and names the file."""
    run, config = finished
    files = run.candidate("t0001", 0)
    measured = {
        "config.yaml",
        "model.keras",
        "model.tflite",
        "predictions/test.parquet",
        "predictions/validation.parquet",
    }
    assert {*read_metrics(files.metrics_path).sha256} == measured
    for name in sorted(measured):
        sound = (files.root / name).read_bytes()
        (files.root / name).write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        try:
            with pytest.raises(DataError, match=f"{name}: has other bytes than the file that was scored"):
                call(run, config, shards)
        finally:
            (files.root / name).write_bytes(sound)


@pytest.mark.system
def test_a_repeated_call_trains_and_reads_nothing(finished, shards):
    """All is there: not one event more, and the test split has been read once for each candidate."""
    run, config = finished
    before = Ledger(run.ledger_path).events()
    assert call(run, config, shards).n_new == 0
    assert call(run, run_config(), shards, variant=Variant(with_validation=True)).n_new == 0
    assert Ledger(run.ledger_path).events() == before
    readings = [event["candidate"] for event in events(run, "test_read")]
    assert sorted(readings) == ["t0001-full-s0", "t0001-s0", "t0001-s1"]


@pytest.mark.system
def test_every_epoch_is_kept(finished):
    """history.parquet has loss, rate and validation scores of each epoch; without validation the scores are missing."""
    run, _ = finished
    history = pd.read_parquet(run.candidate("t0001", 0).history_path)
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert history[["loss", "learning_rate", "macro_accuracy", "log_loss"]].notna().all().all()
    full = pd.read_parquet(run.candidate("t0001-full", 0).history_path)
    assert full["macro_accuracy"].isna().all()
    assert full["loss"].notna().all()


@pytest.mark.system
def test_the_networks_scores_stand_beside_the_files(finished):
    """Those of the kept epoch, before the export, per split; on validation none if it was trained on it."""
    run, config = finished
    metrics = read_metrics(run.candidate("t0001", 0).metrics_path)
    history = pd.read_parquet(run.candidate("t0001", 0).history_path).set_index("epoch")
    best = history.loc[metrics.best_epoch]
    assert config.retrain.checkpoint == "macro_accuracy"
    assert {*metrics.float_scores} == {"validation", "test"}
    assert metrics.float_scores["validation"] == pytest.approx(dict(best[["macro_accuracy", "log_loss"]]), rel=1e-4)
    test = metrics.float_scores["test"]["log_loss"]
    assert test == pytest.approx(metrics.value("test", "log_loss"), rel=0.02)
    assert test != metrics.value("test", "log_loss")
    assert {*read_metrics(run.candidate("t0001-full", 0).metrics_path).float_scores} == {"test"}


@pytest.mark.system
def test_what_only_an_unfinished_candidate_needs_is_gone(finished):
    """Its float32 file and predictions are not kept; its file has been timed."""
    run, _ = finished
    files = run.candidate("t0001", 0)
    kept = sorted(path.relative_to(files.root).as_posix() for path in files.root.rglob("*") if path.is_file())
    assert kept == [
        *("card.md", "config.yaml", "history.parquet", "metrics.json", "model.keras", "model.tflite"),
        *("predictions/test.parquet", "predictions/validation.parquet", "t0001-s0.zip"),
    ]
    assert read_metrics(files.metrics_path).ms_per_clip > 0


@pytest.mark.system
def test_scores_come_with_their_spread_over_seeds(finished):
    """Mean, sample standard deviation and range over the two seeds are those of the candidates' own files."""
    run, _ = finished
    groups = {group.name: group for group in seed_groups(read_candidates(run))}
    assert set(groups) == {"t0001", "t0001-full"}
    values = [read_metrics(run.candidate("t0001", seed).metrics_path).value("test", "log_loss") for seed in (0, 1)]
    row = groups["t0001"].summary()
    assert row["seeds"] == [0, 1]
    assert row["test_log_loss_mean"] == pytest.approx(sum(values) / 2)
    assert row["test_log_loss_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert (row["test_log_loss_low"], row["test_log_loss_high"]) == (min(values), max(values))
    assert groups["t0001-full"].summary()["test_log_loss_sd"] is None
    assert groups["t0001-full"].summary()["validation_log_loss_mean"] is None


@pytest.mark.system
def test_trained_on_validation_too_it_keeps_the_last_cycles_end(finished, shards):
    """Of 5 epochs in cycles of 2 the fourth is the last; there are no validation scores, and more clips a epoch."""
    run, _ = finished
    files = run.candidate("t0001-full", 0)
    metrics = read_metrics(files.metrics_path)
    assert (metrics.epochs, metrics.best_epoch) == (4, 4)
    assert metrics.trained_on == ("train", "validation")
    assert set(metrics.splits) == {"test"}
    assert not files.predictions_path("validation").exists()
    (started,) = [event for event in events(run, "candidate_started") if event["candidate"] == files.name]
    assert started["splits"] == ["train", "validation"]
    assert yaml.safe_load(files.config_path.read_text())["checkpoint"] is None


@pytest.mark.system
def test_nothing_is_chosen_by_a_candidate_without_validation(finished):
    """The ensemble leaves it out with a sentence; the submission takes it for its sibling, by that one's score."""
    run, config = finished
    limit = read_limits(run.read_config())
    ensemble = build_ensemble(run, config.ensemble, limit)
    assert set(ensemble.members) <= {"t0001-s0", "t0001-s1"}
    assert without_validation(read_candidates(run)).startswith("t0001-full-s0 was trained on train and validation")
    systems, left_out = rank_systems(run, limit)
    by_name = {system.name: system for system in systems}
    sibling = read_predictions(run.candidate("t0001", 0).predictions_path("validation"))
    parts = location_parts(locations_of(sibling))
    calibration = calibrate(sibling.labels, sibling.probabilities, parts)
    assert by_name["t0001-full-s0"].calibration == calibration
    assert "replaced by t0001-full-s0" in left_out["t0001-s0"]
    assert "t0001-s1" in by_name


@pytest.mark.system
def test_a_file_over_the_limit_is_told_and_taken_for_nothing(tmp_path, shards, ray_here):
    """A file's size is known with the file: retraining says that it is over, ensemble and package leave it out."""
    config, manifest = run_config(), read_manifest(shards)
    counted = estimate(TINY, config.reader.input_shape(manifest.spec), len(manifest.classes))
    limit = counted.quantities(config.retrain.mode)["file_bytes"]  # a lower bound, which no file meets
    config = config.updated(rules={"name": "custom", "limits": {"file_bytes": limit}})
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    (line,) = call(run, config, shards).exports
    size = read_metrics(run.candidate("t0001", 0).metrics_path).file_bytes
    assert line.endswith(
        f"over the limit and cannot be selected: file_bytes {size:,} over {limit:,} by {size - limit:,}"
    )
    limits = read_limits(run.read_config())
    with pytest.raises(BudgetError, match=f"t0001-s0: file_bytes {size:,} over {limit:,}"):
        build_ensemble(run, config.ensemble, limits)
    assert rank_systems(run, limits)[0] == []
    assert select_candidate(read_candidates(run), limits) is None


@pytest.mark.system
def test_another_length_has_another_name(finished, shards):
    """The departure from the run's configuration is in the name; the configured length needs none."""
    assert Variant().suffix(600) == ""
    assert Variant(600).suffix(600) == ""
    assert Variant(510).suffix(600) == "-e510"
    assert Variant(510, with_validation=True).suffix(600) == "-e510-full"


@pytest.mark.system
def test_a_candidate_trained_otherwise_is_not_taken_for_this_one(finished, shards):
    """The same name with another recipe is refused, with the key that differs and the way out."""
    run, config = finished
    with pytest.raises(RunError, match=r"t0001-s0: was trained with other settings \(train.epochs: 5 there, 6 here"):
        call(run, config.updated(train=config.train.updated(epochs=6)), shards)
    assert len(events(run, "test_read")) == 3


@pytest.mark.system
def test_a_killed_worker_goes_on_at_its_checkpoint(tmp_path, shards, ray_here):
    """kill -9 of a training: taken up at the end of the last cycle, both noted, one reading of test."""
    config = run_config().updated(train=settings().train.updated(epochs=126, cycle_factor=2))
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    checkpoint = run.candidate("t0001", 0).checkpoint_path
    killed: list[int] = []

    def kill_once() -> None:
        """Kill the training's process as soon as there is a checkpoint."""
        wait_until(checkpoint.exists)
        killed.extend(worker_pids())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_once, daemon=True)
    killer.start()
    outcome = call(run, config, shards)
    killer.join()
    assert len(killed) == 1
    assert outcome.names == ("t0001-s0",)
    (retried,) = events(run, "candidate_retried")
    assert "died" in retried["reason"]
    (resumed,) = events(run, "candidate_resumed")
    assert resumed["epoch"] in {2, 6, 14, 30, 62}
    for kind in ("candidate_started", "test_read", "candidate_finished"):
        assert len(events(run, kind)) == 1


@pytest.mark.system
def test_a_killed_call_goes_on_where_it_was(tmp_path, shards):
    """Stopped in epoch 3, it goes on behind epoch 2; stopped behind the reading of test, it doesn't read it again."""
    config, files = candidate_of(RunDirectory(tmp_path), shards)

    def stop(epoch: int) -> None:
        """Be the crash."""
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_candidate(config, shards, files, test_every=1, hooks=Hooks(on_epoch=stop))
    pd.read_parquet(files.test_curve_path).head(1).to_parquet(files.test_curve_path)  # as if killed before its scores
    began: list[int] = []
    trained = train_candidate(config, shards, files, test_every=1, hooks=Hooks(on_start=began.append))
    assert began == [2]
    assert read_trained(files) == trained
    assert pd.read_parquet(files.test_curve_path)["epoch"].tolist() == [*range(1, config.train.epochs + 1)]

    reads: list[str] = []
    files.card_path.mkdir()  # the card can't be written: it ends behind the predictions, before the metrics
    with pytest.raises(AscError, match=r"card\.md"):
        score_candidate(config, shards, files, trained, on_read=reads.append)
    assert reads == ["validation", "test"]
    assert not files.is_finished
    files.card_path.rmdir()
    score_candidate(config, shards, files, trained, on_read=reads.append)
    assert reads == ["validation", "test"]
    assert files.is_finished
    assert read_trained(files) is None
    assert not files.checkpoint_path.exists()


@pytest.mark.system
def test_trained_and_not_scored_needs_no_second_training(tmp_path, shards):
    """A file that is not the one the training told of counts for nothing: it would be exported anew."""
    config, files = candidate_of(RunDirectory(tmp_path), shards)
    train_candidate(config, shards, files)
    assert read_trained(files) is not None
    files.tflite_path.write_bytes(files.tflite_path.read_bytes() + b"\0")
    assert read_trained(files) is None


@pytest.mark.system
def test_more_seeds_for_what_is_there(finished, shards):
    """Candidates with the seeds 0 and 1 get seed 2, and nothing is trained again."""
    run, _ = finished
    before = len(events(run, "candidate_started"))
    answer = json.loads(asc("retrain", run.root, "--shards", shards, "--add-seeds", 1, "--json").stdout)
    assert [(row["candidate"], row["seeds"]) for row in answer["candidates"]] == [("t0001", [0, 1, 2])]
    assert [event["candidate"] for event in events(run, "candidate_started")[before:]] == ["t0001-s2"]
    assert "give one of them" in asc("retrain", run.root, "--trial", "t0001", "--top", 1, code=1).stderr
    assert "not with --trial" in asc("retrain", run.root, "--trial", "t0001", "--add-seeds", 1, code=1).stderr
