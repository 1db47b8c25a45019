"""A run opened from Python: its tables as data frames."""

from __future__ import annotations

import pandas as pd
import pytest
from results_support import add_search, make_run

from data_prep.errors import RunError
from results.ledger.trials import write_trials
from results.run import open_run


@pytest.mark.system
def test_a_run_opens_as_data_frames(tmp_path):
    """Trials, candidates and ensembles are the tables of the run and its report; the report is where the page says."""
    directory = make_run(tmp_path / "run", search=False)
    add_search(directory, n_trials=6, n_infeasible=1)
    run = open_run(directory.root)
    assert run.config == directory.read_config()
    pd.testing.assert_frame_equal(run.trials, pd.read_parquet(write_trials(directory)), check_dtype=False)
    for files in directory.candidates():
        files.predictions_path("test").unlink()  # without test predictions and with few trials a report has few figures
    page = run.report()
    assert page == directory.report_dir / "index.html"
    assert page.is_file()
    written = pd.read_csv(page.parent / "tables" / "candidates.csv")
    assert run.candidates["candidate"].tolist() == written["candidate"].tolist()
    assert list(run.candidates.columns) == list(written.columns)
    assert run.ensembles.empty


def test_the_front_holds_the_finished_trials_that_no_other_dominates(tmp_path):
    """No finished trial is at least as accurate and no larger than one on the front without being as good there."""
    run = open_run(str(make_run(tmp_path / "run").root))
    front, finished = run.front, run.trials[run.trials["state"] == "finished"]
    assert 1 < len(front) < len(finished)
    assert front["weight_bytes"].is_monotonic_increasing
    assert front["macro_accuracy"].is_monotonic_increasing
    for _, point in front.iterrows():
        smaller = finished[finished["weight_bytes"] <= point["weight_bytes"]]
        assert smaller["macro_accuracy"].max() == point["macro_accuracy"]


def test_what_is_added_is_seen(tmp_path):
    """A run that is open shows what a running search adds, without being opened again."""
    run = open_run(make_run(tmp_path / "run", search=False).root)
    assert run.trials.empty
    assert run.front.empty
    make_run(tmp_path / "run")
    assert len(run.trials) > 0


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    """Without config.yaml there is no run, and the message says so."""
    with pytest.raises(RunError, match=r"not a run directory \(it has no config.yaml\)"):
        open_run(tmp_path)
