"""Temperatures, fitted and judged on different locations.

A temperature that is judged on the clips it was fitted on looks better than it is. Candidates and ensembles are
therefore compared by their cross-fitted log loss: the clips of each part of the locations are scored with a temperature
that was fitted on the other parts. A temperature is used only if it lowers this loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asc_models.ensemble import temper
from asc_models.metrics import Floats, Ints, log_loss, log_losses
from results.candidates.predictions import Predictions, clip_locations, tempered

TEMPERATURES = (0.5, 4.0)
"""Bounds of the fit. Values outside result from a few clips rather than from over- or underconfidence."""
N_PARTS = 5
"""Parts of the locations for cross-fitting."""
SEED = 0
"""Random seed of the assignment of locations to parts."""


@dataclass(frozen=True)
class Calibration:
    """Temperature of one system, and its log loss on clips that the temperature was not fitted on."""

    temperature: float
    """Fitted on all clips; 1.0 if none lowers the cross-fitted loss."""
    log_loss: float
    """Cross-fitted log loss in nats; without a temperature, the plain log loss."""
    is_at_bound: bool = False
    """Whether the fit ended at one of `TEMPERATURES`: the clips do not determine it."""


def fit_temperature(labels: Ints, probabilities: Floats) -> float:
    """Return the temperature within `TEMPERATURES` that minimizes the log loss of the clips and of one more.

    The additional clip has a random label: its loss is the mean over clips and scenes of −log p. Without it, the loss
    of a system that classifies every clip correctly would decrease towards T → 0, and the first error on test would be
    very expensive. Platt (1999) smooths the labels of his calibration for the same reason. Returns 1.0 if no
    temperature reduces the sum.
    """
    from scipy.optimize import minimize_scalar

    def summed(log_temperature: float) -> float:
        """Return the summed log loss of the clips and of the additional one."""
        p = temper(probabilities, np.exp(log_temperature))
        return len(labels) * log_loss(labels, p) - float(np.log(np.clip(p, 1e-15, None)).mean())

    fit = minimize_scalar(summed, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(fit.x)) if fit.fun < summed(0.0) else 1.0


def calibrate(labels: Ints, probabilities: Floats, parts: Ints) -> Calibration:
    """Return the temperature of a system, judged by cross-fitting.

    Args:
        labels: class indices, shape (n_clips,).
        probabilities: shape (n_clips, n_scenes).
        parts: part of each clip (`location_parts`); with a single part, there is no temperature.
    """
    plain = log_loss(labels, probabilities)
    if len(np.unique(parts)) < 2:
        return Calibration(1.0, plain)
    fitted = float(cross_fitted_losses(labels, probabilities, parts).mean())
    if not fitted < plain:
        return Calibration(1.0, plain)
    temperature = fit_temperature(labels, probabilities)
    is_at_bound = any(bool(np.isclose(temperature, bound, rtol=1e-3)) for bound in TEMPERATURES)
    return Calibration(temperature, fitted, is_at_bound)


def cross_fitted_losses(labels: Ints, probabilities: Floats, parts: Ints) -> npt.NDArray[np.float64]:
    """Return each clip's log loss in nats, with a temperature fitted on the clips of the other parts."""
    return log_losses(labels, _cross_fitted(labels, probabilities, parts))


def cross_fitted(predictions: Predictions) -> Predictions:
    """Return labelled predictions as `calibrate` judges them: each part's with a temperature fitted on the others.

    As there, they are returned unchanged if that does not lower the log loss, or if there is a single location.
    """
    labels, parts = predictions.labels, location_parts(locations_of(predictions))
    if len(np.unique(parts)) < 2:
        return predictions
    made = _cross_fitted(labels, predictions.probabilities, parts)
    if not log_loss(labels, made) < log_loss(labels, predictions.probabilities):
        return predictions
    return Predictions(predictions.clips, made.astype(np.float32), predictions.classes)


def calibrated(validation: Predictions, test: Predictions | None = None) -> dict[str, Predictions]:
    """Return {split: predictions} of a system as it is ranked and packed, so that its log losses are comparable.

    Args:
        validation: without a temperature; the result is cross-fitted. Clips without labels give {}.
        test: without a temperature; the result has the temperature that is fitted on all of validation.
    """
    if not validation.is_labelled:
        return {}
    found = {"validation": cross_fitted(validation)}
    if test is not None:
        fit = calibrate(validation.labels, validation.probabilities, location_parts(locations_of(validation)))
        found["test"] = tempered(test, fit.temperature)
    return found


def _cross_fitted(labels: Ints, probabilities: Floats, parts: Ints) -> npt.NDArray[np.float64]:
    """Return each clip's probabilities, with a temperature fitted on the clips of the other parts."""
    made = np.empty(probabilities.shape)
    for part in np.unique(parts):
        held = parts == part
        made[held] = temper(probabilities[held], fit_temperature(labels[~held], probabilities[~held]))
    return made


def locations_of(predictions: Predictions) -> list[str]:
    """Return the location of each clip; a clip without one counts by its segment, or as a location of its own."""
    return clip_locations(predictions.clips)


def location_parts(locations: Sequence[str], n_parts: int = N_PARTS) -> npt.NDArray[np.int64]:
    """Return the part, from 0, of each clip: locations in random order, each into the part with the fewest clips."""
    names, index = np.unique(np.asarray(locations), return_inverse=True)
    n_clips = np.bincount(index)
    part_of = np.zeros(len(names), dtype=np.int64)
    load = np.zeros(min(n_parts, len(names)))
    for location in np.random.default_rng(SEED).permutation(len(names)):
        part_of[location] = load.argmin()
        load[part_of[location]] += n_clips[location]
    parts: npt.NDArray[np.int64] = part_of[index]
    return parts
