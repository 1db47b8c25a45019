"""Scores of a cross-validation: means, spreads, paired differences, read back from files made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from page_support import PageReader, assert_tables_name_themselves
from results_support import add_candidate, clips, predictions

from asc_models.ensemble import temper
from asc_models.metrics import log_loss, macro_accuracy, macro_mean, mean_interval
from data_prep.errors import DataError
from data_prep.files.files import read_json, write_text
from data_prep.files.yaml_file import to_yaml
from results.candidates.predictions import Predictions, write_predictions
from results.crossval.ensembles import ALL, ensembles, seed_ensembles
from results.crossval.page import write_crossval
from results.crossval.scores import Crossval, FoldScore, SystemScores, difference, read_crossval
from results.crossval.tables import ensemble_table, fold_table, paired_table, system_table
from results.ledger.ledger import Ledger
from results.rundir import CrossvalDirectory

CLASSES = ("dog", "rain", "sea")


def answers(right: list[bool], fold: int) -> Predictions:
    """Return predictions of one clip per entry, scenes in turn, with 0.8 on the true scene or on the next."""
    table = clips(len(right), CLASSES).assign(
        clip_id=[f"{fold}-{i}" for i in range(len(right))],
        scene=[CLASSES[i % 3] for i in range(len(right))],
        location=[f"{fold}-{i // 2}" for i in range(len(right))],
    )
    probabilities = np.full((len(right), 3), 0.1, np.float32)
    for i, is_right in enumerate(right):
        probabilities[i, (i if is_right else i + 1) % 3] = 0.8
    return Predictions(table, probabilities, CLASSES)


def system(name: str, right: dict[tuple[int, int], list[bool]]) -> SystemScores:
    """Return the scores of a system whose answers are right where `right` {(fold, seed): …} says so."""
    scores = (FoldScore(name, fold, seed, answers(one, fold)) for (fold, seed), one in sorted(right.items()))
    return SystemScores(name, tuple(scores))


A = system("a", {(1, 0): [True] * 6, (1, 1): [True] * 3 + [False] * 3, (2, 0): [True] * 6, (2, 1): [True] * 6})
B = system("b", {(1, 0): [True] * 3 + [False] * 3, (2, 0): [True] * 6})


def test_accuracy_is_the_mean_over_folds_with_its_spread_over_seeds():
    """Seed 0 has 1.0 and 1.0, seed 1 has 0.5 and 1.0: means 1.0 and 0.75, so 0.875 ± 0.177."""
    assert A.accuracy.mean == pytest.approx(0.875)
    assert (A.accuracy.low, A.accuracy.high) == (0.75, 1.0)
    assert A.accuracy.sd == pytest.approx(np.std([1.0, 0.75], ddof=1))
    assert A.by_fold() == {1: 0.75, 2: 1.0}
    assert A.loss.mean == pytest.approx((15 * -np.log(0.8) + 3 * -np.log(0.1) + 6 * -np.log(0.8)) / 24)
    assert B.accuracy.sd is None
    assert A.is_complete
    assert not SystemScores("a", A.scores[:3]).is_complete


def test_a_fold_with_more_seeds_does_not_count_more():
    """Fold 1 with three seeds at ½, two folds with one at 1: ⅚ for all scores alike, without a spread of means."""
    right = {(1, seed): [True] * 3 + [False] * 3 for seed in range(3)} | {(fold, 0): [True] * 6 for fold in (2, 3)}
    found, alone = system("a", right), system("a", {key: right[key] for key in ((1, 0), (2, 0), (3, 0))})
    assert found.accuracy.mean == pytest.approx(5 / 6)
    assert (found.accuracy.sd, found.accuracy.low, found.accuracy.high) == (None, 5 / 6, 5 / 6)
    for score in ("accuracy", "loss", "brier", "calibration"):
        assert getattr(found, score).mean == pytest.approx(getattr(alone, score).mean)
    best = SystemScores("a", tuple(replace(one, best_on_test=one.accuracy) for one in found.scores))
    assert best.best_on_test == pytest.approx(5 / 6)
    two = system("a", {**right, (2, 1): [True] * 6, (3, 1): [True] * 3 + [False] * 3})
    assert two.accuracy.sd == pytest.approx(np.std([5 / 6, 2 / 3], ddof=1))
    assert two.accuracy.mean == pytest.approx((0.5 + 1.0 + 0.75) / 3)
    halves = system("a", {(1, 0): [True] * 6, (2, 1): [True] * 3 + [False] * 3})
    assert (halves.accuracy.mean, halves.accuracy.sd) == (0.75, None)


def test_a_difference_is_of_the_same_clips_with_seeds_averaged():
    """On fold 1, `a` is right on average in 1, 1, 1, ½, ½, ½ and `b` in 1, 1, 1, 0, 0, 0: 3 × ½ of 12 clips."""
    found = difference(A, B)
    assert found.n_clips == 12
    assert found.accuracy == pytest.approx(0.125)
    assert found.accuracy_interval[0] >= 0.0
    assert found.loss < 0
    back = difference(B, A)
    assert back.accuracy == pytest.approx(-found.accuracy)
    assert back.accuracy_interval == pytest.approx(tuple(-bound for bound in reversed(found.accuracy_interval)))


def test_a_system_does_not_differ_from_itself():
    """The paired interval is a point, whereas each system's own is wide."""
    same = difference(A, A)
    assert (same.accuracy, same.accuracy_interval) == (0.0, (0.0, 0.0))
    assert A.interval[1] > A.interval[0]


def test_systems_without_a_common_clip_are_not_compared():
    """Other folds hold other clips."""
    other = system("c", {(3, 0): [True] * 6})
    with pytest.raises(DataError, match="a and c have no clip in common"):
        difference(A, other)
    scores = Crossval("test", (A, other, B))
    assert [one.system for one in paired_table(scores).rows] == ["b"]
    assert scores.not_compared == ["c"]
    assert paired_table(Crossval("test", (A, other))).rows == []


def test_the_paired_interval_is_that_of_the_difference_of_accuracies():
    """Resampling the clips' differences gives the quantiles of the difference of both accuracies per resample."""
    rng = np.random.default_rng(0)
    labels, locations = rng.integers(0, 3, 90), rng.integers(0, 20, 90)
    one, other = (rng.dirichlet(np.ones(3), 90) for _ in range(2))
    right = [(p.argmax(axis=1) == labels).astype(float) for p in (one, other)]
    draws, found = np.random.default_rng(0), []
    for _ in range(400):
        drawn = draws.integers(20, size=20)
        rows = np.concatenate([np.flatnonzero(locations == location) for location in drawn])
        found.append(macro_accuracy(labels[rows], one[rows]) - macro_accuracy(labels[rows], other[rows]))
    expected = np.quantile(found, [0.025, 0.975])
    names = [f"{location:02d}" for location in locations]
    np.testing.assert_allclose(mean_interval(right[0] - right[1], labels, names, n_resamples=400), expected)
    assert macro_mean(right[0], labels) == pytest.approx(macro_accuracy(labels, one))


def vague(right: list[float], fold: int) -> Predictions:
    """Return predictions with these probabilities on the true scenes, and what is left on the next."""
    made = answers([True] * len(right), fold)
    probabilities = np.zeros((len(right), 3), np.float32)
    for i, share in enumerate(right):
        probabilities[i, i % 3], probabilities[i, (i + 1) % 3] = share, 1 - share
    return Predictions(made.clips, probabilities, CLASSES)


def test_an_ensemble_of_seeds_answers_by_the_mean_of_their_probabilities():
    """Alone, each of three is wrong in one of three clips (0.3), but two together and all three are wrong in none."""
    shares = ([0.3, 0.9, 0.9], [0.9, 0.3, 0.9], [0.9, 0.9, 0.3])
    scores = tuple(FoldScore("a", fold, seed, vague(one, fold)) for fold in (1, 2) for seed, one in enumerate(shares))
    two, three = seed_ensembles(SystemScores("a", scores))
    assert (two.n_members, three.n_members) == (2, 3)
    assert two.scores.accuracy.mean == three.scores.accuracy.mean == 1.0
    assert two.scores.loss.mean == pytest.approx(-(2 * np.log(0.6) + np.log(0.9)) / 3)
    assert three.scores.loss.mean == pytest.approx(-np.log(0.7))
    assert three.difference.accuracy == pytest.approx(1 / 3)
    assert three.difference.loss == pytest.approx(-np.log(0.7) + (np.log(0.3) + 2 * np.log(0.9)) / 3)
    assert three.sizes["weight_bytes"] is None


@pytest.mark.parametrize(
    ("n_seeds", "expected"), [(1, []), (2, [2]), (3, [2, 3]), (4, [2, 4]), (8, [2, 4, 8]), (9, [2, 4, 8, 9])]
)
def test_ensembles_have_the_first_seeds(n_seeds, expected):
    """Powers of two, so that sizes spread, and all."""
    scores = tuple(FoldScore("a", 1, seed, answers([True] * 6, 1)) for seed in range(n_seeds))
    assert [one.n_members for one in seed_ensembles(SystemScores("a", scores))] == expected


def test_a_fold_without_a_seed_has_no_ensemble():
    """Its networks would differ from fold to fold."""
    assert seed_ensembles(SystemScores("a", A.scores[:3])) == []


def test_all_systems_answer_together():
    """Of three clips, `a` is wrong in the first and `b` in the second, but both together in none; seeds may differ."""
    a = SystemScores("a", tuple(FoldScore("a", fold, 0, vague([0.3, 0.9, 0.9], fold)) for fold in (1, 2)))
    b = SystemScores("b", tuple(FoldScore("b", fold, 7, vague([0.9, 0.3, 0.9], fold)) for fold in (1, 2)))
    (both,) = ensembles([b, a])
    assert (both.system, both.n_members, both.scores.folds) == (ALL, 2, [1, 2])
    assert both.scores.accuracy.mean == 1.0
    assert both.scores.loss.mean == pytest.approx(-(2 * np.log(0.6) + np.log(0.9)) / 3)
    assert (both.difference.reference, both.difference.accuracy) == ("b", pytest.approx(1 / 3))


def test_systems_with_different_folds_have_no_ensemble():
    """On fold 2 it would have other members than on fold 1."""
    one = SystemScores("c", (FoldScore("c", 1, 0, answers([True] * 6, 1)),))
    assert ALL not in [row.system for row in ensembles([A, one])]


def doubtful(confidence: float, n: int, fold: int) -> Predictions:
    """Return predictions of `n` clips, right in three of four, with `confidence` in each answer."""
    right = np.arange(n) // 3 % 4 != 0
    made = answers(right.tolist(), fold)
    probabilities = np.full((n, 3), (1 - confidence) / 2, np.float32)
    probabilities[np.arange(n), made.probabilities.argmax(axis=1)] = confidence
    return Predictions(made.clips, probabilities, CLASSES)


@pytest.mark.parametrize("confidence", [0.6, 0.99])
def test_a_calibrated_loss_is_that_of_the_best_temperature(confidence):
    """Right in three of four: −¾ log ¾ − ¼ log ⅛ is the least loss, by 0.6 as by 0.99; the accuracy stays."""
    scores = tuple(FoldScore("a", fold, 0, doubtful(confidence, 240, fold)) for fold in (1, 2))
    system = SystemScores("a", scores)
    least = -(0.75 * np.log(0.75) + 0.25 * np.log(0.125))
    assert system.loss.mean > least + 0.04
    assert least <= system.calibrated.loss.mean < least + 0.01
    assert system.calibrated.accuracy == system.accuracy
    assert [(one.fold, one.seed) for one in system.calibrated.scores] == [(1, 0), (2, 0)]


def test_a_temperature_is_not_fitted_on_the_clips_that_it_is_judged_by():
    """Twelve clips in six locations: with the temperature of all of them, the loss would be lower."""
    scores = FoldScore("a", 1, 0, doubtful(0.9, 12, 1))
    p, labels = scores.predictions.probabilities, scores.predictions.labels
    best = min(log_loss(labels, temper(p, temperature)) for temperature in np.geomspace(0.5, 4, 200))
    assert best + 1e-4 < SystemScores("a", (scores,)).calibrated.loss.mean <= scores.loss


def test_differences_are_shown_of_calibrated_losses_too():
    """Both are right in the same clips, so that only their confidence differs: with a temperature, it does not."""
    one, other = (
        SystemScores(name, tuple(FoldScore(name, fold, 0, doubtful(sure, 240, fold)) for fold in (1, 2)))
        for name, sure in (("doubts", 0.6), ("boasts", 0.99))
    )
    (row,) = paired_table(Crossval("test", (one, other))).frame().to_dict("records")
    assert row["log_loss_low"] > 0.1
    assert row["calibrated_loss"] == pytest.approx(0.0, abs=0.01)
    assert row["calibrated_loss_low"] <= row["calibrated_loss"] <= row["calibrated_loss_high"]


def test_the_legend_of_long_names_is_within_the_figure():
    """Five systems, of which four are shown, and the subtitle says so."""
    from data_prep.figures.style import LIGHT
    from results.crossval.figure import fold_figure

    names = [f"a-system-with-a-long-name-{number}" for number in range(5)]
    figure = fold_figure(Crossval("test", tuple(SystemScores(name, A.scores) for name in names)), LIGHT)
    figure.canvas.draw()
    (axes,) = figure.axes
    legend = axes.get_legend().get_window_extent()
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0
    assert any("the 4 systems with the lowest log loss" in text.get_text() for text in figure.findobj(Text))


@pytest.fixture
def directory(tmp_path: Path) -> CrossvalDirectory:
    """Two folds with two systems each; seed 1 of `small` is missing on fold 2."""
    root = CrossvalDirectory(tmp_path)
    for fold in (1, 2):
        run = root.fold(fold)
        write_text(run.config_path, to_yaml({"retrain": {"inner_folds": 2}}))
        for name, seed in (("small", 0), ("small", 1), ("large", 0)):
            if (fold, name, seed) != (2, "small", 1):
                add_candidate(run, name, size=50_000, skill=2.0 if name == "large" else 0.5, seed=seed, classes=CLASSES)
    unfinished = root.fold(2).candidate("small", 1)
    part = predictions(clips(6, CLASSES), CLASSES, 0.5, 0)
    write_predictions(unfinished.inner(1).predictions_path("validation"), part)
    return root


def test_a_cross_validation_is_read_from_its_folds(directory):
    """Test scores come from finished candidates, best log loss first; what has none is named, not counted."""
    scores = read_crossval(directory)
    assert [(one.name, one.folds, one.seeds) for one in scores.systems] == [
        ("large", [1, 2], [0]),
        ("small", [1, 2], [0, 1]),
    ]
    assert scores.missing == ("fold 2, small-s1",)
    assert scores.systems[0].quantity("weight_bytes") is not None


def test_out_of_fold_scores_need_every_part(directory):
    """One part of two is no prediction of the training side; with both, their clips are joined."""
    with pytest.raises(DataError, match="no out-of-fold predictions; run `asc crossval` with --inner first"):
        read_crossval(directory, inner=True)
    files = directory.fold(2).candidate("small", 1)
    rest = clips(6, CLASSES).assign(clip_id=[f"other{i}" for i in range(6)])
    write_predictions(files.inner(2).predictions_path("validation"), predictions(rest, CLASSES, 0.5, 0))
    (one,) = read_crossval(directory, inner=True).systems
    assert (one.name, one.folds, one.seeds, len(one.clips)) == ("small", [2], [1], 12)
    assert one.quantity("weight_bytes") is None


@pytest.mark.parametrize("inner", [False, True])
def test_candidates_of_the_other_mode_are_not_missing(directory, inner):
    """With --inner without all_clips, candidates have other names: they lack no test score, nor the others parts."""
    files = directory.fold(1).candidate("small-full", 0)
    for part in (1, 2):
        half = clips(6, CLASSES).assign(clip_id=[f"{part}-{i}" for i in range(6)])
        write_predictions(files.inner(part).predictions_path("validation"), predictions(half, CLASSES, 0.5, 0))
    for run in directory.folds().values():
        with Ledger.open_for_writing(run.ledger_path) as ledger:
            for name in (path.name for path in run.candidates_dir.iterdir()):
                for one in [f"{name}/inner/1", f"{name}/inner/2"] if name == files.name else [name]:
                    training = {"trial_id": None, "seed": 0, "epochs": 1, "splits": ("train", "validation")}
                    ledger.append("candidate_started", candidate=one, **training)
    found = read_crossval(directory, inner=inner)
    assert found.missing == (() if inner else ("fold 2, small-s1",))
    assert {one.name for one in found.systems} == ({"small-full"} if inner else {"small", "large"})


@pytest.mark.parametrize(
    ("part", "clip", "problem"), [(3, "other", "in more than 2 parts"), (2, "", "is in two parts")]
)
def test_parts_of_another_number_of_parts_are_not_joined(directory, part, clip, problem):
    """Earlier versions did not state the number: a third part of two is refused, and so is a clip of two parts."""
    files = directory.fold(2).candidate("small", 1)
    for number in (2, part):
        rest = clips(6, CLASSES)
        rest = rest.assign(clip_id=[f"{clip}{number}-{i}" for i in range(6)]) if clip else rest
        write_predictions(files.inner(number).predictions_path("validation"), predictions(rest, CLASSES, 0.5, 0))
    with pytest.raises(DataError, match=problem):
        read_crossval(directory, inner=True)


@pytest.mark.system
def test_tables_have_what_is_shown(directory):
    """CSV files hold every system, fold and seed; nothing is rounded away."""
    scores = read_crossval(directory)
    text = write_crossval(directory, scores).read_text(encoding="utf-8")
    assert_tables_name_themselves(text, 3)
    page = PageReader(text)
    assert {"table-systems", "table-differences", "table-folds", "figure-folds"} <= set(page.ids)
    assert all(address.startswith("data:") for address in page.addresses)
    assert all(f"<td>{100 * one.accuracy.mean:.1f} %</td>" in text for one in scores.systems), "one seed has all folds"
    assert "Differences to large" in text
    assert text.count("<tr") == 3 + 2 + 6  # with a row of headings each
    systems = pd.read_csv(directory.tables_dir / "systems.csv")
    assert systems["system"].tolist() == ["large", "small"]
    assert systems["macro_accuracy"].tolist() == pytest.approx([one.accuracy.mean for one in scores.systems], abs=1e-5)
    assert {"fold_1", "fold_2", "macro_accuracy_low", "weight_bytes", "nonzero_weight_bytes", "file_bytes"} <= set(
        systems
    )
    assert len(pd.read_csv(directory.tables_dir / "folds.csv")) == len(fold_table(scores).rows) == 5
    assert pd.read_csv(directory.tables_dir / "differences.csv")["reference"].tolist() == ["large"]
    assert directory.summary_path.is_file()
    names = {path.name for path in directory.figures_dir.iterdir()}
    assert names == {"folds.png", "folds.svg"}
    assert {column.name for column in system_table(scores).columns} >= set(system_table(scores).terminal)


@pytest.mark.system
def test_ensembles_of_seeds_are_shown_with_their_bytes(directory):
    """With every seed on every fold: both networks' bytes, on the page, as CSV and as JSON."""
    add_candidate(directory.fold(2), "small", size=50_000, skill=0.5, seed=1, classes=CLASSES)
    scores = read_crossval(directory)
    text = write_crossval(directory, scores).read_text(encoding="utf-8")
    spread = next(one.accuracy for one in scores.systems if one.accuracy.sd is not None)
    assert f"<td>{100 * spread.mean:.1f} % ± {100 * (spread.sd or 0):.1f}</td>" in text
    assert_tables_name_themselves(text, 4)
    assert "table-ensembles" in PageReader(text).ids
    row, every = ensemble_table(scores).rows
    n_bytes = 2 * scores.systems[1].quantity("weight_bytes")
    assert (every.system, every.n_members) == (ALL, 3)
    assert every.sizes["weight_bytes"] == n_bytes + scores.systems[0].quantity("weight_bytes")
    assert (row.system, row.n_members, row.sizes["weight_bytes"]) == ("small", 2, n_bytes)
    written = pd.read_csv(directory.tables_dir / "ensembles.csv")
    assert written["weight_bytes"].tolist() == [n_bytes, every.sizes["weight_bytes"]]
    accuracies = [one.scores.accuracy.mean for one in (row, every)]
    assert written["macro_accuracy"].tolist() == pytest.approx(accuracies, abs=1e-5)
    entry, _ = read_json(directory.summary_path)["ensembles"]
    assert entry["log_loss"] == pytest.approx(row.scores.loss.mean)
    assert entry["calibrated_loss"] == pytest.approx(row.scores.calibrated.loss.mean)
    assert {column.name for column in ensemble_table(scores).columns} >= set(ensemble_table(scores).terminal)


@pytest.mark.system
def test_tables_of_earlier_scores_are_removed(directory):
    """Of one system with one seed there are no ensembles and no differences; others' files and other modes' stay."""
    others = [directory.tables_dir / name for name in ("inner_ensembles.csv", "mine.csv")]
    for path in (*others, directory.tables_dir / "ensembles.csv", directory.tables_dir / "differences.csv"):
        write_text(path, "x")
    scores = read_crossval(directory)
    write_crossval(directory, Crossval(scores.split, scores.systems[:1]))
    names = {path.name for path in directory.tables_dir.iterdir()}
    assert names == {"systems.csv", "folds.csv", "inner_ensembles.csv", "mine.csv"}
