"""The search for an ensemble's members: within the limit, as good as brute force, judged on held-out locations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asc_models.ensemble import temper
from asc_models.metrics import log_loss
from results.config import EnsembleConfig
from results.ensembles.calibration import fit_temperature, location_parts
from results.ensembles.members import METHODS, Pool, find_members, greedy, make_pool

LOCATIONS = [str(i // 2) for i in range(20)]


def within(sizes: Sequence[float], limit: float) -> Callable[[Sequence[int]], bool]:
    return lambda members: sum(sizes[i] for i in members) <= limit


def random_pool(seed: int, sizes: list[int], limit: int, config: EnsembleConfig, n_clips: int = 20) -> Pool:
    rng = np.random.default_rng(seed)
    stack = rng.dirichlet(np.ones(3) * 0.7, size=(len(sizes), n_clips)).astype(np.float32)
    return make_pool(stack, rng.integers(3, size=n_clips), np.array(sizes, float), within(sizes, limit), config)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=7),
    room=st.integers(0, 120),
    max_members=st.integers(1, 4),
)
def test_no_method_exceeds_the_limits_or_loses_to_the_best_single(seed, sizes, room, max_members):
    """Distinct members' sizes stay within the limit, and the loss is at most the best candidate's. `single` compares
    candidates with a temperature each."""
    limit = max(sizes) + room
    pool = random_pool(seed, sizes, limit, EnsembleConfig(max_members=max_members, max_rounds=12))
    best = min(log_loss(pool.labels, member) for member in pool.probabilities)
    tempered = [
        log_loss(pool.labels, temper(member.astype(float), fit_temperature(pool.labels, member.astype(float))))
        for member in pool.probabilities
    ]
    for name, method in METHODS.items():
        counts = method(pool)
        used = np.flatnonzero(counts)
        assert sum(sizes[i] for i in used) <= limit, name
        assert 1 <= len(used) <= max_members, name
        if name == "single":
            assert tempered[used[0]] == min(tempered)
        else:
            assert pool.loss(counts) <= best + 1e-12, name
        assert pool.loss(counts) == pytest.approx(log_loss(pool.labels, pool.mean(counts)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_members", [1, 2, 3, 5])
def test_exact_is_brute_force(seed, max_members):
    """Of all sets of up to five that fit, with equal weights, the one with the lowest loss."""
    sizes = [30, 40, 50, 60, 10, 20, 35]
    pool = random_pool(seed, sizes, 150, EnsembleConfig(max_members=max_members))
    sets = [
        members
        for n in range(1, max_members + 1)
        for members in combinations(range(len(sizes)), n)
        if sum(sizes[i] for i in members) <= 150
    ]
    losses = [log_loss(pool.labels, pool.probabilities[list(members)].astype(float).mean(axis=0)) for members in sets]
    counts = METHODS["exact"](pool)
    assert tuple(np.flatnonzero(counts)) == sets[int(np.argmin(losses))]
    assert sorted(tuple(row) for found in pool.sets for row in found.tolist()) == sorted(sets)


def complementary() -> Pool:
    """Return three candidates: a good one, and two that are worse alone and far better together; only two fit."""
    truth = np.eye(3)[np.arange(60) % 3]
    sure, wrong = truth * 0.94 + 0.02, np.roll(truth, 1, axis=1) * 0.85 + 0.05
    first, second = (np.where((np.arange(60) % 4 < 2)[:, None] == is_first, sure, wrong) for is_first in (True, False))
    all_right = truth * 0.1 + 0.3
    stack = np.stack([all_right, first, second]) / np.stack([all_right, first, second]).sum(axis=2, keepdims=True)
    sizes = [100.0, 60.0, 60.0]
    return make_pool(
        stack, truth.argmax(axis=1), np.array(sizes), within(sizes, 128), EnsembleConfig(temperature=False)
    )


def test_the_best_single_can_be_left():
    """Adding alone would keep the best candidate, as no other fits beside it; two others together are better."""
    pool = complementary()
    assert np.flatnonzero(METHODS["single"](pool)).tolist() == [0]
    found = find_members(pool, location_parts([str(i // 3) for i in range(60)]))
    assert np.flatnonzero(found.counts).tolist() == [1, 2]
    assert found.held_out[found.method] < found.held_out["single"]


def test_removal_undoes_an_addition():
    """A member that later ones make superfluous is removed: weights end as they would without it."""
    truth = np.eye(3)[np.arange(90) % 3]
    third = np.arange(90) % 3
    experts = [np.where((third == i)[:, None], 1 / 3, truth * 0.9 + 0.1 / 3) for i in range(3)]
    stack = np.stack([truth * 0.4 + 0.2, *experts])
    pool = make_pool(stack, truth.argmax(axis=1), np.ones(4), lambda _: True, EnsembleConfig(max_rounds=64))
    start = np.array([1, 0, 0, 0])
    assert greedy(pool, start)[0] == 0


def test_repetition_is_weight_and_is_charged_once():
    """Of two members that err on different clips both are taken; the better one weighs more; size is counted once."""
    truth = np.eye(3)[[0, 1, 2] * 10]
    first, second = truth * 0.9 + 0.1 / 3, truth * 0.9 + 0.1 / 3
    first[:8], second[18:] = 1 / 3, 1 / 3
    config = EnsembleConfig(temperature=False)
    stack, labels = np.stack([first, second]), truth.argmax(axis=1)
    counts = METHODS["greedy"](make_pool(stack, labels, np.ones(2), within([60, 60], 120), config))
    assert counts[0] > counts[1] > 0
    alone = METHODS["greedy"](make_pool(stack, labels, np.ones(2), within([60, 60], 119), config))
    assert alone.tolist() == [1, 0]


def test_without_a_real_gain_the_single_is_kept():
    """Candidates of pure noise look better together on the clips they were selected on, not on held-out ones."""
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=120)
    good = np.eye(3)[labels] * 0.8 + 0.2 / 3
    noise = rng.dirichlet(np.ones(3), size=(6, 120))
    pool = make_pool(
        np.concatenate([good[None], noise]), labels, np.ones(7), lambda _: True, EnsembleConfig(temperature=False)
    )
    found = find_members(pool, location_parts([str(i // 2) for i in range(120)]))
    assert (found.method, np.flatnonzero(found.counts).tolist()) == ("single", [0])


def test_a_single_location_holds_nothing_out():
    """Then there is nothing to judge methods by: greedy selection, and no held-out losses."""
    pool = random_pool(0, [1, 1], 2, EnsembleConfig())
    found = find_members(pool, location_parts(["here"] * 20))
    assert (found.method, found.held_out, found.losses) == ("greedy", {}, {})


def test_a_large_pool_compares_as_many_sets_as_it_can_afford():
    """400 candidates have 80,200 sets of up to two; ten million of three are left out."""
    config = EnsembleConfig(max_members=4)
    rng = np.random.default_rng(0)
    stack = rng.dirichlet(np.ones(3), size=(400, 30)).astype(np.float32)
    pool = make_pool(stack, rng.integers(3, size=30), np.ones(400), lambda _: True, config)
    assert [len(sets) for sets in pool.sets] == [400, 79_800]
    assert np.count_nonzero(METHODS["exact"](pool)) == 2
