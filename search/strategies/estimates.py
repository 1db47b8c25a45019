"""Estimates of the loss that each trial would have at the last rung."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from search.objectives import Objectives
from search.strategies.base import KnownPoint

Array = npt.NDArray[np.float64]

MIN_PAIRS = 4
"""Trials needed at two rungs to fit a slope between them."""


def at_last_rung(known: Sequence[KnownPoint], objectives: Objectives) -> tuple[Array, Array]:
    """Return each trial's loss extrapolated to the highest rung that any trial has reached, and its variance.

    From rung to rung losses decrease and their spread shrinks. The step between two rungs is a regression line through
    the trials with values at both, its slope shrunk towards 1; its residual variance adds to the variance. A trial is
    extrapolated from the highest rung that it has reached.

    Args:
        known: n trials, each with at least one value.
        objectives: whose score is extrapolated.

    Returns:
        Losses and variances, each of shape (n,).
    """
    score = objectives.score
    losses = [{epochs: score.losses(value)[0] for epochs, value in trial.values.items()} for trial in known]
    rungs = sorted({epochs for of_trial in losses for epochs in of_trial})
    steps = [_step(losses, low, high) for low, high in pairwise(rungs)]
    carried, variances = [], []
    for of_trial in losses:
        top = max(of_trial)
        loss, variance = of_trial[top], 0.0
        for slope, offset, left_over in steps[rungs.index(top) :]:
            loss, variance = slope * loss + offset, slope**2 * variance + left_over
        carried.append(loss)
        variances.append(variance)
    return np.array(carried), np.array(variances)


def _step(losses: Sequence[dict[int, float]], low: int, high: int) -> tuple[float, float, float]:
    """Return slope, offset and residual variance of the line from the losses at one rung to those at a higher one."""
    pairs = np.array([(of_trial[low], of_trial[high]) for of_trial in losses if low in of_trial and high in of_trial])
    if not len(pairs):
        return 1.0, 0.0, 0.0
    x, y = pairs.T
    if len(pairs) < MIN_PAIRS:
        return 1.0, float((y - x).mean()), float(np.var(y - x))
    spread = np.var(x) * len(x)
    prior = np.var(x)  # as strong as one more trial with slope 1
    covariance = ((x - x.mean()) * (y - y.mean())).sum()
    slope = float((covariance + prior) / (spread + prior)) if spread > 0 else 1.0
    slope = min(1.0, max(0.1, slope))
    offset = float(y.mean() - slope * x.mean())
    return slope, offset, float(np.var(y - slope * x - offset))
