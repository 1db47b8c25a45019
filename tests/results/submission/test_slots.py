"""Choice of the systems to submit: slots, reasons, and no look at the test split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_support import asc
from results_support import add_candidate, make_run

from data_prep.errors import DataError
from data_prep.files.files import write_json
from results.candidates.candidates import read_metrics, write_metrics
from results.candidates.limits import Limits
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.rundir import RunDirectory
from results.submission.package import write_submission
from results.submission.slots import choose_systems, loss_difference, worst_device
from results.submission.systems import rank_systems


def make(path: Path, candidates: dict[str, tuple[int, float]]) -> RunDirectory:
    """Make a run of candidates {name: (weight bytes, skill)}."""
    run = make_run(path, n_candidates=0, search=False)
    for name, (size, skill) in candidates.items():
        add_candidate(run, name, size=size, skill=skill)
    return run


def spoil(run: RunDirectory, name: str, device: str) -> None:
    """Give a candidate's validation clips of one device uniform probabilities."""
    path = run.candidate(name, 0).predictions_path("validation")
    given = read_predictions(path)
    probabilities = given.probabilities.copy()
    probabilities[(given.clips["device"] == device).to_numpy()] = 1 / len(given.classes)
    write_predictions(path, Predictions(given.clips, probabilities, given.classes))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Two large candidates alike, a small one that is nearly as good, a tiny one that is not, and an ensemble."""
    found = make(
        tmp_path / "run", {"big": (90_000, 3.0), "wide": (88_000, 2.9), "small": (20_000, 2.8), "tiny": (9_000, 0.3)}
    )
    build_ensemble(found, EnsembleConfig(), Limits())
    return found


def test_each_slot_has_its_own_reason(run):
    """The best, the best ensemble and the smallest not significantly worse than the best, each with its figures."""
    chosen = choose_systems(run, SubmissionConfig())
    by_slot = {choice.slot: choice for choice in chosen.choices}
    ranked, _ = rank_systems(run, Limits())
    assert chosen.choices[0].slot == "best"
    assert chosen.systems[0] is not None
    assert by_slot["best"].system.name == ranked[0].name
    assert "lowest calibrated log loss on validation" in by_slot["best"].reason
    assert len({system.distinct for system in chosen.systems}) == len(chosen.systems) == 4
    assert sorted(chosen.left_out) == sorted({system.name for system in ranked} - {one.name for one in chosen.systems})
    for choice in chosen.choices:
        assert choice.reason.endswith(".")
    assert {*by_slot} - {"next"} | {*chosen.unfilled} == {*SubmissionConfig().slots}


def test_a_slot_that_is_not_filled_says_why(tmp_path):
    """A single candidate with few clips a device: the other slots have no system, or the same."""
    run = make(tmp_path / "run", {"a": (50_000, 2.0)})
    chosen = choose_systems(run, SubmissionConfig(slots=("best", "ensemble", "smallest", "robust")))
    assert [choice.slot for choice in chosen.choices] == ["best"]
    assert set(chosen.unfilled) == {"ensemble", "smallest", "robust"}
    assert chosen.unfilled["robust"] == "its system, a-s0, has another slot"
    assert "several members" in chosen.unfilled["ensemble"]


def test_the_smallest_is_judged_by_the_paired_interval(run):
    """Of all systems whose interval of the difference to the best contains 0, the one with the fewest bytes."""
    chosen = choose_systems(run, SubmissionConfig(slots=("best", "smallest")))
    ranked, _ = rank_systems(run, Limits())
    for system in ranked:
        mean = system.validation_log_loss - ranked[0].validation_log_loss
        assert loss_difference(system, ranked[0])[0] == pytest.approx(mean, abs=1e-6)
    alike = [system for system in ranked if system is ranked[0] or loss_difference(system, ranked[0])[1] <= 0]
    expected = min(alike, key=lambda system: system.size)
    assert "tiny-s0" not in {system.name for system in alike}, "it is clearly worse"
    assert expected.name in {system.name for system in chosen.systems}


def test_the_robust_one_is_best_on_its_worst_device(tmp_path):
    """The best on average, but blind on one device, does not take the slot for devices."""
    run = make(tmp_path / "run", {"a": (50_000, 6.0), "b": (50_000, 2.5)})
    spoil(run, "a", "s3")
    systems, _ = rank_systems(run, Limits())
    worst = {system.name: worst_device(system) for system in systems}
    assert worst["a-s0"] is not None
    assert worst["a-s0"][0] == "s3"
    chosen = choose_systems(run, SubmissionConfig(slots=("robust",), max_systems=1))
    (choice,) = chosen.choices
    assert (choice.slot, choice.system.name) == ("robust", "b-s0")
    assert "lowest calibrated log loss on its worst device" in choice.reason
    assert list(chosen.left_out) == ["a-s0"]


def test_a_slot_without_a_system_takes_the_next_best(tmp_path):
    """A single candidate fills one slot; of two, neither an ensemble, the second is the next best."""
    one = make(tmp_path / "one", {"a": (50_000, 2.0)})
    assert [choice.slot for choice in choose_systems(one, SubmissionConfig()).choices] == ["best"]
    two = make(tmp_path / "two", {"a": (50_000, 4.0), "b": (60_000, 1.0)})
    chosen = choose_systems(two, SubmissionConfig())
    assert [choice.slot for choice in chosen.choices] == ["best", "next"]
    reason = chosen.choices[1].reason
    assert reason.startswith("It fills a place that another slot left empty. It is number 2 by calibrated log loss")
    first, second = chosen.systems
    assert "log loss differs by {:+.3f} ({:+.3f} to {:+.3f}).".format(*loss_difference(second, first)) in reason
    asked = choose_systems(two, SubmissionConfig(slots=("best", "next")))
    assert asked.choices[1].reason.startswith("It is number 2 by calibrated log loss")


def test_a_system_without_a_score_does_not_disorder_the_others(tmp_path):
    """A candidate also trained on validation, with a seed that has no sibling, is left out; the others are in order."""
    run = make(tmp_path / "run", {"a": (50_000, 3.0), "b": (60_000, 2.5)})
    add_candidate(run, "a-full", size=50_000, skill=3.0, seed=2)
    files = run.candidate("a-full", 2)
    metrics = read_metrics(files.metrics_path)
    del metrics.splits["validation"]
    write_metrics(files.metrics_path, replace(metrics, trained_on=("train", "validation")))
    files.predictions_path("validation").unlink()
    members = [{"candidate": name, "weight": 0.5} for name in ("a-s0", "b-s0")]
    entry = {"name": "ensemble", "members": members, "temperature": 1.0, "total_bytes": 110_000, "metrics": {}}
    write_json(run.ensembles_path, {"ensembles": [entry]})
    ranked, left_out = rank_systems(run, Limits())
    assert [system.name for system in ranked] == ["ensemble", "a-s0", "b-s0"]
    losses = [system.validation_log_loss for system in ranked]
    assert losses == sorted(losses)
    assert left_out == {"a-full-s2": "has no validation scores to rank it by, and neither has a sibling"}


def test_no_choice_reads_the_test_split(run):
    """With the test predictions of all candidates turned round, the same systems are chosen for the same reasons."""
    before = [(one.slot, one.system.name, one.reason) for one in choose_systems(run, SubmissionConfig()).choices]
    for files in run.candidates():
        given = read_predictions(files.predictions_path("test"))
        turned = Predictions(given.clips, given.probabilities[:, ::-1].copy(), given.classes)
        write_predictions(files.predictions_path("test"), turned)
        metrics = read_metrics(files.metrics_path)
        metrics.splits["test"] = turned.summarize()
        write_metrics(files.metrics_path, metrics)
    after = [(one.slot, one.system.name, one.reason) for one in choose_systems(run, SubmissionConfig()).choices]
    assert after == before


def test_the_package_is_what_was_chosen(run):
    """summary.json has the chosen systems with slots and reasons; outputs have the temperature of each system."""
    chosen = choose_systems(run, SubmissionConfig())
    write_submission(run, SubmissionConfig())
    summary = json.loads(run.submission_summary_path.read_text())
    assert [(row["system"], row["slot"], row["reason"]) for row in summary["systems"]] == [
        (one.system.name, one.slot, one.reason) for one in chosen.choices
    ]
    assert summary["left_out"] == chosen.left_out
    single = next(system for system in chosen.systems if system.ensemble is None and system.temperature != 1.0)
    given = single.members[0].predictions("test")
    packed = single.predictions({single.name: given})
    logits, tempered = np.log(given.probabilities[0]), np.log(packed.probabilities[0])
    ratio = (logits - logits.max()) / single.temperature
    np.testing.assert_allclose(tempered - tempered.max(), ratio, atol=1e-3)


def test_systems_without_common_clips_are_not_compared(tmp_path):
    """Predictions that are of other clips are an error that names both systems."""
    run = make(tmp_path / "run", {"big": (90_000, 3.0), "small": (20_000, 2.8)})
    path = run.candidate("small", 0).predictions_path("validation")
    given = read_predictions(path)
    write_predictions(path, Predictions(given.clips.iloc[:60], given.probabilities[:60], given.classes))
    big, small = sorted(rank_systems(run, Limits())[0], key=lambda system: system.name)
    with pytest.raises(DataError, match="big-s0 and small-s0: have validation predictions of different clips"):
        loss_difference(big, small)


def test_select_prints_reasons_and_json(run):
    """The terminal names every system, chosen or not, with a sentence; --json has the same for machines."""
    told = asc("select", run.root).stdout
    found = json.loads(asc("select", run.root, "--json").stdout)
    for row in found["systems"]:
        assert row["system"] in told
    assert len(found["systems"]) == 4
    for name in found["left_out"]:
        assert f"Not chosen: {name}," in " ".join(told.split())
