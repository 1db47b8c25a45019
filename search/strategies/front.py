"""The strategy `front`: train next what is expected to push the front out most.

What a candidate weighs is known to the byte before it is trained; only its score must be guessed. A Gaussian process
over the points (and their sizes) guesses it, from all trials at all rungs; the expected growth of the front's
hypervolume then has a closed form (search.strategies.improvement), and of the points that fit the one with the largest
is proposed. Points in training count as if they had come to what is guessed of them, so that parallel trials differ;
failed ones as if they had come to the worst of all, so that what diverges is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from search.space.space import Params
from search.strategies.base import History, KnownPoint
from search.strategies.estimates import at_last_rung
from search.strategies.improvement import front_improvement
from search.strategies.surrogate import GaussianProcess
from search.strategies.tpe import repair

Array = npt.NDArray[np.float64]

MAX_POOL = 1000
"""Points that the search draws once and chooses from; smaller spaces are taken whole."""
MAX_POOL_DRAWS = 3000
"""Draws in looking for them."""
N_REPAIRED = 50
"""Of the points over the limit, so many are shrunk until they fit: what fits may be a small part of the space."""
N_FRESH = 100
"""Draws for each proposal, beside those."""
N_PARENTS = 6
"""Trials, the best by front and crowding, whose neighbours are looked at too."""
MAX_NEIGHBOURS = 150
"""Neighbours of theirs, in all."""
MAX_TRAINED = 200
"""Trials that the model learns from: the latest."""
N_STARTUP_DRAWS = 8
"""Points drawn for each of the first trials: of those the one farthest in size from what is trained."""
ACCURATE_EVERY = 2
"""Of so many proposals, one looks for the best score inside the limit alone, whatever it weighs."""


class FrontStrategy:
    """Proposes by expected hypervolume improvement with known costs."""

    def __init__(self) -> None:
        self._pool: dict[str, KnownPoint] | None = None

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return the new point that fits and is expected to push the front out most."""
        if len(history.known) < history.n_startup or len(history.evaluated) < 2:
            return _spread(history, rng)
        pool = self._new_points(history, rng)
        if not pool:
            return None
        with _one_thread():
            return self._best(history, pool)

    def _best(self, history: History, pool: Sequence[KnownPoint]) -> Params:
        """Return the point of `pool` that is expected to push the front out most."""
        evaluated = history.evaluated[-MAX_TRAINED:]
        failed = [point for point in history.known if point.has_failed][-MAX_TRAINED:]
        losses, variances = at_last_rung(evaluated, history.objectives)
        losses = np.append(losses, np.full(len(failed), losses.max()))
        variances = np.append(variances, np.zeros(len(failed)))
        model = GaussianProcess(_features(history, [*evaluated, *failed]), losses, variances)
        known = [point for point in history.known if not point.has_failed][-MAX_TRAINED:]
        guessed, _ = model.predict(_features(history, known))
        here = np.array([point.is_here for point in known])
        costs, known_costs = _costs(history, pool), _costs(history, known)
        if len(history.known) % ACCURATE_EVERY == 0:
            costs, known_costs = costs[:, :0], known_costs[:, :0]
        mean, deviation = model.predict(_features(history, pool))
        limits = np.maximum(costs.max(axis=0), known_costs.max(axis=0))
        growth = front_improvement(
            mean, deviation, costs, guessed[here], known_costs[here], float(losses.max()), limits
        )
        return pool[int(growth.argmax())].params

    def _new_points(self, history: History, rng: np.random.Generator) -> list[KnownPoint]:
        """Return new points that fit: of the pool, drawn now, and near the best trials."""
        if self._pool is None:
            self._pool = {history.key_of(point.params): point for point in _drawn_once(history)}
        found = dict(self._pool)
        if history.space.size > MAX_POOL:
            drawn = [history.space.draw(rng) for _ in range(N_FRESH)]
            for params in drawn + _neighbours(history, rng):
                sizing = history.assess(params)
                if sizing.feasible:
                    found[history.key_of(params)] = KnownPoint(params, sizing)
        return [point for key, point in found.items() if key not in history.seen]


@cache
def _linear_algebra() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 - only libraries that are loaded are found

    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """Keep linear algebra to one thread: matrices are small, and threads that wait for processors which trainings hold
    cost ten times what they save."""
    limited: AbstractContextManager[object] = _linear_algebra().limit(limits=1)
    return limited


def _spread(history: History, rng: np.random.Generator) -> Params | None:
    """Return, of some points drawn at random, the one whose size is farthest from those trained."""
    drawn = [history.space.draw(rng) for _ in range(N_STARTUP_DRAWS)]
    fitting = [params for params in drawn if history.fits(params) and history.is_new(params)]
    if not fitting:
        return None
    trained = np.log([max(1, point.sizing.weight_bytes) for point in history.known] or [1])
    distances = [np.abs(np.log(max(1, history.assess(p).weight_bytes)) - trained).min() for p in fitting]
    return fitting[int(np.argmax(distances))]


def _drawn_once(history: History) -> list[KnownPoint]:
    """Return points that fit, all of a small space; of a large one drawn ones, and what some others shrink to."""
    space = history.space
    if space.size <= MAX_POOL:
        return [KnownPoint(p, sizing) for p in space.points() if (sizing := history.assess(p)).feasible]
    rng = np.random.default_rng(history.seed)
    pool: list[KnownPoint] = []
    n_repaired = 0
    for _ in range(MAX_POOL_DRAWS):
        params: Params | None = space.draw(rng)
        if params is not None and not history.assess(params).feasible and n_repaired < N_REPAIRED:
            params = repair(history, params)
            n_repaired += 1
        if params is not None and (sizing := history.assess(params)).feasible:
            pool.append(KnownPoint(params, sizing))
        if len(pool) == MAX_POOL:
            break
    return pool


def _neighbours(history: History, rng: np.random.Generator) -> list[Params]:
    """Return points that differ from one of the best trials in one knob."""
    evaluated = [point for point in history.evaluated[-MAX_TRAINED:] if point.is_here]
    values = {index: point.values[max(point.values)] for index, point in enumerate(evaluated)}
    best = history.objectives.ranked(values)[:N_PARENTS]
    near = [params for index in best for params in history.space.neighbours(evaluated[index].params)]
    return [near[index] for index in rng.permutation(len(near))[:MAX_NEIGHBOURS]]


def _costs(history: History, points: Sequence[KnownPoint]) -> Array:
    names = history.objectives.names[1:]
    return np.array([[float(getattr(point.sizing, name)) for name in names] for point in points])


def _features(history: History, points: Sequence[KnownPoint]) -> Array:
    """Return what the model sees of points: every knob, and the logarithms of size and cost."""
    return np.array([_features_of(history, point) for point in points])


def _features_of(history: History, point: KnownPoint) -> Array:
    if point.features is None:
        sizes = np.log([max(1, point.sizing.weight_bytes), max(1, point.sizing.macs)])
        point.features = np.concatenate([history.space.features(point.params), sizes])
    return point.features
