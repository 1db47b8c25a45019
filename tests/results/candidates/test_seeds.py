"""What several seeds tell of a candidate: mean and spread, in tables, page and package."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from pathlib import Path

import pandas as pd
import pytest
from page_support import page_without_figures
from results_support import add_candidate, make_run

from results.candidates.candidates import read_candidates, read_metrics, sibling_name, without_validation, write_metrics
from results.candidates.limits import Limits, read_limits
from results.candidates.seeds import Spread, seed_groups
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.report.data import read_run_data, select_candidate
from results.report.tables.seeds import seed_table
from results.rundir import RunDirectory
from results.submission.package import write_submission
from results.submission.systems import rank_systems

CLASSES = ("dog", "rain", "sea")


def train_on_validation(run: RunDirectory, name: str, seed: int = 0) -> None:
    """Add the sibling of a candidate that was trained on validation, too: no validation scores, no predictions."""
    full = run.candidate(f"{name}-full", seed)
    shutil.copytree(run.candidate(name, seed).root, full.root)
    full.predictions_path("validation").unlink()
    metrics = read_metrics(full.metrics_path)
    splits = {"test": metrics.splits["test"]}
    write_metrics(full.metrics_path, dataclasses.replace(metrics, splits=splits, trained_on=("train", "validation")))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with one candidate of three seeds, one of a single seed, and the latter trained on validation, too."""
    run = make_run(tmp_path_factory.mktemp("seeds") / "run", n_candidates=0, search=False)
    for seed in range(3):
        add_candidate(run, "t0001", size=40_000 + seed, skill=2.0 + seed / 2, seed=seed, classes=CLASSES)
    add_candidate(run, "t0002-e510", size=90_000, skill=4.0, classes=CLASSES)
    train_on_validation(run, "t0002-e510")
    return run


def test_seeds_of_a_candidate_stand_together(run: RunDirectory) -> None:
    """Three seeds are one row, with the mean, sample deviation and range of the three files' scores."""
    groups = {group.name: group for group in seed_groups(read_candidates(run))}
    assert list(groups) == ["t0002-e510", "t0001", "t0002-e510-full"]
    values = [read_metrics(run.candidate("t0001", s).metrics_path).value("test", "macro_accuracy") for s in range(3)]
    spread = groups["t0001"].scores["test", "macro_accuracy"]
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.sd == pytest.approx(statistics.stdev(values))
    assert (spread.low, spread.high) == (min(values), max(values))
    assert groups["t0001"].size("nonzero_weight_bytes") == 40_002
    row = seed_table(read_run_data(run)).frame().set_index("candidate").loc["t0001"]
    assert row["seeds"] == "0 1 2"
    assert row["test_macro_accuracy_mean"] == pytest.approx(spread.mean)


def test_one_seed_has_no_spread() -> None:
    """A mean alone, not a spread of zero."""
    assert Spread(0.5, None, 0.5, 0.5).text(span=True) == "0.500"
    assert Spread(0.5, 0.1, 0.4, 0.6).text(span=True) == "0.500 ± 0.100 (0.400–0.600)"
    assert Spread(0.5, 0.1, 0.4, 0.6).text() == "0.500 ± 0.100"


@pytest.mark.system
def test_the_page_has_seeds_and_says_who_takes_no_part(run: RunDirectory) -> None:
    """The table over seeds, its CSV, and the sentence on what was trained on validation; no word of a single seed."""
    page = page_without_figures(run)
    assert 'id="table-seeds"' in page
    assert "t0002-e510-full-s0 was trained on train and validation" in page
    assert "Each candidate was trained with one seed" not in page
    table = pd.read_csv(run.report_dir / "tables" / "seeds.csv")
    assert table["n_seeds"].tolist() == [1, 3, 1]
    assert table["trained_on"].tolist()[-1] == "train + validation"


@pytest.mark.system
def test_a_page_without_several_seeds_has_no_table_of_them(tmp_path: Path) -> None:
    """One seed each: the candidates' own table says it all."""
    run = make_run(tmp_path / "run", n_candidates=2, search=False, classes=CLASSES)
    page = page_without_figures(run)
    assert 'id="table-seeds"' not in page
    assert "Each candidate was trained with one seed" in page
    assert not (run.report_dir / "tables" / "seeds.csv").exists()


def test_trained_on_validation_it_is_submitted_but_nothing_is_chosen_by_it(run: RunDirectory) -> None:
    """No member of an ensemble; in the package it stands for its sibling, ranked by that one's validation."""
    limit = read_limits(run.read_config())
    ensemble = build_ensemble(run, EnsembleConfig(), limit)
    assert "t0002-e510-full-s0" not in ensemble.members
    systems, left_out = rank_systems(run, limit)
    names = [system.name for system in systems]
    assert "t0002-e510-full-s0" in names
    assert left_out["t0002-e510-s0"].startswith("replaced by t0002-e510-full-s0")
    assert names.index("t0002-e510-full-s0") < names.index("t0001-s0")
    assert write_submission(run, SubmissionConfig()).is_file()


def test_without_a_sibling_it_is_not_ranked(tmp_path: Path) -> None:
    """Nothing tells how good it is but test, which nothing may be chosen by."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("t0001", "t0002"):
        add_candidate(run, name, size=40_000, skill=3.0, classes=CLASSES)
    train_on_validation(run, "t0001")
    shutil.rmtree(run.candidate("t0001", 0).root)
    systems, left_out = rank_systems(run, Limits())
    assert [system.name for system in systems] == ["t0002-s0"]
    assert "neither has a sibling" in left_out["t0001-full-s0"]


def test_scores_on_other_clips_are_not_compared(tmp_path: Path) -> None:
    """Where one candidate is scored out of fold, those scored on validation are neither selected nor ranked, and told.

    Its score is its own, whatever its sibling has.
    """
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name, skill in (("t0001", 5.0), ("t0002", 3.0), ("t0002-full", 2.0)):
        add_candidate(run, name, size=40_000, skill=skill, classes=CLASSES)
    path = run.candidate("t0002-full", 0).metrics_path
    metrics = dataclasses.replace(read_metrics(path), trained_on=("train", "validation"), inner_folds=4)
    write_metrics(path, metrics)
    assert read_metrics(path) == metrics
    assert "inner_folds" not in run.candidate("t0001", 0).metrics_path.read_text()
    limits, candidates = read_limits(run.read_config()), read_candidates(run)
    assert {sibling_name(candidate) for candidate in candidates} == {""}
    assert without_validation(candidates).startswith("t0001-s0, t0002-s0 are scored on the validation split")
    assert build_ensemble(run, EnsembleConfig(), limits).members == {"t0002-full-s0": 1.0}
    selected = select_candidate(candidates, limits)
    assert selected is not None
    assert selected.name == "t0002-full-s0"
    systems, left_out = rank_systems(run, limits)
    assert [{*system.distinct} for system in systems] == [{"t0002-full-s0"}]
    assert {*left_out} >= {"t0001-s0", "t0002-s0"}
    assert "unlike others, which are scored out of fold" in left_out["t0001-s0"]


def test_siblings_are_found_by_name(run: RunDirectory) -> None:
    """-full before the seed, and only where validation was trained on."""
    siblings = {candidate.name: sibling_name(candidate) for candidate in read_candidates(run)}
    assert siblings["t0002-e510-full-s0"] == "t0002-e510-s0"
    assert siblings["t0001-s0"] == ""
    assert without_validation([one for one in read_candidates(run) if one.name == "t0001-s0"]) == ""
