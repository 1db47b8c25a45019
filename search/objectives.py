"""What a search compares candidates by: a score on validation against what the network costs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from results.pareto import crowding_distances, front_ranks

Score = Literal["macro_accuracy", "log_loss"]
Cost = Literal["weight_bytes", "macs"]
Objective = Literal[Score, Cost]
SCORES: tuple[Score, ...] = get_args(Score)

TIE_WEIGHT = 1e-5
"""Share of log loss (at most 34.6 nats after clipping) in a score: less than one clip's weight in macro accuracy."""

Key = TypeVar("Key", bound=Hashable)


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
