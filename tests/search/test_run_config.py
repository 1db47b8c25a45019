"""The configuration of a run directory: written once, checked on resume, and held against the data."""

from __future__ import annotations

import pytest

from data_prep.errors import RunError
from data_prep.schema import parse_config
from data_prep.shards.manifest import read_manifest
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import taken
from search.config import RunConfig, read_run_config
from search.run_config import adjust_run, bind_data, open_run, read_run, unless_refused, unlike_shards


def test_a_run_belongs_to_one_configuration(tmp_path):
    """The same configuration opens a run again; another is refused, with both values, once training has begun."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, read_run_config("demo", ["search.n_trials=98"]))
    open_run(run, read_run_config("demo"))
    open_run(run, read_run_config("demo"))
    assert read_run(run) == read_run_config("demo")
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("trial_started", trial_id="t0001", params={}, key="k", config={})
    open_run(run, read_run_config("demo", ["search.n_trials=99"]))
    assert read_run(run).search.n_trials == 99, "more trials may be asked for"
    with pytest.raises(RunError, match=r"search\.epochs: \d+ there, 99 here"):
        open_run(run, read_run_config("demo", ["search.epochs=99"]))
    with pytest.raises(RunError, match=r"search\.inner_folds: 0 there, 4 here"):
        open_run(run, read_run_config("demo", ["search.inner_folds=4"]))


def test_a_run_belongs_to_one_data_set(tmp_path, shards):
    """Data of another hash are refused, and the data are noted by name and hash, not by path."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, RunConfig())
    manifest = read_manifest(shards)
    bind_data(run, manifest)
    bind_data(run, manifest)
    assert str(shards) not in run.config_path.read_text()
    with pytest.raises(RunError, match="started on the data"):
        bind_data(run, manifest.updated(classes=manifest.classes[::-1]))
    bind_data(run, manifest.updated(name="moved"))


def test_shards_that_were_prepared_otherwise_are_said(shards):
    """Every key of `prepare` that is set and differs is listed with both values; keys that are not set say nothing."""
    manifest = read_manifest(shards)
    spec = manifest.spec
    alike = {"features": {"n_mels": spec.n_mels, "hop_length": spec.hop_length}, "validation": {"seed": 0}}
    assert unlike_shards(parse_config(RunConfig, {}, "test"), manifest) is None
    assert unlike_shards(parse_config(RunConfig, {"prepare": alike}, "test"), manifest) is None
    other = {"features": {"n_mels": 64}, "validation": {"fraction": 0.07}, "augmentations": ["mix"]}
    told = unlike_shards(parse_config(RunConfig, {"prepare": other}, "test"), manifest)
    assert told is not None
    assert told.splitlines()[1:-1] == [
        "  prepare.augmentations: mix here, none there",
        f"  prepare.features.n_mels: 64 here, {spec.n_mels} there",
        f"  prepare.validation.fraction: 0.07 here, {manifest.validation.fraction} there",
    ]


def test_a_folder_without_a_run_is_named(tmp_path):
    """Stage commands on a folder that is no run say so."""
    with pytest.raises(RunError, match="not a run directory"):
        read_run(RunDirectory(tmp_path))


def test_a_runs_own_configuration_can_be_run_again(tmp_path, shards):
    """RUN/config.yaml, with what it notes of data, versions and machine, is a configuration like any other."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, read_run_config("demo"))
    bind_data(run, read_manifest(shards))
    assert read_run_config(str(run.config_path)) == read_run_config("demo")
    assert run.read_config()["machine"]["onednn"] in ("0", "1")


def test_a_run_with_data_of_its_own_is_not_synthesized(tmp_path):
    """A run that an earlier `asc run demo` started resumes without the section `synth`, also by `asc search demo`."""
    run, demo = RunDirectory(tmp_path / "run"), read_run_config("demo")
    open_run(run, demo)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("candidate_started", candidate="t00-s0")
    assert demo.synth is not None
    empty = RunDirectory(tmp_path / "empty")
    open_run(empty, demo.updated(synth=None))
    assert open_run(empty, demo).synth == demo.synth, "nothing was trained"
    assert open_run(run, demo).synth == demo.synth, "asc demo"
    assert open_run(run, demo.updated(synth=None)).synth is None
    assert read_run(run) == demo.updated(synth=None)
    assert open_run(run, demo).synth is None
    assert read_run(run).synth is None
    with pytest.raises(RunError, match="fold"):
        open_run(run, demo.updated(synth=None, fold=2))


def test_a_setting_is_in_the_storage_at_once(tmp_path):
    """`asc retrain --storage --set` stores the setting before it trains; a refused call takes it back there, too."""
    run = RunDirectory(tmp_path / "run")
    open_run(run, RunConfig())

    def adjust_and_fail() -> None:
        """Change a setting, then fail before any training."""
        with unless_refused(run, storage):
            adjust_run(run, ["retrain.n_candidates=8"], "retrain", storage)
            assert storage.store.read("config.yaml") == run.config_path.read_bytes() != before
            raise RunError("later")

    with taken(run, tmp_path / "storage") as storage:
        assert storage is not None
        adjust_run(run, ["retrain.n_candidates=7"], "retrain", storage)
        before = run.config_path.read_bytes()
        assert storage.store.read("config.yaml") == before
        with pytest.raises(RunError, match="later"):
            adjust_and_fail()
        assert storage.store.read("config.yaml") == run.config_path.read_bytes() == before
