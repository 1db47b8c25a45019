"""Support vector machines with an RBF kernel, one per scene, their settings fitted by leaving locations out.

Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995. Each machine separates a scene from all others.
Probabilities are the softmax of the decision values, times one factor that is fitted to values out of fold: the idea of
Platt (1999) with a single parameter for all scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asc_models.metrics import Floats, Ints, log_loss

Values = npt.NDArray[np.float64]

COSTS = (4.0, 16.0, 64.0, 256.0)
"""Values of C that are tried."""
GAMMAS = (0.03125, 0.0625, 0.125, 0.25, 0.5)
"""Values of γ that are tried, times the number of columns; the columns have unit variance."""
MAX_TRIED_CLIPS = 1_500
"""Most clips on which settings are tried; the time grows with the square of their number."""
FACTORS = (0.05, 50.0)
"""Bounds of the factor of the softmax."""
CLIPS_AT_ONCE = 1_024
"""Clips whose kernel values are in memory together."""


class SvmSetting(NamedTuple):
    """What leaving locations out chooses."""

    has_deltas: bool
    """Whether the statistics of deltas are used."""
    cost: float
    """C, the weight of training errors."""
    gamma: float
    """γ of the kernel exp(−γ·|x − x′|²), times the number of columns."""


@dataclass(frozen=True)
class SupportVectors:
    """Fitted machines of all scenes, which share their support vectors. n_columns depends on the setting."""

    setting: SvmSetting
    mean: Values
    """Mean of each column over the training clips, shape (n_columns,)."""
    scale: Values
    """Standard deviation of each column; 1 for a constant one."""
    vectors: Values
    """Standardized training clips that a machine needs, shape (n_vectors, n_columns)."""
    weights: Values
    """Weight of each vector in each scene's machine, shape (n_vectors, n_classes)."""
    intercepts: Values
    """Shape (n_classes,); −∞ for a scene without training clips, which is never predicted."""
    factor: float = 1.0
    """Factor of the decision values in the softmax."""

    def decisions(self, energies: Floats) -> Values:
        """Return the decision values of `band_energies`, shape (n_clips, n_classes)."""
        x = (_columns(energies, self.setting) - self.mean) / self.scale
        values = [
            _kernel(some, self.vectors, self.setting) @ self.weights
            for some in np.array_split(x, -(-len(x) // CLIPS_AT_ONCE))
        ]
        result: Values = np.concatenate(values) + self.intercepts
        return result

    def predict(self, energies: Floats) -> npt.NDArray[np.float32]:
        """Return the class probabilities of `band_energies`, shape (n_clips, n_classes)."""
        return _softmax(self.factor * self.decisions(energies)).astype(np.float32)

    @property
    def arrays(self) -> dict[str, Floats]:
        """All numbers that predict, by name."""
        numbers = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        return {name: array for name, array in numbers.items() if name != "setting"}

    @property
    def n_params(self) -> int:
        """Number of these numbers."""
        return sum(array.size for array in self.arrays.values())

    @property
    def macs(self) -> int:
        """Multiply–accumulates per clip: distances to the vectors, and their weighted sums."""
        return self.vectors.size + self.weights.size


SETTINGS = tuple(SvmSetting(*one) for one in product((False, True), COSTS, GAMMAS))
"""Settings that are tried."""


def fit_svm(
    energies: Floats,
    labels: Ints,
    parts: Ints,
    n_classes: int,
    *,
    settings: Sequence[SvmSetting] = SETTINGS,
    seed: int = 0,
) -> SupportVectors:
    """Return machines fitted to training clips, with the setting of the lowest log loss out of fold.

    Args:
        energies: `band_energies` of the clips, shape (n_clips, 4 · n_mels).
        labels: class indices, shape (n_clips,), of at least two scenes.
        parts: part of each clip, shape (n_clips,); clips of one location are in one part. At least two parts.
        n_classes: number of scenes.
        settings: settings that are tried.
        seed: seed for drawing `MAX_TRIED_CLIPS` clips, if there are more.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:MAX_TRIED_CLIPS])
    tried = [
        (
            *_fit_factor(labels[rows], _out_of_fold(energies[rows], labels[rows], parts[rows], n_classes, setting)),
            setting,
        )
        for setting in settings
    ]
    _, factor, setting = min(tried)
    return replace(_fit(energies, labels, n_classes, setting), factor=factor)


def _fit(energies: Floats, labels: Ints, n_classes: int, setting: SvmSetting) -> SupportVectors:
    from sklearn.svm import SVC

    x = _columns(energies, setting)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1.0
    x = (x - mean) / scale
    kernel = _kernel(x, x, setting)  # of all scenes' machines; 1.6 GB for the 14,000 clips of TAU 2020
    weights, intercepts = np.zeros((len(x), n_classes)), np.full(n_classes, -np.inf)
    for label in np.unique(labels):
        machine = SVC(C=setting.cost, kernel="precomputed").fit(kernel, labels == label)
        weights[machine.support_, label] = machine.dual_coef_[0]
        intercepts[label] = machine.intercept_[0]
    is_used = weights.any(axis=1)
    return SupportVectors(setting, mean, scale, x[is_used], weights[is_used], intercepts)


def _out_of_fold(energies: Floats, labels: Ints, parts: Ints, n_classes: int, setting: SvmSetting) -> Values:
    """Return the decision values of each clip from machines that were fitted without its part."""
    values: Values = np.empty((len(labels), n_classes))
    for part in np.unique(parts):
        is_held = parts == part
        values[is_held] = _fit(energies[~is_held], labels[~is_held], n_classes, setting).decisions(energies[is_held])
    return values


def _fit_factor(labels: Ints, decisions: Values) -> tuple[float, float]:
    """Return the lowest log loss in nats, and its factor."""
    from scipy.optimize import minimize_scalar

    fit = minimize_scalar(
        lambda log: log_loss(labels, _softmax(np.exp(log) * decisions)), bounds=np.log(FACTORS), method="bounded"
    )
    return float(fit.fun), float(np.exp(fit.x))


def _kernel(x: Values, vectors: Values, setting: SvmSetting) -> Values:
    """Return exp(−γ·|x − v|²) of standardized clips and vectors, shape (n_clips, n_vectors)."""
    values = x @ vectors.T
    values *= -2.0
    values += (x**2).sum(axis=1)[:, np.newaxis]
    values += (vectors**2).sum(axis=1)
    values *= -setting.gamma / x.shape[1]
    result: Values = np.exp(np.minimum(values, 0.0, out=values), out=values)
    return result


def _columns(energies: Floats, setting: SvmSetting) -> Values:
    """Return the columns that a setting uses: all, or the half without deltas."""
    n = energies.shape[1]
    return energies[:, : n if setting.has_deltas else n // 2].astype(np.float64)


def _softmax(values: Values) -> Values:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: Values = powers / powers.sum(axis=1, keepdims=True)
    return result
