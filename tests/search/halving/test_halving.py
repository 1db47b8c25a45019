import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asc_models.config import TrainConfig
from search.halving import HALVINGS, rung_epochs, rung_folds
from search.objectives import Objectives, Value

EPOCHS = (2, 6, 14, 30)
POINTS = st.tuples(st.integers(0, 20), st.integers(1, 9))
"""Accuracy in twentieths, size in thousands of bytes."""


def made(kind, eta=2, epochs=EPOCHS):
    return HALVINGS[kind](epochs, eta, Objectives())


def value(accuracy, weight_bytes=1000):
    return Value(accuracy, 1.0, weight_bytes)


def run(halving, values, n_workers=3):
    """Train made-up trials, `n_workers` at a time, as a search does; return each one's rungs and end."""
    new, training, told = list(values), [], {trial_id: [] for trial_id in values}
    ends = {}
    while True:
        while len(training) < n_workers:
            promotable = halving.promotable()
            if promotable:
                halving.promote(promotable[0])
                training.append(promotable[0])
            elif new:
                training.append(new.pop(0))
            else:
                break
        if not training:
            return told, ends
        trial_id = training.pop(0)
        rung = len(told[trial_id])
        told[trial_id].append(rung)
        decision = halving.record(trial_id, rung, values[trial_id])
        if decision == "continue":
            training.append(trial_id)
        else:
            ends[trial_id] = decision


def test_rungs_are_the_ends_of_cycles():
    """Cycles of 2, 4, 8 … end at 2, 6, 14, 30, 62: those from min_epochs on are rungs, and the last epoch is one."""
    assert rung_epochs(TrainConfig(), 62, 6) == [6, 14, 30, 62]
    assert rung_epochs(TrainConfig(), 40, 2) == [2, 6, 14, 30, 40]
    assert rung_epochs(TrainConfig(), 4, 6) == [4]


@given(st.integers(2, 20), st.integers(2, 8))
def test_networks_rise_from_one_to_all(n_parts, n_rungs):
    """The first rung has one network of a trial, the last one for each part; none is dropped between them."""
    folds = rung_folds(n_parts, n_rungs)
    assert (folds[0], folds[-1], len(folds)) == (1, n_parts, n_rungs)
    assert folds == sorted(folds)
    assert rung_folds(0, n_rungs) == [1] * n_rungs
    assert rung_folds(n_parts, 1) == [n_parts]


@pytest.mark.system
@pytest.mark.parametrize("kind", HALVINGS)
@given(
    values=st.lists(POINTS, min_size=1, max_size=30),
    eta=st.integers(2, 4),
    n_workers=st.integers(1, 5),
)
def test_every_kind_keeps_the_rules(kind, values, eta, n_workers):
    """Rungs come one by one, decisions fit their rungs, and what is recorded again in order decides the same."""
    trials = {f"t{i}": value(a / 20, 1000 * b) for i, (a, b) in enumerate(values)}
    told, ends = run(made(kind, eta), trials, n_workers)
    assert set(ends) == set(trials)
    assert all(rungs == list(range(len(rungs))) for rungs in told.values())
    for trial_id, end in ends.items():
        assert (end == "finish") == (len(told[trial_id]) == len(EPOCHS))
        assert end in {"finish", "pause" if kind == "pareto" else "stop"}
    assert run(made(kind, eta), trials, n_workers) == (told, ends)


@given(
    values=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=30), eta=st.integers(2, 4)
)
def test_promotion_never_takes_more_than_its_share(values, eta):
    """At every rung floor(n / η) of the n trials there go on at the end: the rest is paused, and nobody else waits."""
    trials = {f"t{i}": value(a / 20, 1000 * b) for i, (a, b) in enumerate(values)}
    told, _ = run(made("pareto", eta), trials)
    reached = [sum(len(rungs) > rung for rungs in told.values()) for rung in range(len(EPOCHS))]
    assert reached[0] == len(trials)
    for here, beyond in pairwise(reached):
        assert beyond == here // eta


@pytest.mark.system
@pytest.mark.parametrize("kind", HALVINGS)
@given(values=st.lists(POINTS, min_size=4, max_size=30), data=st.data())
def test_a_replayed_state_decides_as_the_recorded_one(kind, values, data):
    """After the events of a ledger the same trials may be promoted, and new ones fare alike; some trials fail."""
    trials = {f"t{i}": value(a / 20, 1000 * b) for i, (a, b) in enumerate(values)}
    first, again = made(kind), made(kind)
    half = len(trials) // 2
    for trial_id in list(trials)[:half]:
        decision, rung = "continue", 0
        while decision == "continue":
            decision = first.record(trial_id, rung, trials[trial_id])
            again.replay(trial_id, rung, trials[trial_id], decision)
            rung += 1
        for promoted in first.promotable()[: data.draw(st.integers(0, 1))]:
            for halving in (first, again):
                halving.promote(promoted)
        if data.draw(st.integers(0, 5)) == 0:
            for halving in (first, again):
                halving.drop(trial_id)
    assert first.promotable() == again.promotable()
    for trial_id in list(trials)[half:]:
        assert first.record(trial_id, 0, trials[trial_id]) == again.record(trial_id, 0, trials[trial_id])
        assert first.reason(trial_id) == again.reason(trial_id)
        assert first.promotable() == again.promotable()


def test_small_networks_survive_beside_large_ones():
    """Where accuracy grows with size, promotion finishes small and large ones, ASHA large ones alone."""
    trials = {f"t{i}": value(0.3 + 0.02 * i, 1000 * (i + 1)) for i in reversed(range(16))}

    def finished(kind):
        return {int(trial_id[1:]) for trial_id, end in run(made(kind), trials, 16)[1].items() if end == "finish"}

    assert min(finished("pareto")) < 8 <= max(finished("pareto"))
    assert finished("asha") <= set(range(12, 16))


def test_a_paused_trial_goes_on_once_others_have_come():
    """The first trial waits; with a second one at the rung the better of the two goes on."""
    halving = made("pareto")
    assert halving.record("first", 0, value(0.9)) == "pause"
    assert halving.promotable() == []
    assert halving.record("second", 0, value(0.2)) == "pause"
    assert halving.promotable() == ["first"]
    halving.promote("first")
    assert halving.promotable() == []
    assert halving.record("third", 0, value(0.95)) == "pause", "one of three goes on, and it has"
    assert halving.record("fourth", 0, value(0.99)) == "continue"


def test_higher_rungs_are_promoted_first():
    """Of two that may go on, the one that has come further does."""
    halving = made("pareto")
    for trial_id in ("a", "b", "c", "d"):
        halving.record(trial_id, 0, value(0.5 if trial_id in "ab" else 0.4))
    for trial_id in halving.promotable():
        halving.promote(trial_id)
        halving.record(trial_id, 1, value(0.6))
    for trial_id in ("e", "f", "g", "h"):
        halving.record(trial_id, 0, value(0.1))
    promotable = halving.promotable()
    assert halving.record("i", 0, value(0.05)) == "pause"
    assert promotable[0] in {"a", "b"}


def test_a_failed_trial_gives_its_place_to_the_next():
    """When the promoted trial fails, the next best of the rung may go on in its stead."""
    halving = made("pareto")
    halving.record("good", 0, value(0.8))
    assert halving.record("best", 0, value(0.9)) == "continue"
    halving.record("poor", 0, value(0.1))
    assert halving.promotable() == []
    halving.drop("best")
    assert halving.promotable() == ["good"]


def test_asha_tells_why_it_stopped():
    """The reason names the share and how many had come that far."""
    halving = made("asha")
    assert halving.record("a", 0, value(0.8)) == "continue"
    assert halving.record("b", 0, value(0.2)) == "stop"
    assert halving.reason("b") == "not among the best 1/2 of the 2 trials that had reached epoch 2"


def test_hyperband_gives_some_trials_time():
    """Some of Hyperband's brackets begin to compare late: the worst of many trials still finish now and then."""
    trials = {f"t{i}": value(1 - i / 40) for i in range(40)}
    asha = run(made("asha"), trials, 1)[1]
    hyperband = run(made("hyperband"), trials, 1)[1]
    assert sum(end == "finish" for end in hyperband.values()) > sum(end == "finish" for end in asha.values())
    assert any(end == "stop" for end in hyperband.values())


def test_none_stops_nobody():
    """Without halving everything finishes."""
    trials = {f"t{i}": value(1 - i / 10) for i in range(10)}
    assert set(run(made("none"), trials)[1].values()) == {"finish"}


@pytest.mark.parametrize("kind", HALVINGS)
def test_as_many_reach_a_rung_as_is_expected(kind):
    """Of 96 trials in random order, up to a factor of two, as many come to each rung as an estimate of time says."""
    rng = random.Random(0)
    values = {f"t{number}": value(number / 96, 1000) for number in rng.sample(range(96), 96)}
    told, _ = run(made(kind), values)
    reached = [sum(len(rungs) > rung for rungs in told.values()) for rung in range(len(EPOCHS))]
    expected = made(kind).expected_trials(96)
    assert expected[0] == reached[0] == 96
    assert all(estimate / 2 <= count <= 2 * estimate for count, estimate in zip(reached, expected, strict=True))
    assert kind not in ("pareto", "none") or reached == expected
