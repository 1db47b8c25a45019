"""What a worker process of `prepare` does: clips' audio → their stored log-mels. Imports neither pandas nor Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.audio import fit_length, read_mono
from data_prep.config import FeatureSpec
from data_prep.errors import DataError
from data_prep.features import log_mel_of


@dataclass(frozen=True)
class Task:
    """Audio files and the feature that is wanted of them."""

    paths: tuple[Path, ...]
    spec: FeatureSpec


@dataclass(frozen=True)
class Extracted:
    """One clip's stored feature, or why there is none."""

    log_mel: npt.NDArray[np.float16] | None
    """(n_mels, n_frames), or None if the file is corrupt."""
    reason: str
    """Why the file is corrupt, else empty."""
    silent: bool
    """The waveform, or its log-mel, is constant."""
    seconds: float
    """Length of the recording before it was padded or cut."""


def extract_task(task: Task) -> list[Extracted]:
    """Return the outcome for each path of `task`, in its order."""
    return [extract(path, task.spec) for path in task.paths]


def extract(path: Path, spec: FeatureSpec) -> Extracted:
    """Return the float16 log-mel of the clip in `path`, or the reason why it can't be read.

    A constant waveform holds no sound: it is stored as silence, the same value everywhere, and flagged.
    """
    try:
        whole = read_mono(path, spec.sample_rate)
    except DataError as error:
        return Extracted(None, str(error).removeprefix(f"{path}: "), False, 0.0)
    seconds = len(whole) / spec.sample_rate
    y = fit_length(whole, spec.n_samples)
    if np.ptp(y) == 0:
        floor = np.full((spec.n_mels, spec.n_frames), np.log(spec.log_offset), dtype=np.float16)
        return Extracted(floor, "", True, seconds)
    log_mel = log_mel_of(spec)(y).astype(np.float16)
    return Extracted(log_mel, "", bool(np.ptp(log_mel) == 0), seconds)
