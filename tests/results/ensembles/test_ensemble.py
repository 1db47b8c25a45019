"""The ensemble of a run: within the limits of one model, written and read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from results_support import add_candidate, clips, make_run, predictions

from asc_models.rules import RulesConfig
from data_prep.errors import BudgetError, DataError
from results.candidates.limits import Limits
from results.candidates.predictions import read_predictions
from results.config import EnsembleConfig
from results.ensembles.ensemble import (
    align,
    build_ensemble,
    ensemble_predictions,
    read_ensembles,
    was_selected_otherwise,
)
from results.submission.systems import rank_systems

CLASSES = ("one", "two", "three")


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


def test_an_ensemble_says_what_it_gains_on_held_out_locations(tmp_path: Path) -> None:
    """Two candidates that err on different clips: better together on clips that chose nothing, with an interval."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("a", "b"):
        add_candidate(run, name, size=50_000, skill=2.0)
    ensemble = build_ensemble(run, EnsembleConfig(), Limits())
    assert len(ensemble.members) == 2
    assert ensemble.held_out[ensemble.method] == min(ensemble.held_out.values())
    assert ensemble.gain is not None
    mean, low, high = ensemble.gain
    assert low < mean < high
    assert mean == pytest.approx(ensemble.held_out[ensemble.method] - ensemble.held_out["single"])
    assert read_ensembles(run) == [ensemble]
    build_ensemble(run, EnsembleConfig(), Limits(RulesConfig(limits={"nonzero_weight_bytes": 60_000})))
    (alone,) = read_ensembles(run)
    assert (alone.is_single, alone.gain) == (True, None)
    assert alone.held_out[alone.method] == min(alone.held_out.values())
