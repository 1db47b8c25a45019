"""The objectives of a search: a validation score against the cost of the network."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from results.pareto import crowding_distances, front_ranks

Score = Literal["macro_accuracy", "log_loss"]
Cost = Literal["weight_bytes", "nonzero_weight_bytes", "macs"]
Objective = Literal[Score, Cost]
SCORES: tuple[Score, ...] = get_args(Score)

TIE_WEIGHT = 1e-5
"""Weight of log loss (at most 34.6 nats after clipping) in a score: below one clip's weight in macro accuracy."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Value:
    """What a trial measured at a rung."""

    macro_accuracy: float
    """On validation, 0 to 1."""
    log_loss: float
    """On validation, in nats."""
    weight_bytes: int
    """Of the exported file."""
    macs: int = 0
    """Multiply-accumulates per inference."""
    nonzero_weight_bytes: int = 0
    """Of the exported file, without the weights that are zero; 0 in older ledgers."""


class Objectives:
    """One score and any number of costs.

    All are compared as losses, smaller is better: macro accuracy is negated, and log loss breaks its ties.
    """

    def __init__(self, names: Sequence[Objective] = ("macro_accuracy", "weight_bytes")) -> None:
        """Check the objectives' names.

        Raises:
            ValueError: unless the first is a score, the others are costs, and all differ.
        """
        if not names or names[0] not in SCORES or any(name in SCORES for name in names[1:]):
            raise ValueError(f"one score first ({' or '.join(SCORES)}), then costs; got {', '.join(names) or 'none'}")
        if len(set(names)) < len(names):
            raise ValueError(f"objectives must differ, got {', '.join(names)}")
        self.names = tuple(names)

    @property
    def size(self) -> Literal["weight_bytes", "nonzero_weight_bytes"]:
        """The bytes that networks are compared by, also where they are no objective."""
        return "nonzero_weight_bytes" if "nonzero_weight_bytes" in self.names else "weight_bytes"

    @property
    def score(self) -> Objectives:
        """The score only."""
        return Objectives(self.names[:1])

    def losses(self, value: Value) -> tuple[float, ...]:
        """Return `value` as one loss per objective."""
        return tuple(_loss(name, value) for name in self.names)

    def chance(self, n_classes: int) -> float:
        """Return the score's loss of guessing among `n_classes` scenes with equal probabilities."""
        log_loss = math.log(n_classes)
        return self.score.losses(Value(macro_accuracy=1 / n_classes, log_loss=log_loss, weight_bytes=0))[0]

    def ranked(self, values: Mapping[Key, Value]) -> list[Key]:
        """Return the keys of `values`, best first.

        Sorted by front (no value dominates those of the first; without the first, none those of the second; and so on),
        within a front by decreasing crowding distance: the order of NSGA-II (Deb et al., 2002), by which
        multi-objective successive halving promotes (Schmucker et al., 2021, "Multi-objective Asynchronous Successive
        Halving"). Ties are sorted by score, then by the order of `values`.
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
