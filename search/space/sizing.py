"""What a point weighs and costs before it is built, and whether anything in a space fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_prep.errors import BudgetError
from search.space.space import Params, Space


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a candidate weighs and costs before it is built, and whether the rules let it be trained."""

    feasible: bool
    weight_bytes: int
    limit: int | None
    """Bytes allowed, where the rules limit bytes."""
    reason: str
    """What is over and by how much; empty where it fits."""
    n_params: int = 0
    macs: int = 0
    peak_activation_bytes: int = 0


Assess = Callable[[Params], Sizing]


MAX_LOOKED_AT = 10_000
"""Points looked at before a space counts as holding nothing that fits."""


def require_feasible(space: Space, assess: Assess) -> None:
    """Raise BudgetError unless something in `space` fits.

    The smallest corner nearly always tells. What has the fewest weights may still cost more than another in what else
    is limited (MACs, activations), so where it doesn't fit, others are looked at, all of a small space.
    """
    smallest = space.smallest()
    sizing = assess(smallest)
    if sizing.feasible:
        return
    rng = np.random.default_rng(0)
    points = space.points() if space.size <= MAX_LOOKED_AT else (space.draw(rng) for _ in range(MAX_LOOKED_AT))
    if any(assess(params).feasible for params in points):
        return
    limit = "" if sizing.limit is None else f"; the budget is {sizing.limit:,}"
    raise BudgetError(
        f"nothing in the search space fits: the smallest candidate needs {sizing.weight_bytes:,} bytes of weights"
        f"{limit} ({sizing.reason}). Its knobs: {', '.join(f'{knob} {value}' for knob, value in smallest.items())}. "
        f"Add smaller choices of {', '.join(space.widths)} to `space`, or raise the limit under `rules`."
    )
