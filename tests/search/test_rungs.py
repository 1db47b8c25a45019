import pytest
from hypothesis import given
from hypothesis import strategies as st

from asc_models.config import TrainConfig
from search.rungs import Rungs, rung_epochs, to_scalar

TRAIN = TrainConfig()


@pytest.mark.parametrize(
    ("epochs", "min_epochs", "expected"),
    [(62, 6, [6, 14, 30, 62]), (62, 1, [2, 6, 14, 30, 62]), (40, 6, [6, 14, 30, 40]), (4, 6, [4]), (6, 6, [6])],
)
def test_rungs_are_cycle_ends_and_the_last_epoch(epochs, min_epochs, expected):
    """Rungs lie at the ends of warm-restart cycles from min_epochs on; the last is where a trial is finished."""
    assert rung_epochs(TRAIN, epochs, min_epochs) == expected


def test_the_first_trial_goes_on_and_the_worse_of_two_ends():
    """With eta 2 the first trial always goes on; the second only if it is at least as good."""
    rungs = Rungs([6, 14], eta=2)
    assert rungs.record("a", 0, 0.5, 1.0) == "continue"
    assert rungs.record("b", 0, 0.4, 1.0) == "stop"
    assert rungs.record("c", 0, 0.6, 1.0) == "continue"


def test_log_loss_breaks_ties():
    """At equal accuracy the lower log loss wins; equal values are treated alike."""
    rungs = Rungs([6, 14], eta=2)
    rungs.record("a", 0, 0.5, 1.0)
    assert rungs.record("b", 0, 0.5, 1.1) == "stop"
    assert rungs.record("c", 0, 0.5, 0.9) == "continue"
    assert Rungs([6, 14], 2).record("a", 0, 0.5, 1.0) == Rungs([6, 14], 2).record("b", 0, 0.5, 1.0)


def test_the_last_rung_finishes_whatever_the_value():
    """A trial that reaches the last epoch is finished, also as the worst of all."""
    rungs = Rungs([6, 14], eta=2)
    rungs.record("a", 1, 0.9, 0.1)
    assert rungs.record("b", 1, 0.1, 9.0) == "finish"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=40, unique=True), st.integers(2, 4))
def test_those_that_go_on_are_the_best_so_far(values, eta):
    """A trial goes on exactly if fewer than max(1, n // eta) of the n values so far are better."""
    rungs = Rungs([6, 14], eta)
    for n, (accuracy, loss) in enumerate(values, start=1):
        decision = rungs.record(f"t{n}", 0, accuracy, loss)
        n_better = sum((a, -b) > (accuracy, -loss) for a, b in values[:n])
        assert decision == ("continue" if n_better < max(1, n // eta) else "stop")


def test_replaying_the_same_values_gives_the_same_decisions():
    """Rungs rebuilt from recorded values decide as they would have done without the break."""
    values = [(f"t{i}", (i * 7 % 11) / 11, 1.0) for i in range(12)]
    whole, rebuilt = Rungs([6, 14], 2), Rungs([6, 14], 2)
    decisions = [whole.record(trial, 0, *value) for trial, *value in values]
    for trial, *value in values[:6]:
        rebuilt.record(trial, 0, *value)
    assert [rebuilt.record(trial, 0, *value) for trial, *value in values[6:]] == decisions[6:]


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 34.5), st.floats(0, 34.5))
def test_the_scalar_orders_as_the_pair(a, b, loss_a, loss_b):
    """One number orders (accuracy, −log loss) as the pair does while accuracy moves in steps of a thousandth."""
    if a != b:
        assert (to_scalar(a / 1000, loss_a) > to_scalar(b / 1000, loss_b)) == (a > b)
    elif abs(loss_a - loss_b) > 1e-6:
        assert (to_scalar(a / 1000, loss_a) > to_scalar(b / 1000, loss_b)) == (loss_a < loss_b)
