"""Survey of a space under the limits, before anything is trained: every candidate's size is a closed form."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from data_prep.errors import ConfigError
from data_prep.progress import ProgressCallback
from data_prep.schema import canonical_json
from search.space.knobs import Params
from search.space.sizing import Assess, Sizing
from search.space.space import Space

MAX_EXACT = 200_000
"""Spaces of up to this many points are enumerated."""
N_SAMPLE = 10_000
"""Points drawn at random from a larger one."""
PROGRESS_EVERY = 500
"""Points between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A point with its size and cost."""

    params: Params
    """The point."""
    sizing: Sizing
    """Its size and cost."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts of a space, and its smallest and largest candidate."""

    n_points: int | None
    """Points of the space; None if it is infinite."""
    n_seen: int
    """Points surveyed: all, or a sample."""
    n_candidates: int | None
    """Distinct candidates among the points; None for a sample."""
    n_feasible: int
    """Surveyed points that fit."""
    n_feasible_candidates: int | None
    """Distinct candidates that fit; None for a sample."""
    smallest: Sized | None
    """The candidate with the fewest weight bytes that fits; None if none does."""
    largest: Sized | None
    """The candidate with the most weight bytes that fits; None if none does."""

    @property
    def is_exact(self) -> bool:
        """Whether every point was surveyed."""
        return self.n_seen == self.n_points

    @property
    def share(self) -> float:
        """Share of the surveyed points that fit, 0 to 1."""
        return self.n_feasible / self.n_seen

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share; the share itself, twice, if every point was surveyed.

        Wilson's score interval (Wilson, 1927, "Probable inference, the law of succession, and statistical inference").
        """
        if self.is_exact:
            return self.share, self.share
        from scipy.stats import binomtest  # takes half a second to import

        found = binomtest(self.n_feasible, self.n_seen).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)


def survey(
    space: Space,
    assess: Assess,
    *,
    max_exact: int = MAX_EXACT,
    n_sample: int = N_SAMPLE,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> Survey:
    """Return the counts of `space`, and its smallest and largest candidate that fit.

    Args:
        space: to survey.
        assess: returns the size and cost of a point, and whether it fits.
        max_exact: spaces of up to this many points are enumerated.
        n_sample: points drawn from a larger one. Its smallest and largest candidates are then found by local search,
            from the largest one drawn upwards.
        seed: random seed of the sample.
        on_progress: called with (points seen, points to see).
    """
    exact = space.size <= max_exact
    n_seen = int(space.size) if exact else n_sample
    rng = np.random.default_rng(seed)
    points: Iterable[Params] = space.points() if exact else (space.draw(rng) for _ in range(n_sample))
    seen, fitting = set(), set()
    n_feasible = 0
    smallest: Sized | None = None
    largest: Sized | None = None
    for number, params in enumerate(islice(points, n_seen)):
        sizing = assess(params)
        name = _identity(space, params) if exact else None
        seen.add(name)
        if sizing.feasible:
            n_feasible += 1
            fitting.add(name)
            if smallest is None or sizing.weight_bytes < smallest.sizing.weight_bytes:
                smallest = Sized(params, sizing)
            if largest is None or sizing.weight_bytes > largest.sizing.weight_bytes:
                largest = Sized(params, sizing)
        if on_progress is not None and (number + 1) % PROGRESS_EVERY == 0:
            on_progress(number + 1, n_seen)
    if not exact:
        smallest, largest = _beyond_sample(space, assess, smallest, largest)
    return Survey(
        n_points=None if space.size == math.inf else int(space.size),
        n_seen=n_seen,
        n_candidates=len(seen - {None}) if exact else None,
        n_feasible=n_feasible,
        n_feasible_candidates=len(fitting) if exact else None,
        smallest=smallest,
        largest=largest,
    )


def _beyond_sample(
    space: Space, assess: Assess, smallest: Sized | None, largest: Sized | None
) -> tuple[Sized | None, Sized | None]:
    """Return the smallest and largest candidate that local search finds beyond those drawn."""
    least = space.smallest()
    sizing = assess(least)
    if sizing.feasible and (smallest is None or sizing.weight_bytes <= smallest.sizing.weight_bytes):
        smallest = Sized(least, sizing)
    return smallest, None if smallest is None else _climbed(space, assess, largest or smallest)


def _climbed(space: Space, assess: Assess, start: Sized) -> Sized:
    """Return a candidate that fits and has no larger neighbour that fits, reached from `start` by ascent."""
    while True:
        sizings = ((params, assess(params)) for params in space.neighbours(start.params))
        fits = [Sized(params, sizing) for params, sizing in sizings if sizing.feasible]
        best = max([start, *fits], key=lambda sized: sized.sizing.weight_bytes)
        if best.sizing.weight_bytes == start.sizing.weight_bytes:
            return start
        start = best


def _identity(space: Space, params: Params) -> str | None:
    """Return a text that is equal for equal candidates; None if the point is not a valid network."""
    try:
        settings = space.settings(params)
    except ConfigError:
        return None
    changes = canonical_json([settings.train_overrides, settings.reader_overrides])
    return f"{settings.model.model_dump_json()}{changes}{settings.mode}"
