"""What searches of other data, or with another recipe, say about the points of a space: a prior that fades.

Scores of such trials are not comparable with those here, but often with one another. So of each earlier search a
Gaussian process predicts a point's loss, in standard deviations of that search's losses: its standing. The mean over
these searches, times a slope, is the mean of the model of the present search, which then describes only what deviates
from it. The slope is a regression of the present losses on the standing, shrunk to 1 as by a few trials: without
evidence the earlier searches are believed, and with every trial the present one more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from search.objectives import Objectives
from search.strategies.base import KnownPoint
from search.strategies.estimates import at_last_rung
from search.strategies.surrogate import GaussianProcess

Array = npt.NDArray[np.float64]

MIN_TRIALS = 8
"""Fewest trials of an earlier search from which a model is fitted."""
MAX_TRIALS = 200
"""Latest trials of an earlier search that its model is fitted to."""
N_BELIEVED = 4
"""The earlier searches count as much as so many trials of the present one."""
N_BELOW = 2.0
"""Standard deviations by which the mean loss is expected below that of a guess, at least."""
MAX_SLOPE = 2.0
"""Largest slope; the smallest is 0, as standings that mislead are ignored, not reversed."""


class Prior:
    """Models of earlier searches.

    Args:
        searches: trials of each, with values.
        objectives: of the present search.
        features: returns the features of points, shape (n, n_features).
    """

    def __init__(
        self,
        searches: Sequence[Sequence[KnownPoint]],
        objectives: Objectives,
        features: Callable[[Sequence[KnownPoint]], Array],
    ) -> None:
        self._features = features
        self._models: list[tuple[GaussianProcess, float, float]] = []
        for trials in searches:
            latest = trials[-MAX_TRIALS:]
            losses, variances = at_last_rung(latest, objectives)
            spread = float(losses.std())
            if len(latest) >= MIN_TRIALS and spread > 0:
                model = GaussianProcess(features(latest), losses, variances)
                self._models.append((model, float(losses.mean()), spread))

    def __bool__(self) -> bool:
        return bool(self._models)

    def standing(self, points: Sequence[KnownPoint]) -> Array:
        """Return the mean of the standings of points in the earlier searches, shape (n,); better ones are lower."""
        features = self._features(points)
        standings = [(model.predict(features)[0] - mean) / spread for model, mean, spread in self._models]
        return np.asarray(np.mean(standings, axis=0), dtype=np.float64)

    def predict(self, points: Sequence[KnownPoint], reference: float) -> tuple[Array, Array]:
        """Return losses expected before any trial, and their standard deviation, each of shape (n,).

        Args:
            points: n points.
            reference: loss of a guess here; losses of harder data are lowered, so that good standings stay below it.
        """
        level, spread = np.mean([(mean, spread) for _, mean, spread in self._models], axis=0)
        level = min(level, reference - N_BELOW * spread)
        return level + spread * self.standing(points), np.full(len(points), spread)


def slope(standing: Array, losses: Array) -> float:
    """Return by how much losses grow with the standing, in losses per standard deviation of an earlier search."""
    spread = float(losses.std())
    away = standing - standing.mean()
    covariance = float(away @ (losses - losses.mean())) + N_BELIEVED * spread
    return min(max(covariance / (float(away @ away) + N_BELIEVED), 0.0), MAX_SLOPE * spread)
