"""The front holds exactly the points that nothing dominates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.pareto import dominated_area, front_ranks, hypervolume, pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)


@given(points=POINTS)
def test_the_front_is_what_the_definition_says(points: list[tuple[int, int]]) -> None:
    """Checked against the definition, point by point: on the front, or dominated by (or equal to) one that is."""
    accuracy, size = [p[0] for p in points], [p[1] for p in points]
    front = pareto_front(accuracy, size).tolist()

    def dominates(i: int, j: int) -> bool:
        at_least = accuracy[i] >= accuracy[j] and size[i] <= size[j]
        return at_least and (accuracy[i] > accuracy[j] or size[i] < size[j])

    for j in range(len(points)):
        free = not any(dominates(i, j) for i in range(len(points)))
        assert free == any((accuracy[i], size[i]) == (accuracy[j], size[j]) for i in front)
    assert [size[i] for i in front] == sorted({size[i] for i in front})
    assert [accuracy[i] for i in front] == sorted({accuracy[i] for i in front})


def test_missing_values_take_no_part() -> None:
    """A trial without a score or a size is neither on the front nor in anybody's way."""
    assert pareto_front([np.nan, 0.5, 0.9], [1, 2, np.nan]).tolist() == [1]
    assert pareto_front([], []).tolist() == []


def test_shapes_must_agree() -> None:
    """Two lengths are a programming error."""
    with pytest.raises(ValueError, match="both"):
        pareto_front([1.0], [1.0, 2.0])


@settings(deadline=None)
@given(points=POINTS)
def test_the_hypervolume_is_the_dominated_area(points: list[tuple[int, int]]) -> None:
    """Counted cell by cell on the lattice: a cell is dominated if a point is at least as accurate and as small."""
    accuracy, size = [p[0] / 6 for p in points], [p[1] for p in points]
    cells = [(a, b) for a in range(6) for b in range(5)]
    n_dominated = sum(any(p[0] > a and p[1] <= b for p in points) for a, b in cells)
    assert hypervolume(accuracy, size, limit=5) == pytest.approx(n_dominated / len(cells))


@settings(deadline=None)
@given(points=POINTS, floor=st.integers(0, 6))
def test_accuracy_counts_from_the_floor_on(points: list[tuple[int, int]], floor: int) -> None:
    """The area above a floor is that of the points lowered by it, and the hypervolume is its share of the limit."""
    accuracy, size = [p[0] for p in points], [p[1] for p in points]
    lowered = [max(a - floor, 0) for a in accuracy]
    area = dominated_area(accuracy, size, floor, 5)
    assert area == pytest.approx(dominated_area(lowered, size, 0, 5))
    assert hypervolume(accuracy, size, 5, floor) == pytest.approx(area / 5)


@given(points=POINTS)
def test_the_front_is_rank_zero(points: list[tuple[int, int]]) -> None:
    """The two ways to the front agree: each point of rank 0 is on it, or equal to one that is."""
    accuracy, size = [p[0] for p in points], [p[1] for p in points]
    ranks = front_ranks(np.array([[-a, s] for a, s in points], dtype=np.float64).reshape(-1, 2))
    first = {points[index] for index in np.flatnonzero(ranks == 0)}
    assert first == {points[index] for index in pareto_front(accuracy, size)}


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
@given(data=st.data())
def test_ranks_are_what_the_definition_says(n_objectives: int, data: st.DataObject) -> None:
    """Each front is what nothing dominates once the fronts before it are taken away; equal points share one."""
    point = st.tuples(*[st.integers(0, 4)] * n_objectives)
    points = data.draw(st.lists(point, max_size=30))
    losses = np.array(points, dtype=np.float64).reshape(-1, n_objectives)
    left, expected, rank = set(range(len(points))), {}, 0
    while left:
        free = {
            i for i in left if not any((losses[j] <= losses[i]).all() and (losses[j] < losses[i]).any() for j in left)
        }
        expected |= dict.fromkeys(free, rank)
        left -= free
        rank += 1
    assert front_ranks(losses).tolist() == [expected[i] for i in range(len(points))]


def test_the_hypervolume_of_nothing_is_none() -> None:
    """No point, only points over the limit, or one without a value: nothing is dominated."""
    assert hypervolume([], [], 10) == 0
    assert hypervolume([0.9, np.nan], [11, 3], 10) == 0
    assert hypervolume([1.0], [0], 10) == 1
