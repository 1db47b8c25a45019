"""The surrogate finds which features matter, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from search.strategies.surrogate import GaussianProcess

N_FEATURES = 10


def made(n: int, seed: int = 0, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return points of which two features out of ten matter, and noisy values."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, N_FEATURES))
    return x, truth(x) + noise * rng.normal(size=n)


def truth(x: np.ndarray) -> np.ndarray:
    """Return the values without noise."""
    return np.asarray(np.sin(6 * x[:, 0]) + x[:, 1] ** 2)


def test_features_that_matter_have_the_shortest_lengths() -> None:
    """The steepest feature has the shortest length scale, idle ones the longest."""
    x, y = made(60)
    lengths = GaussianProcess(x, y, np.zeros(60)).lengths
    assert lengths.argmin() == 0
    assert lengths[0] <= lengths[2:].min() / 2


def test_idle_features_cost_little() -> None:
    """On points never seen, the error is close to that of a model which is given the two features alone."""
    (x, y), (unseen, _) = made(60), made(400, seed=1)
    whole, alone = GaussianProcess(x, y, np.zeros(60)), GaussianProcess(x[:, :2], y, np.zeros(60))
    error = np.sqrt(np.mean((whole.predict(unseen)[0] - truth(unseen)) ** 2))
    least = np.sqrt(np.mean((alone.predict(unseen[:, :2])[0] - truth(unseen)) ** 2))
    assert least < error < 3 * least + 0.05
    assert error < 0.3 * truth(unseen).std()


def test_the_deviation_covers_the_error() -> None:
    """Some 95 of 100 true values lie within two standard deviations; far from all points it is larger than at them."""
    (x, y), (unseen, _) = made(80), made(400, seed=1)
    model = GaussianProcess(x, y, np.zeros(80))
    mean, deviation = model.predict(unseen)
    assert np.mean(np.abs(mean - truth(unseen)) < 2 * deviation) > 0.85
    assert model.predict(x)[1].mean() < deviation.mean() < model.predict(np.full((1, N_FEATURES), 9.0))[1][0]


def test_a_value_with_a_large_variance_counts_little() -> None:
    """A wrong value moves the mean where it is believed, and hardly where its variance says that it is a guess."""
    x, y = made(40)
    y[7] += 3.0
    variances = np.zeros(40)
    believed = GaussianProcess(x, y, variances).predict(x[7:8])[0][0]
    variances[7] = 100.0
    doubted = GaussianProcess(x, y, variances).predict(x[7:8])[0][0]
    assert abs(doubted - truth(x[7:8])[0]) < abs(believed - truth(x[7:8])[0])


@pytest.mark.parametrize("values", [np.zeros(5), np.arange(5.0)])
def test_constant_features_and_values_are_no_error(values: np.ndarray) -> None:
    """One network trained five times: the mean is that of its values."""
    model = GaussianProcess(np.ones((5, 3)), values, np.zeros(5))
    mean, deviation = model.predict(np.ones((2, 3)))
    assert mean == pytest.approx([values.mean()] * 2, abs=1e-6)
    assert np.isfinite(deviation).all()


def test_equal_values_give_equal_models() -> None:
    """There is no random choice in the fit."""
    x, y = made(50)
    first, second = (GaussianProcess(x, y, np.zeros(50)).predict(x) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
