"""The public tasks of the search benchmark: sizes in closed form, hidden test scores, nothing over the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from benchmarks.search_simulator import Ours, simulate
from benchmarks.search_tasks import DATA_SETS, EPOCHS, Surrogate, Task, found, funnel_cost


class Curves(Surrogate):
    """Curves in closed form: wider networks and a rate near 0.01 are better, and longer trainings."""

    def __init__(self) -> None:
        pass

    def curves(self, task: str, points: Sequence[Mapping[str, Any]], epochs: Sequence[int]) -> np.ndarray:
        """Return accuracy, loss and test accuracy, which is two points lower."""
        made = np.zeros((len(points), len(epochs), 3))
        for row, point in enumerate(points):
            rate = abs(np.log10(point["train.learning_rate"]) + 2)
            top = 0.6 + 0.03 * np.log2(point["max_units"] / 64) - 0.1 * rate
            for column, n in enumerate(epochs):
                made[row, column] = top - 0.2 / n, 1.0, top - 0.02 - 0.2 / n
        return made


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(Curves(), "3945", 0.25)


def test_a_funnels_size_by_hand() -> None:
    """Two hidden layers of 64 and 33, 10 inputs, 2 outputs: a byte a weight, four a bias."""
    macs = 10 * 64 + 64 * 33 + 33 * 2
    assert funnel_cost(2, 64, 10, 2) == (macs + 4 * (64 + 33 + 2), macs)


def test_there_are_34_tasks() -> None:
    """As many as the surrogate has, each with inputs and classes."""
    assert len(DATA_SETS) == 34
    assert all(n_columns >= 4 and n_classes >= 2 for _, n_columns, n_classes in DATA_SETS.values())


def test_a_seed_is_one_training(task: Task) -> None:
    """The same point and seed give the same noisy values at every rung; another seed gives others; test is its own."""
    params = task.space.draw(np.random.default_rng(0))
    first, again, other = (task.with_seed(seed) for seed in (1, 1, 2))
    values = [
        [one.value_at(params, rung).macro_accuracy for rung in range(len(EPOCHS))] for one in (first, again, other)
    ]
    assert values[0] == values[1] != values[2]
    assert first.hidden_accuracy(params) == again.hidden_accuracy(params) != other.hidden_accuracy(params)


@pytest.mark.no_cover
@pytest.mark.parametrize("strategy", ["front", "random"])
def test_nothing_over_the_limit_is_trained(task: Task, strategy: str) -> None:
    """Every training fits; what is found grows with the epochs, and is scored by test."""
    method = Ours(task, 0, strategy=strategy, scheduler="pareto", eta=2)
    history = simulate(task, method, n_workers=2, max_epochs=624)
    assert all(step.value.weight_bytes <= task.limit for step in history)
    early, late = found(task, history, [200, 624])
    assert 0.0 <= early.volume <= late.volume <= 1.2
    assert late.regret < 0.1
    assert found(task, [], [100])[0].volume == 0.0
