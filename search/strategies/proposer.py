"""Proposals under a hard limit: every trained point fits, and none is trained twice.

Optuna's own constraints are soft (points over the limit still get trained), and telling it FAIL until it proposes
something that fits need not end. So proposals come from a strategy (search/strategies) that knows what fits before
anything is trained, and are checked once more here; where it finds nothing, any new point that fits is drawn.

What is proposed depends on the seed and on what was entered and observed, in that order, and on nothing else: a
proposer that is told a ledger again goes on as one that was never interrupted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from results.ledger.events import EndState
from search.objectives import Objectives, Value
from search.space.sizing import Assess, Sizing
from search.space.space import Params, Space
from search.strategies import STRATEGIES, History, KnownPoint
from search.strategies.chance import draw_feasible


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point that fits and has not been trained."""

    params: Params
    sizing: Sizing


class Proposer:
    """A strategy behind the limit, and what has been trained so far."""

    def __init__(
        self,
        space: Space,
        assess: Assess,
        key_of: Callable[[Params], str],
        *,
        seed: int,
        n_startup: int = 8,
        strategy: str = "front",
        objectives: Objectives | None = None,
    ) -> None:
        """Begin with nothing known.

        Args:
            space: what is searched.
            assess: size and cost of a point; called before anything is trained.
            key_of: equal for points that would be the same training.
            seed: of all draws.
            n_startup: trials before the strategy's model of the space proposes.
            strategy: one of STRATEGIES.
            objectives: what candidates are compared by; macro accuracy and weight bytes where None.
        """
        self.space = space
        self._history = History(space, assess, key_of, objectives or Objectives(), n_startup=n_startup, seed=seed)
        self._strategy = STRATEGIES[strategy]()
        self._seed = seed
        self._queue: deque[Params] = deque()
        self._by_id: dict[str, KnownPoint] = {}

    @property
    def on_infeasible(self) -> Callable[[Params, Sizing], None]:
        """Told once about every proposal that is over the limit."""
        return self._history.on_infeasible

    @on_infeasible.setter
    def on_infeasible(self, tell: Callable[[Params, Sizing], None]) -> None:
        """Tell `tell` instead."""
        self._history.on_infeasible = tell

    def propose(self) -> Proposal | None:
        """Return the next point to train; None where none that fits and is new was found, in a small space anywhere."""
        history = self._history
        while self._queue:
            params = self._queue.popleft()
            if history.fits(params) and history.is_new(params):
                return self._proposal(params)
        rng = np.random.default_rng([self._seed, len(self._by_id)])
        chosen = self._strategy.propose(history, rng)
        if chosen is None or not history.assess(chosen).feasible or not history.is_new(chosen):
            chosen = draw_feasible(history, rng)
        return None if chosen is None else self._proposal(chosen)

    def queue(self, params: Params) -> None:
        """Propose a point before all others, if it fits and is new."""
        self._queue.append(params)

    def enter(self, trial_id: str, params: Params) -> None:
        """Enter a point that is, or was, trained under `trial_id`."""
        known = KnownPoint(params, self._history.assess(params))
        self._history.seen.add(self._history.key_of(params))
        self._history.known.append(known)
        self._by_id[trial_id] = known

    def observe(self, trial_id: str, epochs: int, value: Value) -> None:
        """Enter what a trial came to at a rung; one whose point the space has lost teaches nothing."""
        if trial_id in self._by_id:
            self._by_id[trial_id].values[epochs] = value

    def observe_elsewhere(self, params: Params, values: Mapping[int, Value]) -> None:
        """Learn from a trial of an earlier run on the same data; its point may still be trained here.

        Args:
            params: its point.
            values: {epochs: what it came to there}.
        """
        self._history.known.append(KnownPoint(params, self._history.assess(params), dict(values), is_here=False))

    def end(self, trial_id: str, state: EndState) -> None:
        """Enter how a trial ended."""
        if trial_id in self._by_id:
            self._by_id[trial_id].has_failed = state == "failed"

    def point_of(self, trial_id: str) -> Params | None:
        """Return the point of a trial, None where the space has lost it since."""
        return self._by_id[trial_id].params if trial_id in self._by_id else None

    def mark_seen(self, key: str) -> None:
        """Never propose what `key` stands for."""
        self._history.seen.add(key)

    def mark_infeasible(self, params: Params) -> None:
        """Don't tell about this point again."""
        self._history.mark_infeasible(params)

    def _proposal(self, params: Params) -> Proposal:
        return Proposal(params, self._history.assess(params))
