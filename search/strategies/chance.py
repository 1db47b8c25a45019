"""Random proposals: the strategy `random`, and the fallback of the others."""

from __future__ import annotations

import numpy as np

from search.space.space import Params
from search.strategies.base import History

MAX_ASKS = 20
"""Draws per proposal before the fallback."""
MAX_ENUMERATED = 100_000
"""Spaces of up to this many points are enumerated by the fallback."""
MAX_DRAWS = 10_000
"""Draws in larger spaces before the space counts as exhausted."""


class RandomStrategy:
    """Draws uniformly from the new points that fit. Points drawn over the limit are reported as infeasible."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a random point; None if `MAX_ASKS` draws give none that fits and is new."""
        for _ in range(MAX_ASKS):
            params = history.space.draw(rng)
            if history.fits(params) and history.is_new(params):
                return params
        return None


def draw_feasible(history: History, rng: np.random.Generator) -> Params | None:
    """Return a random point that fits and is new; None if there is none, or none was found in a large space."""
    space = history.space
    if space.size > MAX_ENUMERATED:
        points = (space.draw(rng) for _ in range(MAX_DRAWS))
    else:
        points = (space.point(int(index)) for index in rng.permutation(int(space.size)))
    return next((p for p in points if history.assess(p).feasible and history.is_new(p)), None)
