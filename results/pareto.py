"""Pareto fronts: non-dominated points, ranks of fronts, crowding distances and hypervolume."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def pareto_front(accuracy: npt.ArrayLike, size: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the indices of the points that no other dominates, smallest size first.

    A point dominates another if it is at least as accurate and at most as large, and better in one of the two. Of
    identical points only the first is returned. Points with a NaN are ignored.

    Args:
        accuracy: larger is better, shape (n,).
        size: smaller is better, in bytes, shape (n,).
    """
    value: npt.NDArray[Any] = np.asarray(accuracy, dtype=np.float64)
    cost: npt.NDArray[Any] = np.asarray(size, dtype=np.float64)
    if value.shape != cost.shape or value.ndim != 1:
        raise ValueError(f"accuracy and size must be (n,) both, got {value.shape} and {cost.shape}")
    usable = np.flatnonzero(~(np.isnan(value) | np.isnan(cost)))
    order = usable[np.lexsort((usable, -value[usable], cost[usable]))]  # by size, the most accurate of a size first
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], value[order])))[:-1]
    front: npt.NDArray[np.int64] = order[value[order] > best_before].astype(np.int64)
    return front


def dominated_area(accuracy: npt.ArrayLike, size: npt.ArrayLike, floor: float, limit: float) -> float:
    """Return the area that the points dominate, bounded by the reference point (`floor`, `limit`).

    This is the exact hypervolume indicator of Zitzler and Thiele (1999) for two objectives: the integral, over sizes up
    to `limit`, of the best accuracy above `floor` that is attained within a size.

    Args:
        accuracy: larger is better, shape (n,).
        size: smaller is better, on any scale, shape (n,); points over the limit contribute nothing.
        floor: accuracy above which a point contributes.
        limit: maximum size, on the scale of `size`.
    """
    front = pareto_front(accuracy, size)
    edges: npt.NDArray[Any] = np.append(np.asarray(size, dtype=np.float64)[front], limit)
    heights: npt.NDArray[Any] = np.maximum(np.asarray(accuracy, dtype=np.float64)[front] - floor, 0.0)
    return float(np.dot(heights, np.diff(np.minimum(edges, limit))))


def hypervolume(accuracy: npt.ArrayLike, size: npt.ArrayLike, limit: float, floor: float = 0.0) -> float:
    """Return `dominated_area` divided by `limit`: the best accuracy above `floor`, averaged over all sizes up to it.

    The result is between 0 and 1 for a floor of 0.

    Args:
        accuracy: shares in [0, 1], shape (n,).
        size: in bytes, shape (n,); points over the limit contribute nothing.
        limit: in bytes.
        floor: accuracy above which a point contributes, for example chance level.
    """
    return dominated_area(accuracy, size, floor, limit) / limit


def front_ranks(losses: Array) -> npt.NDArray[np.int64]:
    """Return the index of each point's front, 0 for non-dominated points.

    A point is in the first front that does not dominate it. If a front dominates it, so do all before, so that binary
    search finds it (X. Zhang, Y. Tian, R. Cheng, Y. Jin: "An efficient approach to nondominated sorting for
    evolutionary multiobjective optimization", IEEE TEVC 19(2), 2015). Tens of thousands of trials are ranked during
    training, at every rung again: with up to three objectives a comparison with a front is a binary search, too.

    Args:
        losses: shape (n_points, n_objectives), smaller is better.
    """
    order = np.lexsort(losses.T[::-1])  # dominating points come before dominated ones
    points = losses[order]
    fronts: list[_Front] = []
    kind: type[_Front] = _Members
    if losses.shape[1] <= 3:
        kind = _Staircase
        points = np.pad(points, ((0, 0), (0, 3 - losses.shape[1])))
    ranks = []
    for point in points.tolist():
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if fronts[middle].dominates(point) else (low, middle)
        if low == len(fronts):
            fronts.append(kind())
        fronts[low].add(point)
        ranks.append(low)
    result = np.empty(len(losses), dtype=np.int64)
    result[order] = ranks
    return result


class _Front(Protocol):
    """Points of a front, in the order in which they are sorted."""

    def dominates(self, point: list[float]) -> bool:
        """Return whether one of the points is nowhere larger than a later one, and somewhere smaller."""

    def add(self, point: list[float]) -> None:
        """Add a point that comes after all others and that none of them dominates."""


class _Members:
    """A front with any number of objectives."""

    def __init__(self) -> None:
        self._points, self._n = np.empty((0, 0)), 0

    def dominates(self, point: list[float]) -> bool:
        """Compare with every point."""
        points = self._points[: self._n]
        return bool((points[(points <= point).all(axis=1)] < point).any())

    def add(self, point: list[float]) -> None:
        """Add a point; the room for them doubles."""
        if self._n == len(self._points):
            self._points = np.resize(self._points if self._n else np.array([point]), (2 * self._n + 8, len(point)))
        self._points[self._n] = point
        self._n += 1


class _Staircase:
    """A front with three objectives (x, y, z).

    No x so far is larger than that of a later point, so that y and z decide. Kept are the points that no other has
    smaller values of both than: their y increases and their z decreases, like a staircase.
    """

    def __init__(self) -> None:
        self._x: list[float] = []
        self._y: list[float] = []
        self._z: list[float] = []

    def dominates(self, point: list[float]) -> bool:
        """Compare with one point: of those whose y is no larger, the one with the smallest z."""
        x, y, z = point
        step = bisect_right(self._y, y) - 1
        return step >= 0 and (self._z[step], self._y[step], self._x[step]) < (z, y, x)

    def add(self, point: list[float]) -> None:
        """Add a point in the place of those that have no smaller y and z."""
        x, y, z = point
        first = last = bisect_left(self._y, y)
        while last < len(self._y) and self._z[last] >= z:
            last += 1
        self._x[first:last], self._y[first:last], self._z[first:last] = [x], [y], [z]


def crowding_distances(losses: Array) -> Array:
    """Return the crowding distance of each point of a front, infinite at the ends.

    The crowding distance is the sum over objectives of the distance between the two neighbours, relative to the extent
    of the front.

    Args:
        losses: shape (n_points, n_objectives).
    """
    distances = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        ends = column[order]
        extent = ends[-1] - ends[0]
        distances[order[[0, -1]]] = np.inf
        if extent > 0:
            distances[order[1:-1]] += (ends[2:] - ends[:-2]) / extent
    return distances
