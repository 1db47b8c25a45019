"""Searches of other data as a prior: believed at first, and only as long as this search's own trials agree."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from search_points import LIMIT, SMALL, accuracy_of, key_of, proposer, sizer, spend
from search_support import open_search

from results.pareto import hypervolume
from search.objectives import Objectives, Value
from search.space.config import SpaceConfig
from search.space.space import Space
from search.strategies.base import KnownPoint
from search.strategies.prior import MIN_TRIALS, N_BELIEVED, Prior, slope
from search.strategies.warm_start import EarlierTrial, WarmStart

WIDE = SpaceConfig(stem_filters=(8, 16, 32), base_filters=(8, 16, 32, 56), growth=(1.0, 1.25, 1.5), dropout=0.0)


def value(params, accuracy):
    return Value(accuracy, 1.0, sizer()(params).weight_bytes)


@cache
def searched(n_trials=40, sign=1.0):
    """Return a search of other data, where all scores are lower and closer together; with `sign` −1 it misleads."""
    found = spend(proposer(WIDE, seed=7), n_trials)
    return tuple((params, {6: value(params, 0.3 + 0.1 * sign * (accuracy - 0.5))}) for params, accuracy in found)


def taught(*searches, seed=0):
    made = proposer(WIDE, seed=seed, n_startup=8)
    for trials in searches:
        made.observe_search(trials)
    return made


def volume_after(n_trials, *searches):
    """Return the mean hypervolume, in bytes × accuracy over a half, over some seeds."""
    found = []
    for seed in range(2):
        run = spend(taught(*searches, seed=seed), n_trials)
        sizes = [sizer()(params).weight_bytes for params, _ in run]
        found.append(hypervolume([accuracy for _, accuracy in run], sizes, LIMIT, floor=0.5))
    return np.mean(found)


@pytest.mark.system
def test_a_search_of_other_data_leads_to_good_points_sooner():
    """After the first eight trials the front covers more than without it, though all scores there are lower."""
    assert volume_after(8, searched()) > 1.03 * volume_after(8)


@pytest.mark.system
def test_a_search_that_misleads_costs_little():
    """With all scores reversed the front after twice as many trials covers nearly what it covers without."""
    assert volume_after(16, searched(sign=-1.0)) > 0.93 * volume_after(16)


def test_half_of_the_first_trials_are_those_of_a_search_without_it():
    """The second, fourth … are drawn by size as ever; the others are the prior's."""
    made, plain = taught(searched()), taught()
    ours, theirs = ([key_of(params) for params, _ in spend(one, 1)] for one in (made, plain))
    assert ours != theirs
    for one in (made, plain):
        history = one._history
        history.known[:] = [KnownPoint(Space(WIDE).smallest(), sizer()(Space(WIDE).smallest()))]
        history.seen.clear()
    assert made._strategy.propose(made._history, np.random.default_rng(3)) == plain._strategy.propose(
        plain._history, np.random.default_rng(3)
    )


@pytest.mark.parametrize(
    ("n_trials", "signs", "expected"),
    [
        (0, (1.0,), 1.0),
        (40, (1.0,), 40 / 44 * 1.0 + 4 / 44),
        (40, (-1.0,), 0.0),
        (400, (1.0, -1.0), N_BELIEVED / 404),
    ],
    ids=["no evidence", "agreement", "contradiction", "nothing in common"],
)
def test_the_slope_is_believed_until_trials_speak(n_trials, signs, expected):
    """In standard deviations of losses per standing: 1 without trials, a regression line with many, never negative."""
    standing = np.tile([-1.0, 1.0], max(1, n_trials // 2))
    losses = 0.5 + 0.1 * np.concatenate(
        [sign * part for sign, part in zip(signs, np.split(standing, len(signs)), strict=True)]
    )
    if not n_trials:
        standing = np.zeros(2)
    assert slope(standing, losses) / losses.std() == pytest.approx(expected, abs=1e-9)


def test_losses_without_spread_say_nothing():
    assert slope(np.array([-1.0, 0.0, 2.0]), np.full(3, 0.5)) == 0.0


def test_standings_are_of_each_search_and_few_trials_are_none():
    """Searches with other scales have the same standings of the same points; one of seven trials has none."""
    space = Space(SMALL)
    points = [KnownPoint(params, sizer()(params), {6: value(params, accuracy_of(params))}) for params in space.points()]
    scaled = [
        KnownPoint(one.params, one.sizing, {6: value(one.params, 0.2 + 0.1 * accuracy_of(one.params))})
        for one in points
    ]

    def features(some):
        return np.array([space.features(point.params) for point in some])

    first, second, both = (
        Prior(searches, Objectives(), features) for searches in ([points], [scaled], [points, scaled])
    )
    np.testing.assert_allclose(first.standing(points), second.standing(points), atol=1e-6)
    np.testing.assert_allclose(both.standing(points), first.standing(points), atol=1e-6)
    accuracies = [accuracy_of(point.params) for point in points]
    assert np.corrcoef(first.standing(points), accuracies)[0, 1] < -0.9
    mean, deviation = first.predict(points, 0.9)
    assert np.argsort(mean).tolist() == np.argsort(first.standing(points)).tolist()
    assert np.all(deviation > 0)
    assert np.quantile(first.predict(points, 0.2)[0], 0.9) < 0.2, "data that are harder than a guess is here"
    assert first
    assert not Prior([points[: MIN_TRIALS - 1]], Objectives(), features)
    assert not Prior([], Objectives(), features)


def test_a_prior_is_kept_by_the_ledger(tmp_path):
    """Trials that are not comparable are told to the strategy search by search, also after a break."""
    state, ledger = open_search(tmp_path / "ledger.jsonl")
    space = state._proposer.space
    some = [space.point(number) for number in range(3)]
    trials = tuple(
        EarlierTrial(run, f"t{number}", params, {2: Value(0.5, 1.0, 100, 9)}, is_comparable=run == "same")
        for run in ("one", "two", "same")
        for number, params in enumerate(some)
    )
    state.warm_start(WarmStart((), trials, ()), ["one", "two", "same"])
    ledger.close()
    again, ledger = open_search(tmp_path / "ledger.jsonl")
    ledger.close()
    for one in (state, again):
        history = one._proposer._history
        assert [[point.params for point in of_run] for of_run in history.elsewhere] == [some, some]
        assert [point.params for point in history.known] == some
