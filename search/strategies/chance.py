"""Draws at random: the strategy `random`, and what others fall back to."""

from __future__ import annotations

import numpy as np

from search.space.space import Params
from search.strategies.base import History

MAX_ASKS = 20
"""Draws over the limit that a proposal tells of."""
MAX_ENUMERATED = 100_000
"""Spaces of up to this many points are gone through one by one where draws find nothing new."""
MAX_DRAWS = 10_000
"""Draws in larger spaces before they count as exhausted."""


class RandomStrategy:
    """Draws every new point that fits with equal chance. Points over the limit are told of on the way."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point drawn at random, or None where the first few draws bring nothing."""
        for _ in range(MAX_ASKS):
            params = history.space.draw(rng)
            if history.fits(params) and history.is_new(params):
                return params
        return None


def draw_feasible(history: History, rng: np.random.Generator) -> Params | None:
    """Return a new point that fits, at random from all such; None where there is none, or it can't be found."""
    space = history.space
    if space.size > MAX_ENUMERATED:
        points = (space.draw(rng) for _ in range(MAX_DRAWS))
    else:
        points = (space.point(int(index)) for index in rng.permutation(int(space.size)))
    return next((p for p in points if history.assess(p).feasible and history.is_new(p)), None)
