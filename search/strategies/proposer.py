"""Proposals under a hard limit: every trained point fits, and none is trained twice.

Optuna's constraints are soft: points over the limit are still trained, and rejecting them until Optuna proposes one
that fits may never end. So a strategy (search/strategies) proposes with sizes known before training, and its proposal
is checked here; if it has none, a random new point that fits is drawn.

Proposals depend only on the seed and the order of the points entered and values observed. So a proposer rebuilt from a
ledger makes the same proposals as one that was never interrupted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
    """The point."""
    sizing: Sizing
    """Its size and cost."""


class Proposer:
    """A strategy with a hard limit, and the trials so far."""

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
        """Create a proposer without trials.

        Args:
            space: the search space.
            assess: returns size and cost of a point.
            key_of: returns the same key for points with the same training.
            seed: random seed of all draws.
            n_startup: trials before the strategy's model proposes.
            strategy: one of STRATEGIES.
            objectives: by which candidates are compared; None means macro accuracy and weight bytes.
        """
        self.space = space
        self._history = History(space, assess, key_of, objectives or Objectives(), n_startup=n_startup, seed=seed)
        self._strategy = STRATEGIES[strategy]()
        self._seed = seed
        self._queue: deque[Params] = deque()
        self._by_id: dict[str, KnownPoint] = {}

    @property
    def on_infeasible(self) -> Callable[[Params, Sizing], None]:
        """Called once for every proposal over the limit."""
        return self._history.on_infeasible

    @on_infeasible.setter
    def on_infeasible(self, callback: Callable[[Params, Sizing], None]) -> None:
        """Call `callback` from now on."""
        self._history.on_infeasible = callback

    def propose(self) -> Proposal | None:
        """Return the next point to train; None if no point that fits and is new was found."""
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
        """Propose `params` before all others, if it fits and is new."""
        self._queue.append(params)

    def enter(self, trial_id: str, params: Params) -> None:
        """Enter the point of a trial."""
        known = KnownPoint(params, self._history.assess(params))
        self._history.seen.add(self._history.key_of(params))
        self._history.known.append(known)
        self._by_id[trial_id] = known

    def observe(self, trial_id: str, epochs: int, value: Value) -> None:
        """Enter a trial's value at a rung; ignored if its point is no longer in the space."""
        if trial_id in self._by_id:
            self._by_id[trial_id].values[epochs] = value

    def observe_elsewhere(self, params: Params, values: Mapping[int, Value]) -> None:
        """Enter a trial of an earlier run on the same data; its point may still be proposed here.

        Args:
            params: its point.
            values: {epochs: value measured there}.
        """
        self._history.known.append(KnownPoint(params, self._history.assess(params), dict(values), is_here=False))

    def observe_search(self, trials: Sequence[tuple[Params, Mapping[int, Value]]]) -> None:
        """Enter the trials of a search of other data or with other settings, from which `front` makes a prior.

        Args:
            trials: points of this space and {epochs: value measured there}.
        """
        assess = self._history.assess
        self._history.elsewhere.append([KnownPoint(params, assess(params), dict(values)) for params, values in trials])

    def end(self, trial_id: str, state: EndState) -> None:
        """Enter the end of a trial."""
        if trial_id in self._by_id:
            self._by_id[trial_id].has_failed = state == "failed"

    def point_of(self, trial_id: str) -> Params | None:
        """Return the point of a trial; None if it is no longer in the space."""
        return self._by_id[trial_id].params if trial_id in self._by_id else None

    def mark_seen(self, key: str) -> None:
        """Never propose a point with this key."""
        self._history.seen.add(key)

    def mark_infeasible(self, params: Params) -> None:
        """Do not call `on_infeasible` for this point."""
        self._history.mark_infeasible(params)

    def _proposal(self, params: Params) -> Proposal:
        return Proposal(params, self._history.assess(params))
