"""Statistics over frames of the log-mel band energies, the input of the support vector machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.reader.inputs import deltas
from data_prep.reader.reader import FeatureSet

CLIPS_AT_ONCE = 256
"""Clips that are in memory as float32 together."""


def band_energies(features: FeatureSet) -> npt.NDArray[np.float32]:
    """Return the statistics of every clip, shape (n_clips, 4 · n_mels).

    Four blocks of `n_mels` columns: mean and standard deviation over frames of the log-mel, then those of its deltas.
    Of readers' settings only `trim_silence` has an effect.
    """
    blocks = [
        _statistics(features.filled(features.log_mel[start : start + CLIPS_AT_ONCE]).astype(np.float32))
        for start in range(0, features.n_clips, CLIPS_AT_ONCE)
    ]
    return np.concatenate(blocks)


def _statistics(log_mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    parts = (log_mel, deltas(log_mel))
    return np.concatenate([statistic(part, axis=2) for part in parts for statistic in (np.mean, np.std)], axis=1)
