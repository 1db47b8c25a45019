"""Pareto fronts: non-dominated points, ranks of fronts, crowding distances and hypervolume."""

from __future__ import annotations

from typing import Any

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

    Memory is linear in the number of points, so that thousands of trials can be ranked during training.

    Args:
        losses: shape (n_points, n_objectives), smaller is better.
    """
    order = np.lexsort(losses.T[::-1])  # dominating points come before dominated ones
    points, ranks = losses[order], np.zeros(len(losses), dtype=np.int64)
    for index in range(1, len(points)):
        point, before = points[index], points[:index]
        dominators = (before <= point).all(axis=1) & (before < point).any(axis=1)
        ranks[index] = (ranks[:index][dominators] + 1).max(initial=0)
    result = np.empty_like(ranks)
    result[order] = ranks
    return result


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
