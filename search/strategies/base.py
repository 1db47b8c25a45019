"""What a strategy of proposals is given, and what it gives.

A strategy holds no state: what it proposes depends on the trials so far and on random numbers that depend on the seed
and their number alone. So a search that is rebuilt from its ledger goes on with the very proposals of one that was
never interrupted.
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
    sizing: Sizing
    values: dict[int, Value] = field(default_factory=dict)
    """{epochs: what it came to there}."""
    has_failed: bool = False
    """Whether its training has failed; what it had come to before counts for nothing."""
    is_here: bool = True
    """False for a trial of another run: it teaches, but is not on this run's front."""
    features: npt.NDArray[np.float64] | None = None
    """What a model of the space sees of it, once one has asked."""

    @property
    def is_evaluated(self) -> bool:
        """Whether it has a value that counts."""
        return bool(self.values) and not self.has_failed


class History:
    """The points of a space, what they cost, and what was trained: all that a strategy sees.

    Args:
        space: what is searched.
        assess: size and cost of a point.
        key_of: equal for points that would be the same training.
        objectives: what candidates are compared by.
        n_startup: trials before the model of the space proposes.
        seed: of the search.
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
        self.seen: set[str] = set()
        """Keys of what must not be proposed."""
        self.assess = assess
        self.key_of = key_of
        self.on_infeasible: Callable[[Params, Sizing], None] = lambda params, sizing: None
        self._infeasible: set[str] = set()

    @property
    def evaluated(self) -> Sequence[KnownPoint]:
        """The points that have a value that counts."""
        return [point for point in self.known if point.is_evaluated]

    def is_new(self, params: Params) -> bool:
        """Return whether a point may be proposed as far as earlier ones are concerned."""
        return self.key_of(params) not in self.seen

    def fits(self, params: Params) -> bool:
        """Return whether a point that would be trained is inside the limits; tell of one that is not, once."""
        sizing = self.assess(params)
        if not sizing.feasible:
            key = self._identity(params)
            if key not in self._infeasible:
                self._infeasible.add(key)
                self.on_infeasible(params, sizing)
        return sizing.feasible

    def mark_infeasible(self, params: Params) -> None:
        """Don't tell of this point again."""
        self._infeasible.add(self._identity(params))

    def _identity(self, params: Params) -> str:
        """Return what is equal for points of one network; knobs that don't go together make none."""
        try:
            return self.key_of(params)
        except ConfigError:
            return canonical_json(params)


class Strategy(Protocol):
    """A way to propose."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point that fits and is new; None to leave it to chance.

        Args:
            history: the space and what is known.
            rng: depends on the seed and on how many trials have begun.
        """
