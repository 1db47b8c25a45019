"""The strategy `front`: propose the point with the largest expected improvement of the Pareto front.

The size of a candidate is known exactly before it is trained; only its score is uncertain. A Gaussian process over
points and their sizes predicts it, from all trials at all rungs. The expected growth of the front's hypervolume then
has a closed form (search.strategies.improvement), and is maximized over points that fit: a pool first, then rounds of
random points ever nearer to the best. Points in training count with their predicted score, so that parallel trials
differ; failed ones with the worst, so that diverging settings are avoided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from search.space.space import Params
from search.strategies.base import History, KnownPoint
from search.strategies.estimates import at_last_rung
from search.strategies.improvement import front_improvement
from search.strategies.prior import Prior, slope
from search.strategies.surrogate import GaussianProcess
from search.strategies.tpe import repair

Array = npt.NDArray[np.float64]
Predict = Callable[[Sequence[KnownPoint]], tuple[Array, Array]]
"""Returns mean and standard deviation of the losses of points."""

MAX_POOL = 1000
"""Points of the pool that is drawn once per search; smaller spaces are used whole."""
MAX_POOL_DRAWS = 3000
"""Most draws to fill the pool."""
N_REPAIRED = 50
"""Draws over the limit that are shrunk until they fit, as only a small share of a space may fit."""
N_FRESH = 100
"""Further points drawn for each proposal."""
N_PARENTS = 6
"""Best trials, by front and crowding, whose neighbours are considered."""
MAX_NEIGHBOURS = 150
"""Most neighbours considered, in total."""
MAX_TRAINED = 200
"""Latest trials that the model is fitted to."""
N_STARTUP_DRAWS = 8
"""Points drawn for each of the first trials; the one that differs most in size from those trained is used."""
N_REFINED = 5
"""Best points so far that each round of the maximization goes out from."""
N_NEAR = 60
"""Points drawn near them in each round."""
DISTANCES = (0.1, 0.05, 0.025)
"""How far they are from them in each round (`Space.near`)."""
ACCURATE_EVERY = 4
"""One in this many proposals maximizes the score alone, within the limits."""


class FrontStrategy:
    """Proposes by expected hypervolume improvement with known costs."""

    def __init__(self) -> None:
        self._pool: dict[str, KnownPoint] | None = None
        self._prior: Prior | None = None

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return the point with the largest expected improvement; None if no new point that fits was found."""
        if self._prior is None:
            self._prior = Prior(history.elsewhere, history.objectives, lambda points: _features(history, points))
        is_early = len(history.known) < history.n_startup or len(history.evaluated) < 2
        if is_early and (not self._prior or len(history.known) % 2):
            return _spread(history, rng)
        pool = self._new_points(history, rng)
        if not pool:
            return None
        with _one_thread():
            growth_of = _growth(history, pool, (_expected if is_early else _fitted)(history, self._prior))
            if history.space.size <= MAX_POOL:
                return pool[int(growth_of(pool).argmax())].params
            return _refined(history, pool, growth_of, rng).params

    def _new_points(self, history: History, rng: np.random.Generator) -> list[KnownPoint]:
        """Return new points that fit: from the pool, drawn now, and neighbours of the best trials."""
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


def _expected(history: History, prior: Prior) -> Predict:
    """Return what earlier searches say alone, before there are trials to fit a model to."""
    return partial(prior.predict, reference=history.objectives.chance(history.space.n_classes))


def _fitted(history: History, prior: Prior) -> Predict:
    """Return a model of the trials so far, as deviations from what earlier searches say."""
    evaluated = history.evaluated[-MAX_TRAINED:]
    failed = [point for point in history.known if point.has_failed][-MAX_TRAINED:]
    losses, variances = at_last_rung(evaluated, history.objectives)
    losses = np.append(losses, np.full(len(failed), losses.max()))
    variances = np.append(variances, np.zeros(len(failed)))
    trained = [*evaluated, *failed]
    if not prior:
        plain = GaussianProcess(_features(history, trained), losses, variances)
        return lambda points: plain.predict(_features(history, points))
    standing = prior.standing(trained)
    believed = slope(standing, losses)
    model = GaussianProcess(_features(history, trained), losses - believed * standing, variances)

    def predict(points: Sequence[KnownPoint]) -> tuple[Array, Array]:
        """Return mean and standard deviation of the losses of points."""
        mean, deviation = model.predict(_features(history, points))
        return mean + believed * prior.standing(points), deviation

    return predict


def _growth(history: History, pool: Sequence[KnownPoint], predict: Predict) -> Callable[[Sequence[KnownPoint]], Array]:
    """Return a function that returns the expected improvement by each of some points; `pool` has the costliest."""
    known = [point for point in history.known if not point.has_failed][-MAX_TRAINED:]
    guessed = predict(known)[0] if known else np.zeros(0)
    is_known = np.array([point.is_here for point in known], dtype=bool)
    known_costs = _costs(history, known)
    limits = np.vstack([_costs(history, pool), known_costs]).max(axis=0)
    n_costs = 0 if len(history.known) % ACCURATE_EVERY == 0 else len(limits)
    chance = history.objectives.chance(history.space.n_classes)

    def growth_of(points: Sequence[KnownPoint]) -> Array:
        """Return the expected growth of the front's hypervolume, shape (n_points,)."""
        mean, deviation = predict(points)
        costs, front = _costs(history, points)[:, :n_costs], known_costs[is_known, :n_costs]
        return front_improvement(mean, deviation, costs, guessed[is_known], front, chance, limits[:n_costs])

    return growth_of


def _refined(
    history: History,
    pool: Sequence[KnownPoint],
    growth_of: Callable[[Sequence[KnownPoint]], Array],
    rng: np.random.Generator,
) -> KnownPoint:
    """Return the point with the largest expected improvement, searched from the best of `pool` on."""
    best, growth = list(pool), growth_of(pool)
    for distance in DISTANCES:
        order = np.argsort(-growth, kind="stable")[:N_REFINED]
        best, growth = [best[i] for i in order], growth[order]
        near = {history.key_of(point.params): point for point in best}
        for number in range(N_NEAR):
            params = history.space.near(best[number % len(best)].params, distance, rng)
            sizing = history.assess(params)
            if sizing.feasible and (key := history.key_of(params)) not in history.seen:
                near.setdefault(key, KnownPoint(params, sizing))
        new = list(near.values())[len(best) :]
        if new:
            best, growth = [*best, *new], np.append(growth, growth_of(new))
    return best[int(growth.argmax())]


@cache
def _linear_algebra() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 - the controller finds only libraries that are loaded

    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """Limit linear algebra to one thread: matrices are small, and with trainings on all processors further threads
    slow it down tenfold."""
    limited: AbstractContextManager[object] = _linear_algebra().limit(limits=1)
    return limited


def _spread(history: History, rng: np.random.Generator) -> Params | None:
    """Return, of some random points, the one whose log size is farthest from those trained; None if none fits."""
    drawn = [history.space.draw(rng) for _ in range(N_STARTUP_DRAWS)]
    fitting = [params for params in drawn if history.fits(params) and history.is_new(params)]
    if not fitting:
        return None
    trained = np.log([max(1, point.sizing.weight_bytes) for point in history.known] or [1])
    distances = [np.abs(np.log(max(1, history.assess(p).weight_bytes)) - trained).min() for p in fitting]
    return fitting[int(np.argmax(distances))]


def _drawn_once(history: History) -> list[KnownPoint]:
    """Return points that fit: all of a small space; of a large one random points, some of them shrunk to fit."""
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
    """Return random points that differ from one of the best trials in one knob."""
    evaluated = [point for point in history.evaluated[-MAX_TRAINED:] if point.is_here]
    values = {index: point.values[max(point.values)] for index, point in enumerate(evaluated)}
    best = history.objectives.ranked(values)[:N_PARENTS]
    near = [params for index in best for params in history.space.neighbours(evaluated[index].params)]
    return [near[index] for index in rng.permutation(len(near))[:MAX_NEIGHBOURS]]


def _costs(history: History, points: Sequence[KnownPoint]) -> Array:
    names = history.objectives.names[1:]
    return np.array([[float(getattr(point.sizing, name)) for name in names] for point in points]).reshape(
        -1, len(names)
    )


def _features(history: History, points: Sequence[KnownPoint]) -> Array:
    """Return the model's features, shape (n_points, n_features): every knob, and log size and log MACs."""
    return np.array([_features_of(history, point) for point in points])


def _features_of(history: History, point: KnownPoint) -> Array:
    if point.features is None:
        sizes = np.log([max(1, point.sizing.weight_bytes), max(1, point.sizing.macs)])
        point.features = np.concatenate([history.space.features(point.params), sizes])
    return point.features
