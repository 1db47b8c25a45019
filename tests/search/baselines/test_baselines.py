"""Baselines of a run on tiny shards: trained on its splits, read on test once, refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asc_models_support import feature_set
from cli_support import asc
from results_support import add_candidate
from retrain_support import events, run_config

from asc_models.svm.band_energies import band_energies
from data_prep.errors import DataError
from data_prep.files.yaml_file import read_yaml
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_candidates
from results.candidates.predictions import write_predictions
from results.rundir import RunDirectory
from search.baselines.baselines import default_epochs, network_config, train_baselines
from search.baselines.svm import _fit
from search.cli.screen.terminal import Terminal
from search.run_config import bind_data, open_run


def begun(root: Path, shards: Path, **retrain: object) -> RunDirectory:
    run = RunDirectory(root)
    open_run(run, run_config(**retrain))
    bind_data(run, read_manifest(shards))
    return run


@pytest.fixture(scope="module")
def fitted(shards, tmp_path_factory) -> tuple[RunDirectory, str]:
    """A run with the support vector machine, trained twice, and what the command printed first."""
    run = begun(tmp_path_factory.mktemp("baseline") / "run", shards)
    said = asc("baseline", run.root, "--shards", shards, "--only", "svm").stdout
    asc("baseline", run.root, "--shards", shards, "--only", "svm")
    return run, said


@pytest.mark.system
def test_the_svm_is_scored_on_validation_and_once_on_test(shards, fitted):
    """Fitted to the training split; a second call reads nothing again; `asc baseline` prints its scores."""
    run, said = fitted
    assert "svm-s0" in said
    assert "No candidate is selected" in said
    reads = [(event["candidate"], event["split"]) for event in events(run.baselines, "test_read")]
    assert reads == [("svm-s0", "validation"), ("svm-s0", "test")]
    (found,) = read_candidates(run.baselines)
    assert found.metrics.value("validation", "macro_accuracy") > 0.8
    assert found.metrics.weight_bytes == 4 * found.metrics.n_params
    folds = read_manifest(shards).folds[1]
    for split in ("validation", "test"):
        assert {folds[clip_id] for clip_id in found.predictions(split).clips["clip_id"]} == {split}


@pytest.mark.system
def test_no_setting_depends_on_the_test_split(sealed_shards, fitted, tmp_path):
    """On shards whose test split cannot be read, the settings are the same."""
    run = begun(tmp_path / "sealed", sealed_shards)
    with pytest.raises(DataError):
        train_baselines(run, sealed_shards, Terminal(quiet=True), names=("svm",))
    found, expected = (read_yaml(one.baselines.candidate("svm", 0).config_path)["setting"] for one in (run, fitted[0]))
    assert found == expected


@pytest.mark.system
def test_a_run_without_validation_has_baselines_out_of_fold(shards, tmp_path):
    """With all clips and inner folds, every clip of the training side is predicted once, as candidates predict it."""
    run = begun(tmp_path / "run", shards, all_clips=True, inner_folds=2)
    train_baselines(run, shards, Terminal(quiet=True), names=("svm",))
    (found,) = read_candidates(run.baselines)
    manifest = read_manifest(shards)
    side = [clip_id for clip_id, split in manifest.folds[1].items() if split in ("train", "validation")]
    assert found.name == "svm-full-s0"
    assert found.predictions("validation").clips["clip_id"].tolist() == side
    assert found.metrics.inner_folds == 2
    assert [event["split"] for event in events(run.baselines, "test_read")] == ["test"]
    open_run(run, run_config(all_clips=True, inner_folds=3))
    said = asc("baseline", run.root, "--shards", shards, "--only", "svm", code=1).stderr
    assert "inner_folds" in said
    assert "move its folder away" in said


@pytest.mark.system
def test_the_network_follows_the_shards_and_the_run(shards):
    """Its poolings fit the features; training side and inner folds are the run's; no limit refuses it."""
    manifest = read_manifest(shards)
    config = network_config(run_config(all_clips=True, inner_folds=2), manifest)
    (system,) = config.retrain.systems
    assert system.network.family == "dcase_baseline"
    assert (config.retrain.all_clips, config.retrain.inner_folds, config.retrain.mode) == (True, 2, "float16")
    recipe = system.recipe(config.train)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay, recipe.batch_size) == ("adamw", 1e-3, 0.0, 16)
    assert network_config(run_config(), manifest, epochs=3).retrain.systems[0].epochs == 3


def test_the_default_budget_is_minutes_and_at_most_the_published():
    """200 epochs of up to 50 clips, 31 of 320, 20 of TAU's 13,962."""
    assert [default_epochs(n) for n in (24, 100, 320, 13_962)] == [200, 100, 31, 20]


@pytest.mark.system
def test_what_cannot_be_fitted_is_refused_with_a_way_out(shards, tmp_path):
    """No run, other data, no shards, a single location of a scene, a single scene."""
    assert "not a run directory" in asc("baseline", tmp_path, "--shards", shards, code=1).stderr
    run = begun(tmp_path / "run", shards)
    assert "pass --shards" in asc("baseline", run.root, code=1).stderr
    assert not run.baselines.root.exists()
    side = feature_set(12)
    lonely = side.clips.assign(
        location=["alone" if scene == "scene1" else f"at{i}" for i, scene in enumerate(side.clips["scene"])]
    )
    with pytest.raises(DataError, match=r"scene1: a single location on the training side.*--only network"):
        _fit(replace(side, clips=lonely), band_energies(side))
    one = side.take((side.labels == 0).nonzero()[0])
    with pytest.raises(DataError, match="of one scene only"):
        _fit(one, band_energies(one))


@pytest.mark.system
def test_asc_select_warns_of_a_baseline_that_is_not_beaten(shards, fitted):
    """On the baseline's own validation clips, a candidate that guesses loses to it, and JSON has the sentence."""
    run, _ = fitted
    (svm,) = read_candidates(run.baselines)
    classes = read_manifest(shards).classes
    add_candidate(run, "guess", size=5_000, skill=0.0, classes=classes)
    for split in ("validation", "test"):
        made = svm.predictions(split)
        guess = np.full_like(made.probabilities, 1 / len(classes))
        write_predictions(run.candidate("guess", 0).predictions_path(split), replace(made, probabilities=guess))
    said = asc("select", run.root)
    assert "guess-s0 does not beat the baseline svm-s0 on validation" in " ".join(said.stderr.split())
    (sentence,) = json.loads(asc("select", run.root, "--json").stdout)["baselines_not_beaten"]
    assert "on test" not in sentence


@pytest.mark.system
def test_the_network_is_exported_and_scored_like_a_candidate(shards, tmp_path, ray_here):
    """One epoch: a float16 file, predictions of validation and test, one row each in the answer."""
    run = begun(tmp_path / "run", shards)
    rows = json.loads(asc("baseline", run.root, "--shards", shards, "--epochs", "1", "--json").stdout)["systems"]
    assert sorted(row["system"] for row in rows) == ["dcase2021-baseline-s0", "svm-s0"]
    network = next(one for one in read_candidates(run.baselines) if one.name == "dcase2021-baseline-s0")
    assert network.files.tflite_path.is_file()
    assert (network.metrics.mode, network.metrics.epochs) == ("float16", 1)
    assert set(network.metrics.splits) == {"validation", "test"}


@pytest.mark.parametrize("option", ["--epochs", "--cpus-per-trial", "--gpus-per-trial", "--address"])
def test_options_of_the_network_are_refused_for_the_support_vector_machine(option, tmp_path):
    """They would have no effect; the message names the one that was given."""
    refused = asc("baseline", tmp_path, "--only", "svm", option, "2", code=1).stderr
    assert f"--only svm: {option} would have no effect" in " ".join(refused.split())
