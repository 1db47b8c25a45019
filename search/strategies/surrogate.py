"""Gaussian-process regression of a trial's loss on the features of its point.

Rasmussen and Williams, 2006, "Gaussian Processes for Machine Learning", algorithm 2.1 and equations 2.30 and 5.8: the
sum of a Matérn 5/2 kernel with a length scale for every feature and a linear kernel, with a separate noise variance for
every value. A length scale for all features, noise and weight of the linear kernel maximize the marginal likelihood
over a small grid; from there each feature's own scale is halved or doubled while that helps, under a log-normal prior,
which keeps features without evidence at the common scale. Without gradients the same values give the same model on
every machine.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Grid of common length scales, in units of the features' root mean square distance."""
NOISES = (0.05, 0.2, 0.5, 1.0)
"""Grid of noise variances, as shares of the values' variance."""
LINEAR = (0.0, 1.0)
"""Grid of weights of the linear kernel."""
FACTORS = (0.5, 2.0)
"""Steps of a feature's length scale."""
N_SWEEPS = 3
"""Most passes over the features."""
PRIOR_DEVIATION = 1.0
"""Standard deviation of the log-normal prior of a feature's length scale around the common one, in nats."""
N_FITTED = 100
"""Latest values from which length scales, noise and linear kernel are estimated; the posterior is of all values."""


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
        self._x = (features - self._middle) / self._spread
        y, extra = (values - self._mean) / self._scale, variances / self._scale**2
        fit = _Fit(self._x[-N_FITTED:], y[-N_FITTED:], extra[-N_FITTED:])
        fit.choose_common()
        fit.choose_lengths()
        self.lengths: Array = fit.lengths
        """Length scale of each feature, shape (n_features,), in units of its standard deviation × √(2 n_features)."""
        self._linear = fit.linear
        kernel = _matern(np.sqrt(_squares(self._x / self.lengths, self._x / self.lengths)))
        kernel += self._linear * self._x @ self._x.T + np.diag(fit.noise + extra)
        self._lower, self._weights, _ = _solved(kernel, y)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return the posterior mean and standard deviation (without noise) at `features`, each of shape (n,)."""
        from scipy.linalg import solve_triangular

        x = (features - self._middle) / self._spread
        kernel = _matern(np.sqrt(_squares(x / self.lengths, self._x / self.lengths)))
        kernel += self._linear * (x @ self._x.T)
        prior = 1.0 + self._linear * (x**2).sum(axis=1)
        solved = solve_triangular(self._lower, kernel.T, lower=True, check_finite=False)
        deviation = np.sqrt(np.maximum(prior - (solved**2).sum(axis=0), 1e-12))
        mean: Array = self._mean + self._scale * (kernel @ self._weights)
        return mean, np.asarray(self._scale * deviation, dtype=np.float64)


class _Fit:
    """Estimation of the kernel's parameters; all arguments are in the model's own units."""

    def __init__(self, x: Array, y: Array, extra: Array) -> None:
        self._y, self._extra = y, extra
        self._squares = _squares(x, x)
        self._by_feature = (x.T[:, :, None] - x.T[:, None, :]) ** 2
        self._products = x @ x.T
        self.lengths = np.ones(x.shape[1])
        self.linear, self.noise = 0.0, 1.0
        self._best = -np.inf

    def choose_common(self) -> None:
        """Set one length scale for all features, the noise and the weight of the linear kernel."""
        distances = np.sqrt(self._squares)
        for length, linear in product(LENGTHS, LINEAR):
            kernel = _matern(distances / length) + linear * self._products
            for noise in NOISES:
                likelihood = self._likelihood(kernel, noise)
                if likelihood > self._best:
                    self._best, self.linear, self.noise = likelihood, linear, noise
                    self.lengths = np.full(len(self.lengths), length)

    def choose_lengths(self) -> None:
        """Change the length scale of one feature after the other while the posterior density grows."""
        common = self.lengths[0]
        varied = np.flatnonzero(self._by_feature.any(axis=(1, 2))).tolist()
        squares = self._squares / common**2
        steps = np.zeros(len(self.lengths))
        for _ in range(N_SWEEPS):
            before = self._best
            for feature in varied:
                length = self.lengths[feature]
                for factor in FACTORS:
                    tried = length * factor
                    moved = squares + self._by_feature[feature] * (tried**-2 - self.lengths[feature] ** -2)
                    density = self._density(moved, steps, feature, np.log(tried / common))
                    if density > self._best:
                        self._best, squares = density, moved
                        self.lengths[feature], steps[feature] = tried, np.log(tried / common)
            if self._best == before:
                return

    def _density(self, squares: Array, steps: Array, feature: int, step: float) -> float:
        """Return the log posterior density, without its constant, with one feature's scale moved by `step` nats."""
        kernel = _matern(np.sqrt(np.maximum(squares, 0.0))) + self.linear * self._products
        distance = float((steps**2).sum() - steps[feature] ** 2 + step**2)
        return self._likelihood(kernel, self.noise) - 0.5 * distance / PRIOR_DEVIATION**2

    def _likelihood(self, kernel: Array, noise: float) -> float:
        return _solved(kernel + np.diag(noise + self._extra), self._y)[2]


def _solved(kernel: Array, values: Array) -> tuple[Array, Array, float]:
    """Return the Cholesky factor, K⁻¹y, and the log marginal likelihood without its constant."""
    from scipy.linalg import cho_solve

    lower = np.asarray(np.linalg.cholesky(kernel), dtype=np.float64)
    weights: Array = cho_solve((lower, True), values, check_finite=False)
    return lower, weights, float(-0.5 * values @ weights - np.log(np.diag(lower)).sum())


def _squares(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    result: Array = np.maximum(squares, 0.0)
    return result


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5.0) * distances
    kernel: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return kernel
