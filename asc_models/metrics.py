"""Scores of class probabilities: macro accuracy and multi-class log loss, the ranking scores of DCASE Task 1, and how
well the probabilities are calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

EPSILON = 1e-15
"""Probabilities are clipped to [EPSILON, 1 − EPSILON] before the logarithm, as in the challenge's scorer."""
N_BINS = 15
"""Bins of the expected calibration error, as in Guo et al. (2017)."""
DRAWS_AT_ONCE = 1 << 17
"""Number of a bootstrap's draws that are in memory together."""


def macro_accuracy(labels: Ints, probabilities: Floats) -> float:
    """Return the mean of the class-wise accuracies over the classes that occur in `labels`, in [0, 1].

    Args:
        labels: class indices, shape (n_clips,).
        probabilities: shape (n_clips, n_scenes).

    Raises:
        ValueError: if the arrays are empty or their lengths disagree.
    """
    _validate(labels, probabilities)
    correct = probabilities.argmax(axis=1) == labels
    return float(np.mean([correct[labels == label].mean() for label in np.unique(labels)]))


def log_losses(labels: Ints, probabilities: Floats) -> npt.NDArray[np.float64]:
    """Return each clip's −log p(true scene) in nats, shape (n_clips,); rows are normalized to sum to 1 first."""
    p = _normalized(labels, probabilities)
    chosen = np.clip(p[np.arange(len(labels)), labels], EPSILON, 1 - EPSILON)
    result: npt.NDArray[np.float64] = -np.log(chosen)
    return result


def log_loss(labels: Ints, probabilities: Floats) -> float:
    """Return the mean over clips of −log p(true scene), in nats."""
    return float(log_losses(labels, probabilities).mean())


def brier_score(labels: Ints, probabilities: Floats) -> float:
    """Return the mean over clips of the sum over scenes of (p − y)², in [0, 2]; y is 1 for the true scene, else 0.

    Brier (1950), "Verification of forecasts expressed in terms of probability": the sum over all scenes, so for two
    scenes it is twice the value of the binary convention. Rows are normalized to sum to 1 first.
    """
    p = _normalized(labels, probabilities)
    p[np.arange(len(labels)), labels] -= 1
    return float((p**2).sum(axis=1).mean())


def calibration_error(labels: Ints, probabilities: Floats, n_bins: int = N_BINS) -> float:
    """Return the expected calibration error (ECE) of the most probable scene, in [0, 1].

    Clips are divided by their highest probability (confidence) into bins ((m − 1) / n_bins, m / n_bins] of equal width.
    The error is the mean over bins, weighted by clips, of |share of correct clips − mean confidence|. Guo et al.,
    "On calibration of modern neural networks", ICML 2017, equation 3. Rows are normalized to sum to 1 first.
    """
    bins, confidence, is_correct = _binned(labels, probabilities, n_bins)
    gaps = np.bincount(bins, weights=is_correct - confidence, minlength=n_bins)  # clips × (accuracy − confidence)
    return float(np.abs(gaps).sum() / len(labels))


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The clips whose highest probability (confidence) is in (low, high]."""

    low: float
    high: float
    n_clips: int
    """At least 1."""
    confidence: float
    """Mean confidence."""
    accuracy: float
    """Share of correct clips."""


def confidence_bins(labels: Ints, probabilities: Floats, n_bins: int = N_BINS) -> list[ConfidenceBin]:
    """Return the bins of `calibration_error` that contain clips, lowest confidence first: a reliability diagram."""
    bins, confidence, is_correct = _binned(labels, probabilities, n_bins)
    return [
        ConfidenceBin(
            low=index / n_bins,
            high=(index + 1) / n_bins,
            n_clips=int((bins == index).sum()),
            confidence=float(confidence[bins == index].mean()),
            accuracy=float(is_correct[bins == index].mean()),
        )
        for index in np.unique(bins).tolist()
    ]


def _binned(
    labels: Ints, probabilities: Floats, n_bins: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return each clip's bin, its confidence, and whether its most probable scene is right, shapes (n_clips,)."""
    p = _normalized(labels, probabilities)
    confidence: npt.NDArray[np.float64] = p.max(axis=1)
    bins = np.ceil(confidence * n_bins).astype(np.int64).clip(1, n_bins) - 1
    return bins, confidence, p.argmax(axis=1) == labels


def by_group(labels: Ints, probabilities: Floats, groups: Sequence[Any]) -> dict[str, dict[str, float]]:
    """Return {group: {macro_accuracy, log_loss, n_clips}}, groups sorted by name.

    Args:
        labels: class indices, shape (n_clips,).
        probabilities: shape (n_clips, n_scenes).
        groups: one group name per clip, such as its device.
    """
    names = np.asarray([str(group) for group in groups])
    table = {}
    for name in sorted(set(names.tolist())):
        rows = names == name
        table[name] = {
            "macro_accuracy": macro_accuracy(labels[rows], probabilities[rows]),
            "log_loss": log_loss(labels[rows], probabilities[rows]),
            "n_clips": int(rows.sum()),
        }
    return table


def summarize(labels: Ints, probabilities: Floats, classes: Sequence[str], devices: Sequence[str]) -> dict[str, Any]:
    """Return the entry of one split in metrics.json: overall, by scene (in class order) and by device.

    Brier score and calibration error are given for all clips only: few clips say nothing about calibration. Within one
    scene, macro accuracy is that scene's class-wise accuracy. `absent_scenes` lists scenes without clips, if any; the
    overall macro accuracy excludes them.
    """
    scenes = by_group(labels, probabilities, [classes[label] for label in labels])
    absent = [scene for scene in classes if scene not in scenes]
    return {
        "macro_accuracy": macro_accuracy(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "brier_score": brier_score(labels, probabilities),
        "calibration_error": calibration_error(labels, probabilities),
        "by_scene": {scene: scenes[scene] for scene in classes if scene in scenes},
        "by_device": by_group(labels, probabilities, devices),
        "n_clips": len(labels),
        **({"absent_scenes": absent} if absent else {}),
    }


def interval_by_location(
    labels: Ints,
    probabilities: Floats,
    locations: Sequence[str],
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of macro accuracy, resampling locations instead of clips.

    Clips of one location are not independent, so resampling clips gives too narrow an interval. See `share_interval`
    for the case that all resamples agree.
    """
    _validate(labels, probabilities)
    is_correct = probabilities.argmax(axis=1) == labels
    return share_interval(
        is_correct.astype(np.float64), labels, locations, n_resamples=n_resamples, level=level, seed=seed
    )


def share_interval(
    values: Floats,
    labels: Ints,
    locations: Sequence[str],
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of `mean_interval` for values in [0, 1], wider than a point.

    If all resamples agree, as when every clip is right or there is one location only, they say nothing; the interval is
    then Wilson's, for as many observations as there are locations.
    """
    low, high = mean_interval(values, labels, locations, n_resamples=n_resamples, level=level, seed=seed)
    return (low, high) if low < high else wilson_interval(macro_mean(values, labels), len(set(locations)), level)


def group_intervals(
    is_correct: Floats, labels: Ints, groups: Sequence[str], locations: Sequence[str], *, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return {group: confidence interval of its macro accuracy}, for groups of clips such as scenes or devices.

    All are Wilson's intervals, so that they can be compared even if every clip of a group is right, where resampling
    would give a point. A group counts as so many independent clips as would give its mean over scenes the same variance
    (Kish, "Survey Sampling", 1965): with weights w of the clips that sum to 1, 1 / (Σ w² + ρ (Σ W² − Σ w²)), where W is
    the sum of w over a location. For n clips of one scene with m at each location, it is n / (1 + (m − 1) ρ).

    ρ is the correlation of the errors within locations, in [0, 1], of all groups together: the analysis-of-variance
    estimator (Donner, International Statistical Review 54, 1986) of clips of the same group and scene. If the errors
    say nothing about it, as when there are none, each location counts as one clip (ρ = 1).

    Args:
        is_correct: 1 for each clip that is classified correctly, else 0, shape (n_clips,).
        labels: class indices, shape (n_clips,).
        groups: group of each clip.
        locations: location of each clip.
        level: confidence level.
    """
    right = np.asarray(is_correct, dtype=np.float64)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    place = np.unique(np.asarray([str(location) for location in locations]), return_inverse=True)[1]
    cells, cell = np.unique(np.stack([group, labels]), axis=1, return_inverse=True)  # clips of a group and scene
    visits, visit = np.unique(np.stack([cell, place]), axis=1, return_inverse=True)  # those at one location
    n_cell = np.bincount(cell)
    mean = np.bincount(cell, weights=right) / n_cell
    correlation = _correlation_within(right, cell, visit, visits[0])
    weight = 1 / (np.bincount(cells[0])[group] * n_cell[cell])
    stays, stay = np.unique(np.stack([group, place]), axis=1, return_inverse=True)  # clips of a group and location
    apart = np.bincount(group, weights=weight**2)
    together = np.bincount(stays[0], weights=np.bincount(stay, weights=weight) ** 2)
    share = np.bincount(cells[0], weights=mean) / np.bincount(cells[0])
    n_independent = 1 / (apart + correlation * (together - apart))
    return {
        str(name): wilson_interval(float(p), float(n), level)
        for name, p, n in zip(names, share, n_independent, strict=True)
    }


def _correlation_within(values: Floats, cell: Ints, visit: Ints, cell_of_visit: Ints) -> float:
    """Return the correlation of values within the visits of each cell, in [0, 1]; 1 if the values do not say.

    Args:
        values: shape (n_clips,).
        cell: index of each clip's cell.
        visit: index of each clip's visit, which is in one cell.
        cell_of_visit: cell of each visit, shape (n_visits,).
    """
    n_cell, n_visit = np.bincount(cell), np.bincount(visit)
    df_between, df_within = len(n_visit) - len(n_cell), len(values) - len(n_visit)
    if df_between == 0 or df_within == 0:
        return 1.0
    of_cell, of_visit = (np.bincount(part, weights=values) / np.bincount(part) for part in (cell, visit))
    between = float((n_visit * (of_visit - of_cell[cell_of_visit]) ** 2).sum()) / df_between
    within = float(((values - of_visit[visit]) ** 2).sum()) / df_within
    size = (len(values) - float((n_visit**2 / n_cell[cell_of_visit]).sum())) / df_between  # mean clips of a visit
    total = between + (size - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 1.0


def wilson_interval(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share of `n` independent observations.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference". It has a width even for
    shares of 0 and 1. `n` need not be whole.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def macro_mean(values: Floats, labels: Ints) -> float:
    """Return the mean over classes of the mean of `values` over the clips of the class; shapes (n_clips,)."""
    return float(np.mean([values[labels == label].mean() for label in np.unique(labels)]))


def mean_interval(
    values: Floats,
    labels: Ints,
    locations: Sequence[str],
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of `macro_mean(values, labels)`, resampling locations.

    With the difference of two systems' values on the same clips this is the paired bootstrap. Memory grows with the sum
    of the numbers of locations and resamples, not with their product.

    Args:
        values: one value per clip, such as 1 if it is classified correctly, shape (n_clips,).
        labels: class indices, shape (n_clips,).
        locations: location of each clip.
        n_resamples: number of resamples.
        level: confidence level.
        seed: random seed.
    """
    classes, label = np.unique(labels, return_inverse=True)
    _, location_index = np.unique(np.asarray([str(location) for location in locations]), return_inverse=True)
    n_locations, n_classes = int(location_index.max()) + 1, len(classes)
    held = np.zeros((n_locations, 2 * n_classes))  # clips of each class, then the sum of their values
    np.add.at(held, (location_index, label), 1)
    np.add.at(held, (location_index, n_classes + label), values)
    rng = np.random.default_rng(seed)
    # Some resamples at a time: all at once would need n_resamples × n_locations values.
    n_at_once = max(1, DRAWS_AT_ONCE // n_locations)
    sizes = [min(n_at_once, n_resamples - done) for done in range(0, n_resamples, n_at_once)]
    drawn = np.concatenate([_times_drawn(rng, n_locations, size) @ held for size in sizes])
    counts, sums = drawn[:, :n_classes], drawn[:, n_classes:]
    with np.errstate(invalid="ignore"):
        means = np.nanmean(np.where(counts > 0, sums / counts, np.nan), axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _times_drawn(rng: np.random.Generator, n: int, n_resamples: int) -> npt.NDArray[np.float64]:
    """Return how often each of `n` items is drawn in each bootstrap resample, shape (n_resamples, n)."""
    draws = rng.integers(n, size=(n_resamples, n)) + n * np.arange(n_resamples)[:, np.newaxis]
    return np.bincount(draws.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def _normalized(labels: Ints, probabilities: Floats) -> npt.NDArray[np.float64]:
    """Return valid probabilities with rows that sum to 1, as a copy."""
    _validate(labels, probabilities)
    p = probabilities.astype(np.float64)
    result: npt.NDArray[np.float64] = p / p.sum(axis=1, keepdims=True)
    return result


def _validate(labels: Ints, probabilities: Floats) -> None:
    if len(labels) == 0 or probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise ValueError(
            "labels (n_clips,) and probabilities (n_clips, n_scenes) must match and contain at least one clip, got "
            f"{labels.shape} and {probabilities.shape}"
        )
