"""The interface of strategies: the history of a search, from which they propose the next point.

A strategy is stateless: its proposal depends only on the trials so far, the seed and the number of trials. So a resumed
search makes the same proposals as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from data_prep.errors import ConfigError
from data_prep.schema import canonical_json
from search.objectives import Objectives, Value
from search.space.sizing import Assess, Sizing
from search.space.space import Params, Space


@dataclass(slots=True)
class KnownPoint:
    """A point that is or was trained."""

    params: Params
    """The point."""
    sizing: Sizing
    """Its size and cost."""
    values: dict[int, Value] = field(default_factory=dict)
    """{epochs: value measured there}."""
    has_failed: bool = False
    """Whether its training has failed; its values are then ignored."""
    is_here: bool = True
    """False for a trial of another run: it informs models, but is not on this run's front."""
    features: npt.NDArray[np.float64] | None = None
    """Cached features for models of the space, shape (n_features,)."""

    @property
    def is_evaluated(self) -> bool:
        """Whether it has a value and has not failed."""
        return bool(self.values) and not self.has_failed


class History:
    """The space, its sizes and costs, and the trials so far: the input of a strategy.

    Args:
        space: the search space.
        assess: returns size and cost of a point.
        key_of: returns the same key for points with the same training.
        objectives: by which candidates are compared.
        n_startup: trials before a strategy's model proposes.
        seed: random seed of the search.
    """

    def __init__(
        self,
        space: Space,
        assess: Assess,
        key_of: Callable[[Params], str],
        objectives: Objectives,
        *,
        n_startup: int,
        seed: int,
    ) -> None:
        self.space = space
        self.objectives = objectives
        self.n_startup = n_startup
        self.seed = seed
        self.known: list[KnownPoint] = []
        """In the order in which they were entered."""
        self.elsewhere: list[list[KnownPoint]] = []
        """Trials of each earlier search of other data or with another recipe, which have values."""
        self.seen: set[str] = set()
        """Keys of points that must not be proposed again."""
        self.assess = assess
        self.key_of = key_of
        self.on_infeasible: Callable[[Params, Sizing], None] = lambda params, sizing: None
        self._infeasible: set[str] = set()

    @property
    def evaluated(self) -> Sequence[KnownPoint]:
        """The points that have a value and have not failed."""
        return [point for point in self.known if point.is_evaluated]

    def is_new(self, params: Params) -> bool:
        """Return whether no equal point was proposed before."""
        return self.key_of(params) not in self.seen

    def fits(self, params: Params) -> bool:
        """Return whether a point meets the limits; `on_infeasible` is called once for each one that does not."""
        sizing = self.assess(params)
        if not sizing.feasible:
            key = self._identity(params)
            if key not in self._infeasible:
                self._infeasible.add(key)
                self.on_infeasible(params, sizing)
        return sizing.feasible

    def mark_infeasible(self, params: Params) -> None:
        """Do not call `on_infeasible` for this point."""
        self._infeasible.add(self._identity(params))

    def _identity(self, params: Params) -> str:
        """Return a text that is equal for equal trainings; that of the params if the point is not a valid network."""
        try:
            return self.key_of(params)
        except ConfigError:
            return canonical_json(params)


class Strategy(Protocol):
    """A strategy for proposals."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point that fits and is new; None falls back to a random one.

        Args:
            history: the space and the trials so far.
            rng: generator that depends on the seed and the number of trials.
        """
