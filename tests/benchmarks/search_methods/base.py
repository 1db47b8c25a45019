"""The interface of the compared searchers, and what all are given: exact sizes before training, and our halving.

A searcher is asked for a point and told its values. `Searched` makes a search of it: a halving of ours decides at the
rungs which trials continue (`none`: all of them), exactly as in the product. `Rejecting` is the base of the peers: what
is proposed over the limit costs no epoch, and the peer proposes again.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from search.halving import Decision, Halving
from search.objectives import Objectives, Value
from search.space.sizing import Sizing
from search.space.space import Params, Space
from search.strategies import History, KnownPoint
from search.strategies.chance import draw_feasible
from search.strategies.estimates import at_last_rung

Array = npt.NDArray[np.float64]

ETA = 2
"""Reduction factor of our halving: the product's default."""
N_STARTUP = 8
"""Trials before a model proposes: as ours, and as many as YAHPO's space has dimensions and one more."""
MAX_ASKS = 20
"""Proposals over the limit, or made before, until a random point is taken."""
MAX_TRAINED = 200
"""Latest trials that a model is fitted to: as ours."""
MAX_REFUSED = 100
"""Latest refused proposals that a model is told."""


class Problem(Protocol):
    """What is searched: a task (search_task.py), or the table of trained networks."""

    @property
    def space(self) -> Space:
        """What is searched."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Of the rungs."""

    def key_of(self, params: Mapping[str, Any]) -> str:
        """Return a text that is the same for the same training."""

    def sizing(self, params: Mapping[str, Any]) -> Sizing:
        """Return the size of a point, and whether it is within the limit."""


class Searcher(Protocol):
    """Proposes points and learns from their values."""

    def ask(self) -> Params | None:
        """Return a point that is within the limit and was not returned before; None if there is none."""

    def tell(self, params: Params, epochs: int, value: Value, decision: Decision) -> None:
        """Take what a point measured.

        Args:
            params: as returned by `ask`.
            epochs: of the rung.
            value: score and cost there.
            decision: how its training goes on: "continue", "pause", "stop" or "finish".
        """


class Searched:
    """A searcher with a halving: a method of the simulator."""

    def __init__(self, searcher: Searcher, halving: Halving) -> None:
        self._searcher, self._halving = searcher, halving
        self._trials: dict[str, tuple[Params, int]] = {}
        self._ids = itertools.count(1)

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return a promoted trial, else a new one."""
        for trial_id in self._halving.promotable():
            self._halving.promote(trial_id)
            return trial_id, *self._trials[trial_id]
        params = self._searcher.ask()
        if params is None:
            return None
        trial_id = f"t{next(self._ids):04d}"
        self._trials[trial_id] = (params, 0)
        return trial_id, params, 0

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Tell halving and searcher; return whether the trial goes straight on."""
        params, _ = self._trials[trial_id]
        decision = self._halving.record(trial_id, rung, value)
        self._trials[trial_id] = (params, rung + 1)
        self._searcher.tell(params, self._halving.epochs[rung], value, decision)
        return decision == "continue"


class Rejecting(ABC):
    """A peer behind exact rejection.

    Args:
        problem: what is searched.
        seed: of all draws.
    """

    n_startup = N_STARTUP

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space, self.seed = problem.space, seed
        self.objectives = Objectives()
        self.history = History(
            problem.space, problem.sizing, problem.key_of, self.objectives, n_startup=self.n_startup, seed=seed
        )
        self.rng = np.random.default_rng(seed)
        self.n_refused = self.n_random = 0
        """Proposals over the limit, and asks that were answered with a random point after `MAX_ASKS` of them."""
        self._by_key: dict[str, KnownPoint] = {}

    @abstractmethod
    def propose(self) -> Params:
        """Return the peer's next point, whatever its size."""

    def refuse(self, params: Params, excess: float) -> None:  # noqa: B027 - most peers have nothing to learn from it
        """Learn that a point is not trained.

        Args:
            params: as proposed.
            excess: ln(its bytes / the limit), 0 or less if it was within the limit but proposed before.
        """

    def ask(self) -> Params | None:
        """Return the first proposal that is within the limit and new."""
        for _ in range(MAX_ASKS):
            params = self.propose()
            sizing = self.history.assess(params)
            if sizing.feasible and self.history.is_new(params):
                return self._entered(params)
            self.n_refused += not sizing.feasible
            self.refuse(params, excess(sizing))
        self.n_random += 1
        drawn = draw_feasible(self.history, self.rng)
        return None if drawn is None else self._entered(drawn)

    def tell(self, params: Params, epochs: int, value: Value, decision: Decision) -> None:
        """Enter a value."""
        self._by_key[self.history.key_of(params)].values[epochs] = value

    def _entered(self, params: Params) -> Params:
        point = KnownPoint(params, self.history.assess(params))
        key = self.history.key_of(params)
        self.history.seen.add(key)
        self.history.known.append(point)
        self._by_key[key] = point
        return params

    @property
    def trained(self) -> list[KnownPoint]:
        """The latest trials that have a value."""
        return list(self.history.evaluated[-MAX_TRAINED:])

    @property
    def pending(self) -> list[KnownPoint]:
        """Trials in training without a value."""
        return [point for point in self.history.known if not point.values]

    def losses(self, points: Sequence[KnownPoint]) -> Array:
        """Return the losses (score, bytes) that trials have at the last rung, estimated where they paused before.

        The estimate is ours (search.strategies.estimates). Shape (n, 2).
        """
        scores, _ = at_last_rung(points, self.objectives)
        sizes = [float(point.sizing.weight_bytes) for point in points]
        return np.column_stack([scores, sizes])

    @property
    def chance(self) -> float:
        """The score's loss of guessing."""
        return self.objectives.chance(self.space.n_classes)

    @property
    def limit(self) -> float:
        """Bytes allowed."""
        limit = self.history.assess(self.space.smallest()).limit
        assert limit is not None  # every problem here has one
        return float(limit)


def excess(sizing: Sizing) -> float:
    """Return ln(bytes / limit): above 0 for what is over the limit."""
    assert sizing.limit is not None
    return math.log(max(1, sizing.weight_bytes) / sizing.limit)
