"""Expected improvement of a Pareto front by a candidate with known costs and uncertain loss.

The hypervolume that a front dominates is an integral over costs c: of the difference between the reference loss and the
loss of the best member with costs up to c. A new candidate with costs c₀ adds the integral, from c₀ to the limits, of
its improvement over the best member there. The expectation is a sum of expected improvements (Jones et al., 1998,
equation 15) over the cells between the members' costs: the closed form of expected hypervolume improvement (Emmerich et
al., 2006) with one uncertain objective.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from results.pareto import front_ranks

Array = npt.NDArray[np.float64]


def expected_improvement(mean: Array, deviation: Array, threshold: float) -> Array:
    """Return E[max(0, threshold − L)] for L ~ N(mean, deviation²), elementwise."""
    from scipy.special import ndtr

    gap = threshold - mean
    z = gap / deviation
    expected: Array = gap * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return expected


def front_improvement(
    mean: Array, deviation: Array, costs: Array, losses: Array, known_costs: Array, reference: float, limits: Array
) -> Array:
    """Return the expected growth of the hypervolume by each candidate, shape (n,), with costs scaled by `limits`.

    Args:
        mean: mean of the candidates' losses, shape (n,).
        deviation: standard deviation of the candidates' losses, shape (n,).
        costs: of the candidates, shape (n, n_costs); without costs this is the expected improvement of the best loss.
        losses: of the trials so far, shape (m,).
        known_costs: costs of these trials, shape (m, n_costs).
        reference: loss of the reference point; larger losses add nothing.
        limits: costs of the reference point, shape (n_costs,).
    """
    front = (front_ranks(np.column_stack([losses, known_costs])) == 0) & (losses < reference)
    losses, known_costs = losses[front], known_costs[front]
    edges = [np.unique([0.0, *column, limit]) for column, limit in zip(known_costs.T, limits, strict=True)]
    # Per axis, shape (n, n_cells): the part of each cell above the candidate's cost, as a share of the axis.
    open_shares = [
        np.maximum(0.0, axis[1:] - np.maximum(axis[:-1], column[:, None])) / limit
        for axis, column, limit in zip(edges, costs.T, limits, strict=True)
    ]
    volumes: dict[float, Array] = {}
    for cell in product(*(range(len(axis) - 1) for axis in edges)):
        corner = np.array([axis[index] for axis, index in zip(edges, cell, strict=True)])
        within = (known_costs <= corner).all(axis=1)
        best = float(losses[within].min()) if within.any() else reference
        volume = np.ones(len(mean))
        for shares, index in zip(open_shares, cell, strict=True):
            volume = volume * shares[:, index]
        volumes[best] = volumes.get(best, 0.0) + volume
    grown = np.zeros(len(mean))
    for best, volume in volumes.items():
        grown += volume * expected_improvement(mean, deviation, best)
    return grown
