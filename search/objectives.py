"""What a search compares candidates by: a score on validation against what the network costs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

Score = Literal["macro_accuracy", "log_loss"]
Cost = Literal["weight_bytes", "macs"]
Objective = Literal[Score, Cost]
SCORES: tuple[Score, ...] = get_args(Score)

TIE_WEIGHT = 1e-5
"""Share of log loss (at most 34.6 nats after clipping) in a score: less than one clip's weight in macro accuracy."""

Key = TypeVar("Key", bound=Hashable)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Value:
    """What a trial has come to at a rung."""

    macro_accuracy: float
    log_loss: float
    weight_bytes: int
    macs: int = 0


class Objectives:
    """The objectives of a search: one score first, then any number of costs.

    All are compared as losses, smaller is better: macro accuracy counts negatively, with log loss breaking its ties.
    """

    def __init__(self, names: Sequence[Objective] = ("macro_accuracy", "weight_bytes")) -> None:
        """Take the objectives' names.

        Raises:
            ValueError: unless the first is a score, the others are costs, and none stands twice.
        """
        if not names or names[0] not in SCORES or any(name in SCORES for name in names[1:]):
            raise ValueError(f"one score first ({' or '.join(SCORES)}), then costs; got {', '.join(names) or 'none'}")
        if len(set(names)) < len(names):
            raise ValueError(f"an objective stands twice: {', '.join(names)}")
        self.names = tuple(names)

    @property
    def score(self) -> Objectives:
        """The score alone."""
        return Objectives(self.names[:1])

    def losses(self, value: Value) -> tuple[float, ...]:
        """Return `value` as one loss for each objective."""
        return tuple(_loss(name, value) for name in self.names)

    def ranked(self, values: Mapping[Key, Value]) -> list[Key]:
        """Return the keys of `values`, best first.

        By front (no other dominates the first front's; without it none the second's, and so on), within a front by
        crowding distance, the loneliest first: NSGA-II's order (Deb et al., 2002), by which multi-objective successive
        halving promotes (Schmucker et al., 2021, "Multi-objective Asynchronous Successive Halving"). What agrees in
        both comes by score, then in the order of `values`.
        """
        keys = list(values)
        if not keys:
            return []
        losses = np.array([self.losses(values[key]) for key in keys])
        ranks = front_ranks(losses)
        distances = np.zeros(len(keys))
        for rank in range(int(ranks.max()) + 1):
            front = np.flatnonzero(ranks == rank)
            distances[front] = crowding_distances(losses[front])
        order = np.lexsort((losses[:, 0], -distances, ranks))
        return [keys[index] for index in order]


def _loss(name: Objective, value: Value) -> float:
    if name == "macro_accuracy":
        return TIE_WEIGHT * value.log_loss - value.macro_accuracy
    loss: Any = getattr(value, name)
    return float(loss)


def front_ranks(losses: Array) -> npt.NDArray[np.int64]:
    """Return the number of each point's front, 0 for those that no other dominates.

    Memory is linear in the points, so that thousands of trials can be ranked beside a training.

    Args:
        losses: shape (n_points, n_objectives), smaller is better.
    """
    order = np.lexsort(losses.T[::-1])  # whoever dominates a point stands before it
    points, ranks = losses[order], np.zeros(len(losses), dtype=np.int64)
    for index in range(1, len(points)):
        point, before = points[index], points[:index]
        dominators = (before <= point).all(axis=1) & (before < point).any(axis=1)
        ranks[index] = (ranks[:index][dominators] + 1).max(initial=0)
    result = np.empty_like(ranks)
    result[order] = ranks
    return result


def crowding_distances(losses: Array) -> Array:
    """Return how far each point of a front is from its neighbours, infinite at the ends.

    The sum over objectives of the distance between its two neighbours there, as a share of the front's extent.

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
