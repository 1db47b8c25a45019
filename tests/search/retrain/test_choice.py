"""Retraining chooses from the front, spread over sizes: no K twins, no short training before a finished one."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.pareto import pareto_front
from search.objectives import Objectives
from search.retrain.choice import Contender, _area, choose, read_contenders, spread


def contender(name: str, size: int, merit: float, epochs: int = 62, *, finished: bool = True) -> Contender:
    return Contender(name, {"model": name}, {}, finished, epochs, merit, size)


def names(choice) -> list[str]:
    return [one.trial_id for one in choice.trials]


FRONT = [
    contender("tiny", 4_000, 0.42),
    contender("small", 20_000, 0.60),
    contender("twin", 20_400, 0.605),
    contender("middle", 60_000, 0.69),
    contender("near", 118_000, 0.715),
    contender("large", 120_000, 0.72),
]


def test_the_most_accurate_comes_first_and_the_rest_covers_the_sizes():
    """Of six on the front four are taken: neither both neighbours at 20 kB nor both at 120 kB."""
    chosen = names(choose(FRONT, 4, floor=0.1))
    assert chosen[0] == "large"
    assert set(chosen) == {"large", "middle", "tiny", "small"} or set(chosen) == {"large", "middle", "tiny", "twin"}


def test_a_dominated_trial_waits_for_the_front():
    """Larger and worse is taken only where the front has too few, after all of the front."""
    dominated = contender("dominated", 100_000, 0.5)
    assert "dominated" not in names(choose([*FRONT, dominated], 6, floor=0.1))
    assert names(choose([*FRONT, dominated], 7, floor=0.1))[-1] == "dominated"


def test_a_finished_trial_comes_before_every_shorter_one():
    """Merits after fewer epochs don't compare: the shorter ones only fill up, the furthest first, and it is said."""
    short = contender("short", 30_000, 0.99, epochs=14, finished=False)
    shorter = contender("shorter", 10_000, 0.999, epochs=6, finished=False)
    full = contender("full", 50_000, 0.3)
    choice = choose([shorter, short, full], 2, floor=0.1)
    assert names(choice) == ["full", "short"]
    assert "only 1 of 2 trials were trained longer" in choice.notes[0]
    assert "after 14 epochs: short" in choice.notes[0]
    assert "no trial was trained to the last rung" in choose([short], 1, floor=0.1).notes[0]


def test_fewer_than_asked_for_is_said():
    """Two different candidates are all there is for four."""
    choice = choose(FRONT[:2], 4, floor=0.1)
    assert len(choice.trials) == 2
    assert choice.notes == ("4 candidates were requested, but the search has only 2 different ones",)


@given(
    st.lists(
        st.tuples(st.integers(1_000, 128_000), st.floats(0.0, 1.0)), min_size=1, max_size=8, unique_by=lambda p: p[0]
    ),
    st.integers(1, 4),
)
def test_the_greedy_choice_is_near_the_best_one(points, n):
    """The area is at least 1 − 1/e of that of the best set that has the most accurate in it (Nemhauser et al. 1978)."""
    found = [contender(str(i), size, merit) for i, (size, merit) in enumerate(points)]
    front = [found[i] for i in pareto_front([one.merit for one in found], [one.size for one in found])]
    end = math.log(max(one.size for one in front))
    best = max(front, key=lambda one: one.merit)
    sets = itertools.combinations([one for one in front if one is not best], min(n, len(front)) - 1)
    optimum = max(_area([best, *others], end, 0.1) for others in sets)
    assert _area(spread(front, n, 0.1), end, 0.1) >= (1 - 1 / math.e) * optimum - 1e-9


def ledger(*trials: tuple[str, str, list[tuple[int, float]], str | None, int]):
    for trial_id, model, rungs, state, seed in trials:
        config = {"model": model, "train": {}, "reader": {}, "mode": "int8_weights"}
        yield {"event": "trial_started", "trial_id": trial_id, "config": config, "seed": seed}
        for rung, (epochs, accuracy) in enumerate(rungs):
            yield {"event": "rung", "trial_id": trial_id, "epochs": epochs, "macro_accuracy": accuracy} | {
                "rung": rung,
                "log_loss": 1.0,
                "weight_bytes": 10_000,
            }
        if state:
            yield {"event": "trial_ended", "trial_id": trial_id, "state": state}


def test_a_ledger_is_read_as_it_stands():
    """The last rung counts; failed trials, and such as reached no rung, don't; a paused one is no finished one."""
    events = list(
        ledger(
            ("done", "a", [(2, 0.3), (6, 0.5)], "finished", 0),
            ("paused", "b", [(2, 0.9)], None, 0),
            ("stopped", "c", [(2, 0.1)], "stopped", 0),
            ("failed", "d", [(2, 0.9)], "failed", 0),
            ("begun", "e", [], None, 0),
        )
    )
    found = {one.trial_id: one for one in read_contenders(events, lambda config: config["model"], Objectives())}
    assert set(found) == {"done", "paused", "stopped"}
    assert (found["done"].epochs, found["done"].is_finished) == (6, True)
    assert found["done"].merit == pytest.approx(0.5, abs=1e-4)
    assert not found["paused"].is_finished
    assert not found["stopped"].is_finished


def test_one_network_is_one_candidate():
    """Two trials of one network, with two seeds, stand for one candidate with their mean, not for two."""
    events = list(ledger(("one", "a", [(6, 0.5)], "finished", 0), ("two", "a", [(6, 0.7)], "finished", 1)))
    (only,) = read_contenders(events, lambda config: config["model"], Objectives())
    assert only.merit == pytest.approx(0.6, abs=1e-4)
    assert (only.trial_id, only.twins) == ("one", ("two",))
    (by_loss,) = read_contenders(events, lambda config: config["model"], Objectives(("log_loss",)))
    assert by_loss.merit == -1.0


def test_pruned_networks_are_compared_by_their_non_zero_bytes():
    """If these are an objective, they are the size by which trials are spread; otherwise all bytes are."""
    events = list(ledger(("one", "a", [(6, 0.5)], "finished", 0)))
    events[1]["nonzero_weight_bytes"] = 4_000
    for cost, size in (("weight_bytes", 10_000), ("nonzero_weight_bytes", 4_000)):
        (only,) = read_contenders(events, lambda config: config["model"], Objectives(("log_loss", cost)))
        assert only.size == size
