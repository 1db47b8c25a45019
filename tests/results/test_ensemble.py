"""Ensembles keep to the size limit of one model and never lose on validation."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_support import add_candidate, clips, make_run, predictions

from asc_models.metrics import log_loss
from asc_models.rules import RulesConfig
from data_prep.errors import BudgetError, DataError
from results.candidates.limits import Limits
from results.candidates.predictions import read_predictions
from results.config import EnsembleConfig
from results.ensemble import (
    TEMPERATURES,
    align,
    build_ensemble,
    ensemble_predictions,
    fit_temperature,
    read_ensembles,
    select_ensemble,
    temper,
    was_selected_otherwise,
)
from results.submission.systems import rank_systems

CLASSES = ("one", "two", "three")


def within(sizes: list[int], limit: int) -> Callable[[Sequence[int]], bool]:
    return lambda members: sum(sizes[i] for i in members) <= limit


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=7),
    limit=st.integers(1, 220),
    max_members=st.integers(1, 4),
    temperature=st.booleans(),
)
def test_an_ensemble_never_exceeds_its_budget_and_never_loses(
    seed: int, sizes: list[int], limit: int, max_members: int, temperature: bool
) -> None:
    """Distinct members' sizes stay within the limit, and validation log loss is at most the best feasible member's."""
    rng = np.random.default_rng(seed)
    stack = rng.dirichlet(np.ones(3) * 0.7, size=(len(sizes), 20)).astype(np.float32)
    labels = rng.integers(3, size=20)
    config = EnsembleConfig(max_members=max_members, max_rounds=12, temperature=temperature)
    stack, sizes = stack[np.array(sizes) <= limit], [size for size in sizes if size <= limit]
    if not sizes:
        return
    chosen = select_ensemble(stack, labels, within(sizes, limit), config)
    used = np.flatnonzero(chosen.counts)
    assert sum(sizes[i] for i in used) <= limit
    assert 1 <= len(used) <= max_members
    tempered = temper(np.tensordot(chosen.weights, stack.astype(float), axes=1), chosen.temperature)
    assert log_loss(labels, tempered) <= min(log_loss(labels, member) for member in stack) + 1e-12


def test_two_complementary_members_beat_either_and_are_charged_once() -> None:
    """Of two members that err on different clips both are taken, repetition becomes weight, size is counted once."""
    truth = np.eye(3)[[0, 1, 2] * 10]
    first, second = truth * 0.9 + 0.1 / 3, truth * 0.9 + 0.1 / 3
    first[:8], second[18:] = 1 / 3, 1 / 3
    labels = truth.argmax(axis=1)
    stack, config = np.stack([first, second]), EnsembleConfig(temperature=False)
    chosen = select_ensemble(stack, labels, within([60, 60], 120), config)
    assert (chosen.counts > 0).tolist() == [True, True]
    assert chosen.counts[0] > chosen.counts[1], "the better one weighs more"
    alone = select_ensemble(stack, labels, within([60, 60], 119), config)
    assert alone.counts.tolist() == [1, 0]


def test_temperature_recovers_what_was_done_to_the_probabilities() -> None:
    """Probabilities that were sharpened by a known factor are flattened by it again."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=4000)
    labels = np.array([rng.choice(3, p=row) for row in p])
    assert fit_temperature(labels, temper(p, 0.5)) == pytest.approx(2.0, rel=0.1)
    assert temper(p, 1.0) == pytest.approx(p)


def test_without_an_error_no_temperature_is_fitted() -> None:
    """Where every clip is right the likelihood wants T → 0: it stays 1; with errors it stays within its bounds."""
    labels = np.arange(60) % 3
    right = np.eye(3)[labels] * 0.4 + 0.2
    assert log_loss(labels, temper(right, 0.5)) < log_loss(labels, right), "sharpening looks like a gain"
    assert fit_temperature(labels, right) == 1.0
    one_wrong = np.vstack([np.repeat(right, 50, axis=0), [[0.3, 0.4, 0.3]]])
    assert fit_temperature(np.append(np.repeat(labels, 50), 0), one_wrong) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    all_wrong = np.roll(right, 1, axis=1)
    assert fit_temperature(labels, all_wrong) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_a_run_s_ensemble_is_written_and_read_back(tmp_path: Path) -> None:
    """The file says members, weights, temperature, bytes and metrics, and the metrics are those of the predictions."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name, size in {"a": 50_000, "b": 60_000, "c": 70_000, "d": 130_000}.items():
        add_candidate(run, name, size=size, skill=2.0 if name != "d" else 6.0)
    seen: list[tuple[int, int]] = []
    ensemble = build_ensemble(run, EnsembleConfig(), Limits(), lambda done, total: seen.append((done, total)))
    assert read_ensembles(run) == [ensemble]
    assert "d-s0" not in ensemble.members, "over the limit alone"
    sizes = {"a-s0": 50_000, "b-s0": 60_000, "c-s0": 70_000}
    assert ensemble.total_bytes == sum(sizes[name] for name in ensemble.members) <= 128_000
    assert sum(ensemble.members.values()) == pytest.approx(1.0)
    members = {name: read_predictions(run.candidates_dir / name / "predictions" / "test.parquet") for name in sizes}
    assert ensemble_predictions(ensemble, members).summarize() == ensemble.metrics["test"]
    data = json.loads(run.ensembles_path.read_text())
    assert data["rules"] == {"name": "dcase2021", "limits": {"nonzero_weight_bytes": 128_000}}
    assert data["ensembles"][0]["totals"] == {"nonzero_weight_bytes": ensemble.total_bytes}
    assert seen[-1][0] == seen[-1][1]


def test_every_limit_holds_for_the_ensemble_as_a_whole(tmp_path: Path) -> None:
    """Members whose bytes would fit together, but not their operations, are not taken together, ranked or packed."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("a", "b", "c", "d"):
        add_candidate(run, name, size=20_000, skill=2.0, macs=14_000_000)
    limits = Limits(RulesConfig(name="dcase2023"))
    ensemble = build_ensemble(run, EnsembleConfig(), limits)
    assert len(ensemble.members) == 2
    assert ensemble.totals == {"weight_bytes": 40_240, "macs": 28_000_000}
    assert "ensemble" in {system.name for system in rank_systems(run, limits)[0]}
    build_ensemble(run, EnsembleConfig(), Limits(RulesConfig(name="custom", limits={"weight_bytes": 128_000})))
    systems, left_out = rank_systems(run, limits)
    assert {system.name for system in systems} == {"a-s0", "b-s0", "c-s0", "d-s0"}
    assert left_out["ensemble"] == "is over the limit: macs 56,000,000 over 30,000,000 by 26,000,000"


def test_of_activations_the_largest_member_counts(tmp_path: Path) -> None:
    """Members run one after the other: activations that fit alone fit together."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("a", "b"):
        add_candidate(run, name, size=20_000, skill=2.0)
    limits = Limits(RulesConfig(name="custom", limits={"peak_activation_bytes": 800_000}))
    ensemble = build_ensemble(run, EnsembleConfig(), limits)
    assert len(ensemble.members) == 2
    assert ensemble.totals == {"peak_activation_bytes": 800_000}


def test_one_candidate_is_an_ensemble_of_one(tmp_path: Path) -> None:
    """A single candidate gives a single-member result, and it says so."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    ensemble = build_ensemble(run, EnsembleConfig(), Limits())
    assert ensemble.is_single
    assert list(ensemble.members.values()) == [1.0]


def test_candidates_without_validation_take_no_part(tmp_path: Path) -> None:
    """Trained on train + validation, there is nothing to fit on: nobody left is an error that says what to do."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    run.candidates()[0].predictions_path("validation").unlink()
    with pytest.raises(BudgetError, match="retrain"):
        build_ensemble(run, EnsembleConfig(), Limits())
    assert read_ensembles(run) == []


def test_nothing_within_the_limit_names_the_smallest(tmp_path: Path) -> None:
    """A limit that nothing fits is an error with the smallest candidate's size."""
    run = make_run(tmp_path / "run", n_candidates=2, search=False)
    with pytest.raises(BudgetError, match=r"58,001"):
        build_ensemble(run, EnsembleConfig(), Limits(RulesConfig(limits={"nonzero_weight_bytes": 1_000})))


def test_members_are_aligned_by_clip_or_refused() -> None:
    """Another order of clips is put right; other clips and another class order are fatal."""
    table = clips(9, CLASSES)
    first = predictions(table, CLASSES, 1.0, 0)
    turned = predictions(table.iloc[::-1].reset_index(drop=True), CLASSES, 1.0, 1)
    np.testing.assert_array_equal(align([first, turned])[1].probabilities, turned.probabilities[::-1])
    with pytest.raises(DataError, match="different clips"):
        align([first, predictions(clips(9, CLASSES, seed=5), CLASSES, 1.0, 0)])
    with pytest.raises(DataError, match="class order"):
        align([first, predictions(table, CLASSES[::-1], 1.0, 0)])


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """An ensembles file that lacks its fields is refused by name."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.ensembles_path.write_text('{"ensembles": [{"name": "x"}]}')
    with pytest.raises(DataError, match=r"ensembles\.json"):
        read_ensembles(run)


@pytest.mark.parametrize("text", ["{", "[]", '{"ensembles": 5}', '{"ensembles": [{"name": "x"}]}'])
def test_a_damaged_file_is_selected_again(tmp_path: Path, text: str) -> None:
    """What can be rebuilt is: a damaged file counts as one that was selected otherwise."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    build_ensemble(run, EnsembleConfig(), Limits())
    assert not was_selected_otherwise(run, EnsembleConfig())
    run.ensembles_path.write_text(text)
    assert was_selected_otherwise(run, EnsembleConfig())
