"""The public tasks of the search benchmark: sizes in closed form, hidden test scores, nothing over the limit."""

from __future__ import annotations

import numpy as np
import pytest
from search_simulator import Ours, simulate
from search_task import found
from search_tasks import DATA_SETS, EPOCHS, PublicTask, funnel_cost
from tasks_support import SmallTask


@pytest.fixture(scope="module")
def task() -> PublicTask:
    return SmallTask()


def test_a_funnels_size_by_hand() -> None:
    """Two hidden layers of 64 and 33, 10 inputs, 2 outputs: a byte a weight, four a bias."""
    macs = 10 * 64 + 64 * 33 + 33 * 2
    assert funnel_cost(2, 64, 10, 2) == (macs + 4 * (64 + 33 + 2), macs)


def test_there_are_34_tasks() -> None:
    """As many as the surrogate has, each with inputs and classes."""
    assert len(DATA_SETS) == 34
    assert all(n_columns >= 4 and n_classes >= 2 for _, n_columns, n_classes in DATA_SETS.values())


def test_a_seed_is_one_training(task: PublicTask) -> None:
    """The same point and seed give the same noisy values at every rung; another seed gives others; test is its own."""
    params = task.space.draw(np.random.default_rng(0))
    first, again, other = (task.with_seed(seed) for seed in (1, 1, 2))
    values = [
        [one.value_at(params, rung).macro_accuracy for rung in range(len(EPOCHS))] for one in (first, again, other)
    ]
    assert values[0] == values[1] != values[2]
    assert first.hidden_accuracy(params) == again.hidden_accuracy(params) != other.hidden_accuracy(params)


@pytest.mark.parametrize("strategy", ["front", "random"])
def test_nothing_over_the_limit_is_trained(task: PublicTask, strategy: str) -> None:
    """Every training fits; what is found grows with the epochs, and is scored by test."""
    method = Ours(task, 0, strategy=strategy, scheduler="pareto", eta=2)
    history = simulate(task, method, n_workers=2, max_epochs=624)
    assert all(step.value.weight_bytes <= task.limit for step in history)
    early, late = found(task, history, [200, 624])
    assert 0.0 <= early.volume <= late.volume <= 1.3
    assert late.regret < 0.1
    assert found(task, [], [100])[0].volume == 0.0
