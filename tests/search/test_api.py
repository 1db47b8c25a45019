"""The stages as functions, without the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from retrain_support import TINY, begin, run_config

from data_prep.errors import ConfigError, DataError, RunError
from results.ledger.ledger import Ledger
from results.ledger.running import RunningReports
from search.api import Quiet, network_input, read_config, run, search, survey
from search.config import read_run_config
from search.observers import mlflow_log
from search.observers.watch import Watch
from search.space.space import Space
from search.stages import Workspace, search_stage


def test_a_configuration_is_read_by_name_or_path(tmp_path):
    """A shipped name and a file give the same; overrides are Python values; the default is `default`."""
    path = tmp_path / "mine.yaml"
    path.write_text("search: {n_trials: 5}\n")
    assert read_config(path) == read_config(str(path)) == read_config(overrides={"search.n_trials": 5})
    assert read_config("demo", ["fold=1"]) == read_run_config("demo")


def test_a_survey_counts_the_space():
    """Without data, the configuration says the input; every point of a small space is looked at."""
    config = read_config("demo")
    found = survey(config)
    assert found.is_exact
    assert found.n_points == Space(config.space).size
    assert 0 < found.share <= 1
    assert network_input(config).shape == config.reader.input_shape(config.prepare.features)


def test_a_survey_takes_the_input_from_the_data(shards):
    """With shards, their feature and their scenes count, given as a path or as text."""
    config = read_config("demo")
    for place in (shards, str(shards)):
        given = network_input(config, place)
        assert given.shape[0] == 16
        assert given.n_classes == 3


@pytest.mark.parametrize(
    ("config", "data", "error", "message"),
    [
        ("tau2020-cao2021", None, ConfigError, "has no search"),
        ("demo", Path("nowhere"), DataError, "nowhere"),
    ],
)
def test_a_search_that_cannot_be_leaves_nothing_behind(config, data, error, message, shards, tmp_path):
    """A configuration without a search and shards that are not there are errors before a run is begun."""
    with pytest.raises(error, match=message):
        search(read_config(config), data or shards, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "earlier", "error", "message"),
    [
        ("demo", "nowhere", RunError, "nowhere: not a run directory"),
        ("demo", "run", RunError, "run: is this run itself"),
        ("tau2020-cao2021", "nowhere", ConfigError, "search: null: .*Leave out --warm-start"),
    ],
)
def test_earlier_runs_that_cannot_inform_a_search_leave_nothing_behind(name, earlier, error, message, shards, tmp_path):
    """What is no run, the run itself, and a line without a search are errors before anything is prepared."""
    out = tmp_path / "run"
    with pytest.raises(error, match=message):
        run(read_config(name), tmp_path, out, earlier=[tmp_path / earlier])
    if error is RunError:
        with pytest.raises(error, match=message):
            search(read_config(name), shards, out, earlier=[tmp_path / earlier])
    assert not out.exists()


def test_the_quiet_narrator_still_warns(capsys):
    """Progress and notes go nowhere, warnings are Python's."""
    narrator = Quiet()
    with narrator.stage("Search", "trials") as on_progress:
        on_progress(1, 2)
    narrator.note("all is well")
    assert narrator.search_view(RunningReports(Path())) is None
    with pytest.warns(UserWarning, match="look at this"):
        narrator.warn("look at this")
    assert capsys.readouterr() == ("", "")


def test_a_search_that_fails_has_its_table_of_trials(shards, tmp_path):
    """Ended by an error, here of shards that are gone, the trials of a run are in `trials.parquet`."""
    config = run_config()
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    with Ledger.open_for_writing(run.ledger_path) as ledger, pytest.raises(DataError, match="nowhere"):
        search_stage(Workspace(run, tmp_path / "nowhere"), config, ledger, Quiet(), Watch(tensorboard=False))
    assert run.trials_path.is_file()


def test_a_tracker_that_is_missing_is_reported_before_anything_is_trained(shards, tmp_path, monkeypatch):
    """With a search or without, where it was asked for only once all candidates were trained."""
    monkeypatch.setattr(mlflow_log, "find_spec", lambda name: None)
    watch, out = Watch(mlflow="http://127.0.0.1:1"), tmp_path / "run"
    for name in ("demo", "tau2020-cao2021"):
        with pytest.raises(ConfigError, match="--mlflow: MLflow is not installed"):
            run(read_config(name), tmp_path / "no data", out, watch=watch)
    with pytest.raises(ConfigError, match="--mlflow: MLflow is not installed"):
        search(read_config("demo"), shards, out, watch=watch)
    assert not out.exists()
