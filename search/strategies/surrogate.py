"""Gaussian-process regression of a trial's loss on the features of its point.

Rasmussen and Williams, 2006, "Gaussian Processes for Machine Learning", algorithm 2.1 and equation 2.30: the sum of a
Matérn 5/2 and a linear kernel, with a separate noise variance for every value. Length scale, noise and weight of the
linear kernel maximize the marginal likelihood over a small grid. Without gradients the same values give the same model
on every machine.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Grid of length scales, in units of the features' root mean square distance."""
NOISES = (0.05, 0.2, 0.5, 1.0)
"""Grid of noise variances, as shares of the values' variance."""
LINEAR = (0.0, 1.0)
"""Grid of weights of the linear kernel."""


class GaussianProcess:
    """A posterior over functions of the features.

    Args:
        features: shape (n, n_features).
        values: shape (n,).
        variances: shape (n,); noise variance of each value in addition to the common one.
    """

    def __init__(self, features: Array, values: Array, variances: Array) -> None:
        self._middle = features.mean(axis=0)
        spread = features.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0) * np.sqrt(max(1, int((spread > 0).sum())) * 2)
        self._mean, self._scale = float(values.mean()), float(values.std()) or 1.0
        self._x = self._scaled(features)
        self._y = (values - self._mean) / self._scale
        extra = variances / self._scale**2
        distances, products = _distances(self._x, self._x), self._x @ self._x.T
        best = -np.inf
        for length, linear in product(LENGTHS, LINEAR):
            kernel = _matern(distances / length) + linear * products
            for noise in NOISES:
                lower, weights, likelihood = _solved(kernel + np.diag(noise + extra), self._y)
                if likelihood > best:
                    best = likelihood
                    self._lower, self._weights, self._length, self._linear = lower, weights, length, linear

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return the posterior mean and standard deviation (without noise) at `features`, each of shape (n,)."""
        from scipy.linalg import solve_triangular

        x = self._scaled(features)
        kernel = _matern(_distances(x, self._x) / self._length) + self._linear * (x @ self._x.T)
        prior = 1.0 + self._linear * (x**2).sum(axis=1)
        solved = solve_triangular(self._lower, kernel.T, lower=True, check_finite=False)
        deviation = np.sqrt(np.maximum(prior - (solved**2).sum(axis=0), 1e-12))
        mean: Array = self._mean + self._scale * (kernel @ self._weights)
        return mean, np.asarray(self._scale * deviation, dtype=np.float64)

    def _scaled(self, features: Array) -> Array:
        scaled: Array = (features - self._middle) / self._spread
        return scaled


def _solved(kernel: Array, values: Array) -> tuple[Array, Array, float]:
    """Return the Cholesky factor, K⁻¹y, and the log marginal likelihood without its constant."""
    from scipy.linalg import cho_solve

    lower = np.asarray(np.linalg.cholesky(kernel), dtype=np.float64)
    weights: Array = cho_solve((lower, True), values, check_finite=False)
    return lower, weights, float(-0.5 * values @ weights - np.log(np.diag(lower)).sum())


def _distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    distances: Array = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5.0) * distances
    kernel: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return kernel
