"""Runs next to each other: who is compared with whom, and what is said of them, from values made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from results_support import CONFIG, add_candidate

from asc_models.rules import RulesConfig
from data_prep.errors import RunError
from data_prep.files.files import write_text
from data_prep.files.yaml_file import to_yaml
from results.candidates.candidates import read_candidates
from results.candidates.limits import Limits
from results.candidates.predictions import write_predictions
from results.comparison.comparison import (
    ComparedRun,
    ReferencePoint,
    RunGroup,
    compare_runs,
    short_names,
)
from results.comparison.page import write_comparison
from results.comparison.tables import all_tables, run_table
from results.report.data import RunData
from results.rundir import RunDirectory

NOTHING = pd.DataFrame()


def searched(name: str, *trials: tuple[int, float, float], epochs: int = 14, limits: Any = None) -> ComparedRun:
    """Return a run whose finished trials have these (weight bytes, accuracy, log loss); a paused one beats them all."""
    rows = [("finished", *one) for one in trials] + [("paused", 1, 0.99, 0.01)]
    frame = pd.DataFrame(rows, columns=["state", "weight_bytes", "macro_accuracy", "log_loss"]).assign(epochs=epochs)
    limits = Limits() if limits is None else Limits(RulesConfig(name="custom", limits=limits))
    run = RunDirectory(Path(name))
    return ComparedRun(name, RunData(run, CONFIG, limits, [], frame, NOTHING, [], [], None, {}, []), CONFIG)


A = searched("a", (10_000, 0.5, 2.0), (60_000, 0.7, 1.2), (70_000, 0.6, 1.1))
B = searched("b", (30_000, 0.8, 0.9))


def test_hypervolumes_are_areas_over_the_common_reference():
    """By hand: above accuracy 0.5 and below log loss 2.0, the worst of both runs, up to the limit of 128,000 bytes."""
    group = RunGroup((A, B))
    assert group.reference == ReferencePoint(0.5, 2.0, 128_000)
    assert group.hypervolume(A, "macro_accuracy") == pytest.approx(0.2 * 68 / 128)
    assert group.hypervolume(B, "macro_accuracy") == pytest.approx(0.3 * 98 / 128)
    assert group.hypervolume(A, "log_loss") == pytest.approx((0.8 * 10 + 0.9 * 58) / 128)
    assert group.hypervolume(B, "log_loss") == pytest.approx(1.1 * 98 / 128)
    assert A.front("macro_accuracy")["weight_bytes"].tolist() == [10_000, 60_000]
    assert A.front("log_loss")["weight_bytes"].tolist() == [10_000, 60_000, 70_000]


def test_the_reference_is_no_smaller_than_any_finished_trial():
    """Without a limit on weight bytes, sizes go up to the largest trial; another limit is not a size in bytes."""
    limits = {"macs": 30_000_000}
    runs = searched("a", (10_000, 0.5, 2.0), limits=limits), searched("b", (30_000, 0.8, 0.9), limits=limits)
    assert RunGroup(runs).reference == ReferencePoint(0.5, 2.0, 30_000)


def test_without_a_search_or_a_second_run_there_is_no_hypervolume():
    """A run without finished trials has none; a run alone has no reference, even with finished trials."""
    none = searched("none")
    assert RunGroup((A, none)).hypervolume(none, "log_loss") is None
    assert RunGroup((A,)).hypervolume(A, "log_loss") is None
    assert RunGroup((none, none)).reference is None


def test_fronts_after_different_epochs_are_noted():
    """A longer last rung gives a better front by itself."""
    assert RunGroup((A, B, searched("none"))).notes == []
    (note,) = RunGroup((A, searched("longer", (30_000, 0.8, 0.9), epochs=30))).notes
    assert "(a: 14; longer: 30)" in note


def test_fronts_that_are_scored_differently_are_noted():
    """Scores out of fold are of other clips than those on validation; runs without a front don't matter."""
    parted, none = (
        replace(run, data=replace(run.data, config={**CONFIG, "search": {"inner_folds": 4}}))
        for run in (B, searched("none"))
    )
    (note,) = RunGroup((A, parted)).notes
    assert (
        note
        == "Trials are scored differently (a: on validation; b: out of fold over 4 parts): do not compare the fronts."
    )
    assert RunGroup((parted, parted)).notes == RunGroup((A, none)).notes == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four runs of the same corpus and one of another; `unprepared` has no data yet."""
    for name, data, fold in (
        ("one", ("corpus", "0123456789ab"), 1),
        ("two", ("corpus", "0123456789ab"), 1),
        ("fold2", ("corpus", "0123456789ab"), 2),
        ("changed", ("corpus", "fedcba987654"), 1),
        ("other", ("tram", "000000000000"), 1),
        ("unprepared", None, 1),
    ):
        found = {} if data is None else {"data": {"name": data[0], "manifest_hash": data[1]}}
        write_text(tmp_path / name / "config.yaml", to_yaml({"fold": fold, **found}))
    return tmp_path


def compare(root: Path, *names: str, configs: dict[str, Any] | None = None):
    return compare_runs([(root / name, (configs or {}).get(name, {})) for name in names])


def test_only_runs_of_the_same_data_and_fold_are_in_a_group(root):
    """Others are in groups of their own, each with the reason; a run without data is alone."""
    found = compare(root, "one", "fold2", "two", "changed", "other", "unprepared")
    names = [[run.name for run in group.runs] for group in found.groups]
    assert names == [["one", "two"], ["fold2"], ["changed"], ["other"], ["unprepared"]]
    assert found.reasons == [
        "fold2: not compared with one, two; the fold is 2, not 1.",
        "changed: not compared with one, two; files, lists or features of corpus differ (manifest hash fedcba987654).",
        "other: not compared with one, two; the data are tram, not corpus.",
        "unprepared: not compared with one, two; a run without prepared data cannot be compared.",
    ]


def test_the_keys_in_which_configurations_differ(root):
    """Nested keys, keys of some runs, and a section that one run lacks; equal keys and runs of other folds are out."""
    configs = {
        "one": {"fold": 1, "train": {"lr": 0.1, "epochs": 30}, "search": {"seed": 0}, "knobs": {"a": 1}},
        "two": {"fold": 1, "train": {"lr": 0.2, "epochs": 30}, "search": None, "knobs": {"a": 1, "b": [8, 16]}},
        "fold2": {"fold": 2, "train": {"lr": 0.3}},
    }
    found = compare(root, "one", "two", "fold2", configs=configs)
    assert found.groups[0].settings == {
        "train.lr": {"one": 0.1, "two": 0.2},
        "search": {"one": {"seed": 0}, "two": None},
        "knobs.b": {"two": [8, 16]},
    }
    written = all_tables(found)["settings"]
    assert [tuple(row) for row in written.to_numpy()] == [
        *(("train.lr", "one", "0.1"), ("train.lr", "two", "0.2"), ("search", "one", "{…}"), ("search", "two", "null")),
        *(("knobs.b", "one", "–"), ("knobs.b", "two", "[8, 16]")),
    ]


def test_selected_candidates_are_compared_on_the_test_clips_of_both(root):
    """The paired difference on equal clips is that of the calibrated scores; without a common clip there is none."""
    for name, skill in (("one", 2.0), ("two", 3.0)):
        add_candidate(RunDirectory(root / name), "t00", size=50_000, skill=skill)
    group = compare(root, "one", "two").groups[0]
    (found,), (first, second) = group.differences, (run.data.selected.metrics for run in group.runs)
    assert (found.system, found.reference, found.n_clips) == ("two", "one", 240)
    accuracy = second.value("test", "macro_accuracy") - first.value("test", "macro_accuracy")
    one, two = run_table(compare(root, "one", "two")).frame()["test_calibrated_log_loss"]
    assert one < first.value("test", "log_loss") - 0.01  # this candidate is over-confident
    loss = two - one
    assert (found.accuracy, found.loss) == (pytest.approx(accuracy, abs=1e-6), pytest.approx(loss, abs=1e-6))
    assert found.loss_interval[0] < loss < found.loss_interval[1]
    (candidate,) = read_candidates(RunDirectory(root / "two"))
    test = candidate.predictions("test")
    test.clips["clip_id"] += "x"
    write_predictions(candidate.files.predictions_path("test"), test)
    assert compare(root, "one", "two").groups[0].differences == []


def test_runs_are_named_by_the_parts_of_their_paths_that_differ():
    """The folder's name, with parents where two folders have the same name."""
    assert short_names([Path("/a/x"), Path("/a/y")]) == ["x", "y"]
    assert short_names([Path("/a/one/x"), Path("/b/one/x"), Path("/b/y")]) == ["a/one/x", "b/one/x", "/b/y"]


@pytest.mark.parametrize("names", [["one"], ["one", "two", "one"], ["one", "../{}/one"]])
def test_two_different_runs_are_needed(root, names):
    """A run alone, and a run that is given twice, also by another path, are refused with what was given."""
    with pytest.raises(RunError, match=r"at least two different runs, each given once; given: .*one"):
        compare(root, *(name.format(root.name) for name in names))


def test_files_of_an_earlier_comparison_are_removed(root):
    """Two runs of one fold have settings that differ, of two folds none; what a user keeps there stays."""
    folder = root / "compared"
    write_comparison(compare(root, "one", "two", configs={"two": {"seed": 1}}), folder)
    kept = [folder / "tables" / "mine.csv", folder / "figures" / "mine.png"]
    old = [folder / "figures" / name for name in ("fronts_log_loss.png", "fronts_macro_accuracy_2.svg")]
    for path in (*kept, *old):
        write_text(path, "x")
    assert (folder / "tables" / "settings.csv").is_file()
    write_comparison(compare(root, "one", "fold2"), folder)
    files = {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}
    assert files == {"tables/runs.csv", "tables/mine.csv", "figures/mine.png"}
