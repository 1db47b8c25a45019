"""The report says what a run lacks instead of failing."""

from pathlib import Path

import pytest
from page_support import page_without_figures, written_page
from results_support import add_search, forget_locations, make_run

from data_prep.errors import RunError
from results.candidates.limits import Limits
from results.config import EnsembleConfig
from results.ensembles.ensemble import build_ensemble
from results.ledger.ledger import Ledger
from results.report.page import render_report
from results.rundir import RunDirectory

pytestmark = pytest.mark.system


def test_a_run_that_only_searched_says_so(tmp_path: Path) -> None:
    """Without candidates and ensemble the page has the search and says that nothing is selected."""
    run = make_run(tmp_path / "run", n_candidates=0)
    render_report(run)
    page = written_page(run)
    assert "No candidate is selected: none has been" in page
    assert "No candidate has been retrained yet" in page
    assert "No ensemble was selected" in page
    assert 'id="figure-pareto"' in page
    assert 'id="figure-by_device"' not in page


def test_failures_stand_with_their_reasons(tmp_path: Path) -> None:
    """Failed trials and retrainings are a table of the search, and the page says where the tracebacks are."""
    run = make_run(tmp_path / "run", n_candidates=0)
    assert 'id="table-failures"' not in page_without_figures(run)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("candidate_failed", candidate="t00-s0", reason="<b>OOM</b> when allocating")
    page = page_without_figures(run)
    assert 'id="table-failures"' in page
    assert "t00-s0" in page
    assert "&lt;b&gt;OOM&lt;/b&gt; when allocating" in page
    assert "in the folder failures of the run" in page


def test_an_ensemble_of_one_is_a_sentence(tmp_path: Path) -> None:
    """One member at full weight is named in words, without a table of one row and its sum."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    build_ensemble(run, EnsembleConfig(temperature=False), Limits())
    page = page_without_figures(run)
    assert "Only t00-s0 was selected" in page
    assert "Tempered" not in page
    assert 'id="table-ensemble-1"' not in page


def test_a_search_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    """Only refused proposals, or a trial without a rung: words instead of a crash or an empty picture."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_search(run, n_trials=0, n_infeasible=3)
    render_report(run)
    assert "No trial was trained. All 3 proposals were over the limit." in written_page(run)
    assert "No trial or candidate has a score yet" in written_page(run)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("trial_started", trial_id="t1", params={}, key="k", config={}, macs=1, weight_bytes=4, seed=0)
    render_report(run)
    assert "No trial has finished a rung yet" in written_page(run)


def test_an_empty_run_directory_has_a_report_too(tmp_path: Path) -> None:
    """Not even a configuration: the page stands and says what is missing."""
    assert render_report(RunDirectory(tmp_path)).is_file()


@pytest.mark.parametrize(
    ("n_known", "said"),
    [
        (0, "has 240 clips without a known location, so the intervals resample clips. Clips of one location are not"),
        (40, "has 240 clips, 200 of them without a known location, so the intervals resample locations and clips."),
    ],
)
def test_intervals_without_locations_are_said_to_be_too_narrow(tmp_path: Path, n_known: int, said: str) -> None:
    """Where clips were drawn for lack of locations, the page says so instead of counting none."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    forget_locations(run, n_known)
    page = page_without_figures(run)
    assert said in page
    assert "the intervals are too narrow" in page
    assert "resample whole locations" not in page


def test_a_damaged_ledger_is_an_error(tmp_path: Path) -> None:
    """A broken line is named, and no page is written over it."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.ledger_path.write_text("garbage\n")
    with pytest.raises(RunError, match="line 1"):
        render_report(run)
    assert not run.report_dir.exists()
