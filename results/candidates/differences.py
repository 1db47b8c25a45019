"""Paired difference of two systems on the clips that both have predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.metrics import log_losses, macro_mean, mean_interval
from data_prep.errors import DataError
from results.candidates.predictions import Predictions, clip_locations


@dataclass(frozen=True)
class Difference:
    """Paired difference of two systems on the clips that both have predicted."""

    system: str
    reference: str
    n_clips: int
    accuracy: float
    """Macro accuracy of `system` minus that of `reference`."""
    accuracy_interval: tuple[float, float]
    """Its 95 % interval, resampling locations."""
    loss: float
    """Log loss of `system` minus that of `reference`, means over clips as in the ranking of systems."""
    loss_interval: tuple[float, float]


def clip_scores(predictions: Predictions) -> pd.DataFrame:
    """Return one row per clip: clip_id, location, label, is_correct (0 or 1) and loss in nats.

    A clip without a location counts by its segment, or as a location of its own. Every clip must have a label.
    """
    clips, labels, probabilities = predictions.clips, predictions.labels, predictions.probabilities
    return pd.DataFrame(
        {
            "clip_id": clips["clip_id"].astype(str).to_numpy(),
            "location": clip_locations(clips),
            "label": labels,
            "is_correct": (probabilities.argmax(axis=1) == labels).astype(float),
            "loss": log_losses(labels, probabilities),
        }
    )


def paired_difference(system: tuple[str, pd.DataFrame], reference: tuple[str, pd.DataFrame]) -> Difference:
    """Return the paired difference of two systems, each given by its name and its scores per clip.

    Args:
        system: name, and `clip_scores` indexed by clip; the values may be means over seeds.
        reference: likewise.

    Raises:
        DataError: if they have no clip in common.
    """
    both = system[1].join(reference[1][["is_correct", "loss"]].add_suffix("_reference"), how="inner")
    if both.empty:
        raise DataError(f"{system[0]} and {reference[0]} have no clip in common: they cannot be compared")
    labels, locations = both["label"].to_numpy(), both["location"].astype(str).tolist()

    correct, losses = ((both[name] - both[f"{name}_reference"]).to_numpy() for name in ("is_correct", "loss"))
    loss, *bounds = mean_loss_difference(losses, locations)
    return Difference(
        system=system[0],
        reference=reference[0],
        n_clips=len(both),
        accuracy=macro_mean(correct, labels),
        accuracy_interval=mean_interval(correct, labels, locations),
        loss=loss,
        loss_interval=(bounds[0], bounds[1]),
    )


def mean_loss_difference(differences: npt.NDArray[np.float64], locations: Sequence[str]) -> tuple[float, float, float]:
    """Return the difference of two log losses, and the bounds of its 95 % interval over locations.

    A log loss is the mean over clips (`asc_models.metrics.log_loss`), so the difference is that of the losses by which
    systems are ranked, even if scenes have different numbers of clips.

    Args:
        differences: difference of the losses of each clip, shape (n_clips,).
        locations: location of each clip.
    """
    alike = np.zeros(len(differences), dtype=np.int64)
    return float(differences.mean()), *mean_interval(differences, alike, locations)


def difference_to(system: tuple[str, Predictions], other: tuple[str, Predictions]) -> Difference | None:
    """Return the paired difference of a system to another, each given by its name and its predictions of a split.

    None if a clip has no label, or they have no clip in common.
    """
    if not all(one.is_labelled for _, one in (system, other)):
        return None
    if not set(system[1].clips["clip_id"]) & set(other[1].clips["clip_id"]):
        return None
    first, second = ((name, clip_scores(one).set_index("clip_id")) for name, one in (system, other))
    return paired_difference(first, second)
