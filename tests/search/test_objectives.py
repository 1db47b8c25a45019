import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.pareto import crowding_distances, front_ranks
from search.objectives import Objectives, Value

VALUES = st.builds(
    Value,
    st.integers(0, 10).map(lambda tenths: tenths / 10),
    st.floats(0, 3),
    st.integers(1, 9).map(lambda kilo: 1000 * kilo),
    st.integers(0, 3),
)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_ranks_are_those_of_peeling_fronts(values):
    """A point's rank is 0 where nothing dominates it, else one more than the highest rank among its dominators."""
    losses = [Objectives(("macro_accuracy", "weight_bytes", "macs")).losses(value) for value in values]
    ranks = front_ranks(np.array(losses))
    for point, rank in zip(losses, ranks, strict=True):
        above = [other_rank for other, other_rank in zip(losses, ranks, strict=True) if dominates(other, point)]
        assert rank == (max(above) + 1 if above else 0)


@given(st.lists(VALUES, max_size=12))
def test_ranking_names_everyone_once_and_fronts_in_order(values):
    """The ranking is a permutation, no one stands before a point that dominates it."""
    objectives = Objectives()
    ranking = objectives.ranked(dict(enumerate(values)))
    assert sorted(ranking) == list(range(len(values)))
    losses = [objectives.losses(values[index]) for index in ranking]
    assert not any(dominates(later, losses[i]) for i in range(len(losses)) for later in losses[i + 1 :])


def test_small_and_large_come_before_the_middle_of_a_front():
    """Within a front the ends come first, then whoever is furthest from its neighbours."""
    values = {
        "small": Value(0.3, 1.0, 1_000),
        "crowded": Value(0.35, 1.0, 2_000),
        "lonely": Value(0.6, 1.0, 9_000),
        "large": Value(0.9, 1.0, 20_000),
        "dominated": Value(0.2, 1.0, 1_500),
    }
    ranking = Objectives().ranked(values)
    assert set(ranking[:2]) == {"small", "large"}
    assert ranking[2:] == ["lonely", "crowded", "dominated"]


def test_crowding_by_hand():
    """Distances of a front of four, computed by hand from the definition."""
    losses = np.array([[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]])
    distances = crowding_distances(losses)
    assert distances[[0, 3]].tolist() == [np.inf, np.inf]
    assert distances[1:3].tolist() == pytest.approx([3 / 4 + 5 / 10, 3 / 4 + 6 / 10])


def test_log_loss_breaks_ties_in_macro_accuracy_and_never_outweighs_it():
    """Equal accuracies order by log loss; one clip in ten thousand weighs more than the worst log loss."""
    better, worse = Value(0.5, 0.1, 1), Value(0.5, 0.2, 1)
    assert Objectives(("macro_accuracy",)).ranked({"worse": worse, "better": better}) == ["better", "worse"]
    ahead, behind = Value(0.5001, 9.0, 1), Value(0.5, 0.0, 1)
    assert Objectives(("macro_accuracy",)).ranked({"behind": behind, "ahead": ahead})[0] == "ahead"


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ((), "one score first"),
        (("weight_bytes",), "one score first"),
        (("macro_accuracy", "log_loss"), "one score first"),
        (("log_loss", "macs", "macs"), "objectives must differ, got log_loss, macs, macs"),
    ],
)
def test_what_cannot_be_compared_is_refused(names, problem):
    """One score, then distinct costs: anything else is an error that says so."""
    with pytest.raises(ValueError, match=problem):
        Objectives(names)
