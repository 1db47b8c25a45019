"""Which knobs change the score of a trial."""

from __future__ import annotations

import pytest
from results_support import search_of

from results.ledger.importance import ENOUGH_TRIALS, MAX_TRIALS, MIN_TRIALS, knob_effects


def test_knobs_are_ranked_by_what_they_change() -> None:
    """The strong knob is first, the idle one counts for nothing, a fixed one is not listed."""
    effects = knob_effects(*search_of(120))
    assert effects is not None
    found = {one.knob: one.importance for one in effects.importances}
    assert next(iter(found)) == "width"
    assert set(found) == {"width", "kind", "ratio", "idle"}
    assert found["width"] > 0.8
    assert found["kind"] + found["ratio"] > 0.01
    assert abs(found["idle"]) < 0.01
    assert effects.r_squared > 0.95
    assert effects.epochs == 14
    assert len(effects.trials) == 120


def test_without_an_effect_nothing_is_predicted() -> None:
    """Pure noise has no importance that the report would show: R² over held-out trials is not above 0."""
    effects = knob_effects(*search_of(60, noise=10.0))
    assert effects is not None
    assert effects.r_squared < 0.1


@pytest.mark.parametrize(("n_at_last", "epochs"), [(ENOUGH_TRIALS - 1, 6), (ENOUGH_TRIALS, 14)])
def test_the_rung_is_the_highest_with_enough_trials(n_at_last: int, epochs: int) -> None:
    """If few trials reach the last rung, the one before it is taken."""
    trials, rungs = search_of(40)
    at_last = rungs["trial_id"].isin([f"t{i:04d}" for i in range(n_at_last)])
    effects = knob_effects(trials, rungs[(rungs["epochs"] == 6) | at_last])
    assert effects is not None
    assert effects.epochs == epochs
    assert len(effects.trials) == (40 if epochs == 6 else n_at_last)


def test_few_trials_say_nothing() -> None:
    """With fewer than `MIN_TRIALS` there is no importance; with few, it is that of the rung with most."""
    assert knob_effects(*search_of(MIN_TRIALS - 1)) is None
    trials, rungs = search_of(MIN_TRIALS)
    effects = knob_effects(trials, rungs[(rungs["epochs"] == 6) | (rungs["trial_id"] != "t0000")])
    assert effects is not None
    assert effects.epochs == 6


def test_large_searches_are_sampled_alike() -> None:
    """At most `MAX_TRIALS` trials are used, the same ones each time."""
    first, second = (knob_effects(*search_of(MAX_TRIALS + 200)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert len(first.trials) == MAX_TRIALS
    assert first.importances == second.importances


@pytest.mark.parametrize("column", ["param_width", "macro_accuracy"])
def test_nothing_is_said_where_nothing_varies(column: str) -> None:
    """One point, or one score: there is no importance."""
    trials, rungs = search_of(20)
    if column == "macro_accuracy":
        rungs = rungs.assign(macro_accuracy=0.5)
    else:
        trials = trials[["trial_id", column]].assign(**{column: 8})
    assert knob_effects(trials, rungs) is None
