"""Size and cost of a point before it is built, and whether anything in a space fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_prep.errors import BudgetError
from search.space.space import Params, Space


@dataclass(frozen=True, slots=True)
class Sizing:
    """Estimated size and cost of a candidate, and whether it meets the rules."""

    feasible: bool
    """Whether the rules allow it to be trained."""
    weight_bytes: int
    """In the candidate's export mode."""
    limit: int | None
    """Bytes allowed; None if the rules do not limit bytes."""
    reason: str
    """Which limit is exceeded and by how much; empty if feasible."""
    nonzero_weight_bytes: int = 0
    """Most bytes of non-zero weights; fewer than `weight_bytes` with pruning."""
    n_params: int = 0
    """Number of parameters."""
    macs: int = 0
    """Multiply-accumulates per inference."""
    peak_activation_bytes: int = 0
    """Largest sum of activations held at the same time, float32."""


Assess = Callable[[Params], Sizing]


MAX_LOOKED_AT = 10_000
"""Points tried before no point of a space is assumed to fit."""


def require_feasible(space: Space, assess: Assess) -> None:
    """Raise BudgetError unless any point of `space` fits.

    The point with the fewest weights is tried first. As it may exceed another limit (MACs, activations) that other
    points meet, these are tried next: all points of a small space, a random sample of a large one.
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
