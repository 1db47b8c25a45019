"""What is said of a system next to its baselines, on a run of made predictions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from page_support import page_without_figures
from results_support import add_candidate, make_run

from asc_models.ensemble import temper
from results.baselines.baselines import differences_to, read_baselines, shortfall
from results.candidates.candidates import read_candidates
from results.candidates.differences import Difference, difference_to
from results.candidates.predictions import write_predictions
from results.ensembles.calibration import calibrate, location_parts, locations_of
from results.report.data import read_run_data
from results.report.tables.baselines import baseline_table, comparison_notes
from results.rundir import RunDirectory

BETTER = Difference("a", "svm-s0", 80, 0.10, (0.02, 0.20), -0.2, (-0.4, -0.1))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """One candidate, a weak baseline, and one that is clearly better."""
    found = make_run(tmp_path / "run", n_candidates=1, search=False)
    add_candidate(found.baselines, "weak", size=400_000, skill=0.5)
    add_candidate(found.baselines, "strong", size=400_000, skill=6.0)
    return found


def test_a_system_beats_a_baseline_only_if_both_intervals_exclude_zero():
    """The wrong sign in either score is a loss, an interval that contains 0 is not significant."""
    assert shortfall(BETTER, "validation") == ""
    worse = dataclasses.replace(BETTER, accuracy=-0.05, accuracy_interval=(-0.1, 0.02))
    assert shortfall(worse, "validation") == (
        "a does not beat the baseline svm-s0 on validation (80 clips; 95 % interval over locations): accuracy -5.0 "
        "points (-10.0 to +2.0)."
    )
    equal = dataclasses.replace(BETTER, loss=0.0, loss_interval=(-0.1, 0.1))
    assert "does not beat" in shortfall(equal, "test")
    unclear = dataclasses.replace(BETTER, loss_interval=(-0.5, 0.1))
    assert "is not significantly better" in shortfall(unclear, "test")
    assert "accuracy" not in shortfall(unclear, "test")


def test_only_common_labelled_clips_are_compared(run):
    """A baseline of other clips, or of clips without labels, gives no difference and no sentence."""
    (candidate,), strong = read_candidates(run), read_baselines(run)[0]
    mine, theirs = candidate.predictions("test"), strong.predictions("test")
    assert difference_to(("a", mine), ("b", theirs)).n_clips == 240
    half = dataclasses.replace(theirs, clips=theirs.clips[:120], probabilities=theirs.probabilities[:120])
    assert difference_to(("a", mine), ("b", half)).n_clips == 120
    renamed = dataclasses.replace(theirs, clips=theirs.clips.assign(clip_id=theirs.clips["clip_id"] + "x"))
    unlabelled = dataclasses.replace(theirs, clips=theirs.clips.assign(scene=None))
    for other in (renamed, unlabelled):
        assert difference_to(("a", mine), ("b", other)) is None
        assert differences_to("a", mine, {"b": other}) == []


def test_the_table_has_the_selected_candidate_first_and_what_it_lacks_is_said(run):
    """One row each; the selected candidate's scores minus the row's; sentences on the strong baseline only."""
    data = read_run_data(run)
    frame = baseline_table(data).frame()
    assert frame["system"].tolist() == ["t00-s0", "strong-s0", "weak-s0"]
    assert pd.isna(frame["validation_log_loss_difference"][0])
    assert frame["validation_log_loss_difference"][1] > 0 > frame["validation_log_loss_difference"][2]
    assert frame["weight_bytes"].tolist() == [92_120, 400_120, 400_120]
    right = data.test["t00-s0"]
    assert frame["test_micro_accuracy"][0] == (right.probabilities.argmax(axis=1) == right.labels).mean()
    notes = comparison_notes(data)
    assert [note.startswith("t00-s0 does not beat the baseline strong-s0") for note in notes] == [True, True]
    assert ["on validation" in note for note in notes] == [True, False]
    assert comparison_notes(dataclasses.replace(data, baselines=data.baselines[1:])) == [
        "t00-s0 beats weak-s0 in accuracy and log loss."
    ]
    for split in ("validation", "test"):
        data.baselines[1].files.predictions_path(split).unlink()
    (note,) = comparison_notes(dataclasses.replace(data, baselines=data.baselines[1:]))
    assert note.startswith("No baseline has predictions of clips that t00-s0 has predicted")


def test_confidence_alone_does_not_change_a_baselines_log_loss(run):
    """With all probabilities squared, the log losses that are compared stay, whereas those of the file grow."""
    before = baseline_table(read_run_data(run)).frame().set_index("system")
    weak = next(one for one in read_baselines(run) if one.name == "weak-s0")
    for split in ("validation", "test"):
        made = weak.predictions(split)
        squared = dataclasses.replace(made, probabilities=temper(made.probabilities, 0.5).astype("float32"))
        write_predictions(weak.files.predictions_path(split), squared)
        assert squared.summarize()["log_loss"] > made.summarize()["log_loss"] + 0.05
    after = baseline_table(read_run_data(run)).frame().set_index("system")
    for column in ("validation_calibrated_log_loss", "test_calibrated_log_loss", "test_log_loss_difference"):
        assert after[column]["weak-s0"] == pytest.approx(before[column]["weak-s0"], abs=0.02)
    stored = weak.predictions("validation")
    expected = calibrate(stored.labels, stored.probabilities, location_parts(locations_of(stored))).log_loss
    assert after["validation_calibrated_log_loss"]["weak-s0"] == pytest.approx(expected, abs=1e-6)


def test_a_baseline_is_never_taken_for_a_candidate(run):
    """Neither candidates nor the selection of the run contain baselines, however good they are."""
    data = read_run_data(run)
    assert [one.name for one in data.candidates] == ["t00-s0"]
    assert data.selected is not None
    assert data.selected.name == "t00-s0"
    assert set(data.test) == {"t00-s0"}


@pytest.mark.system
def test_the_page_shows_baselines_or_how_to_train_them(run, tmp_path):
    """Table, sentences and CSV file; without a baseline, the command."""
    page = page_without_figures(run)
    assert 'id="table-baselines"' in page
    assert "t00-s0 does not beat the baseline strong-s0 on validation" in page
    assert pd.read_csv(run.tables_dir / "baselines.csv")["system"].tolist() == ["t00-s0", "strong-s0", "weak-s0"]
    bare = make_run(tmp_path / "bare", n_candidates=0, search=False)
    assert "<code>asc baseline</code> trains" in page_without_figures(bare)
