"""Agreement of an exported file with its network, and the check that rejects files with too little of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.tflite.quantization.drift import Drift

MIN_AGREEMENT = 0.97
"""Least agreement beyond chance of an accepted file."""

NEAR_TIE = 0.05
"""A clip is a near-tie if the network's two largest probabilities differ by less, so that rounding may decide."""

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often an exported file and its network predict the same scene."""

    n_clips: int
    """Number of compared clips."""
    n_near_ties: int
    """Number of near-ties among them, which are excluded from `beyond_chance`."""
    n_different: int
    """Number of other clips for which the file predicts a different scene."""
    share: float
    """Share of all clips with the same predicted scene, including near-ties."""
    beyond_chance: float
    """Cohen's κ over the clips that are not near-ties: (observed − expected) / (1 − expected), where `expected` is the
    agreement of independent predictions with the same frequencies. 1 if all clips are near-ties."""


def agreement(network: Array, file: Array, *, near_tie: float = NEAR_TIE) -> Agreement:
    """Return the agreement of a file with its network.

    Args:
        network: the network's probabilities, (n_clips, n_classes).
        file: the file's probabilities.
        near_tie: a clip is a near-tie if the network's top two probabilities differ by less than this.
    """
    top = np.sort(network, axis=1)
    is_clear = top[:, -1] - top[:, -2] >= near_tie
    same = network.argmax(axis=1) == file.argmax(axis=1)
    return Agreement(
        n_clips=len(network),
        n_near_ties=int((~is_clear).sum()),
        n_different=int((~same[is_clear]).sum()),
        share=float(same.mean()),
        beyond_chance=_kappa(network[is_clear].argmax(axis=1), file[is_clear].argmax(axis=1), network.shape[1]),
    )


def _kappa(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], n_classes: int) -> float:
    """Return Cohen's κ (Educational and Psychological Measurement 20, 1960) of two lists of predicted classes."""
    if not first.size:
        return 1.0
    observed = float((first == second).mean())
    shares = [np.bincount(choices, minlength=n_classes) / choices.size for choices in (first, second)]
    expected = float((shares[0] * shares[1]).sum())
    if expected == 1.0:  # both always predict the same single scene
        return 1.0
    return (observed - expected) / (1.0 - expected)


def require_agreement(
    network: Array, file: Array, path: Path, mode: str, drift: Callable[[], Sequence[Drift]]
) -> Agreement:
    """Return the agreement of the file at `path` with its network, and reject the file if it is too low.

    A single differing clip is accepted, since it would be a large share of few clips.

    Args:
        network: the network's probabilities, (n_clips, n_classes).
        file: the file's probabilities.
        path: path of the file, for the message.
        mode: export mode, for the message.
        drift: returns the layers with most drift first; called only if the file is rejected.

    Raises:
        ExportError: if the agreement beyond chance is below `MIN_AGREEMENT` and more than one clip differs.
    """
    found = agreement(network, file)
    if found.beyond_chance >= MIN_AGREEMENT or found.n_different <= 1:
        return found
    n_clear = found.n_clips - found.n_near_ties
    layers = ", ".join(f"{layer.name} ({layer.own:.1%})" for layer in list(drift())[:3])
    raise ExportError(
        f"{path}: as {mode}, the file chooses another scene than the network on {found.n_different} of {n_clear} clear "
        f"clips: agreement beyond chance is {found.beyond_chance:.3f}, at least {MIN_AGREEMENT} is required. Errors "
        f"added by single layers: {layers}. Export in another mode, such as int8_weights."
    )
