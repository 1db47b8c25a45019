"""Our strategies, and rules without a model, as searchers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from search_simulator import simulate

from search.halving import HALVINGS, Decision
from search.objectives import Objectives, Value
from search.space.space import Params
from search.strategies.base import KnownPoint
from search.strategies.chance import RandomStrategy
from search.strategies.front import _neighbours, _spread
from search.strategies.proposer import Proposer

from .base import ETA, N_STARTUP, Problem, Rejecting, Searched

if TYPE_CHECKING:
    from search_task import Task

N_TRAININGS = 40
"""Epochs of the search before, in full trainings."""


class Ours:
    """A strategy of search.strategies behind the product's proposer."""

    def __init__(self, problem: Problem, seed: int, strategy: str) -> None:
        self._proposer = Proposer(
            problem.space, problem.sizing, problem.key_of, strategy=strategy, seed=seed, objectives=Objectives(),
            n_startup=N_STARTUP,
        )  # fmt: skip
        self._key_of = problem.key_of
        self._trial_ids: dict[str, str] = {}
        self._ids = itertools.count()

    def ask(self) -> Params | None:
        """Return the proposer's next point."""
        proposal = self._proposer.propose()
        if proposal is None:
            return None
        trial_id = self._trial_ids[self._key_of(proposal.params)] = str(next(self._ids))
        self._proposer.enter(trial_id, proposal.params)
        return proposal.params

    def tell(self, params: Params, epochs: int, value: Value, decision: Decision) -> None:
        """Enter a value."""
        self._proposer.observe(self._trial_ids[self._key_of(params)], epochs, value)

    @property
    def evaluated(self) -> Sequence[KnownPoint]:
        """The trials that have a value."""
        return self._proposer._history.evaluated


class AfterAnother(Ours):
    """`front` with `pareto`, after such a search of another public task, whose trials are a prior."""

    def __init__(self, problem: Task, seed: int) -> None:
        super().__init__(problem, seed, "front")
        other = problem.another()
        before = Ours(other, seed, "front")
        halving = HALVINGS["pareto"](other.epochs, ETA, Objectives())
        simulate(other, Searched(before, halving), n_workers=2, max_epochs=N_TRAININGS * other.epochs[-1])
        self._proposer.observe_search([(one.params, one.values) for one in before.evaluated])


class Spread(Rejecting):
    """Rule without a model: of random points that fit, the one whose size differs most from those trained."""

    def propose(self) -> Params:
        """Return a point."""
        return _spread(self.history, self.rng) or self.space.draw(self.rng)


class Neighbours(Rejecting):
    """Rule without a model: a random neighbour of one of the best trials."""

    def propose(self) -> Params:
        """Return a point; random ones at first."""
        if len(self.history.known) < self.n_startup or len(self.history.evaluated) < 2:
            return self._random()
        near = (p for p in _neighbours(self.history, self.rng) if self.history.fits(p) and self.history.is_new(p))
        return next(near, None) or self._random()

    def _random(self) -> Params:
        rng = np.random.default_rng(self.rng.integers(2**32))
        return RandomStrategy().propose(self.history, rng) or self.space.draw(rng)
