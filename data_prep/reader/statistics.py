"""Mean and standard deviation of each mel band over the training clips, for standardization."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from data_prep.schema import Config


class BandStatistics(Config):
    """Statistics that `reader.scaling: standardize` scales each mel band by; saved with the model."""

    mean: tuple[float, ...]
    """Mean of the stored log-mel per band, lowest band first."""
    deviation: tuple[float, ...]
    """Standard deviation per band; 1 for a constant band."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.mean) != len(self.deviation) or not all(value > 0 for value in self.deviation):
            raise ValueError(f"{len(self.mean)} means need as many deviations, all over 0")
        return self


def fit_statistics(log_mel: npt.NDArray[np.float16]) -> BandStatistics:
    """Return the statistics of stored log-mels (n_clips, n_mels, n_frames), summed in float64, clip by clip."""
    n_mels = log_mel.shape[1]
    total, squares = np.zeros(n_mels), np.zeros(n_mels)
    for clip in log_mel:
        x = clip.astype(np.float64)
        total += x.sum(axis=1)
        squares += np.einsum("mt,mt->m", x, x)
    n = log_mel.shape[0] * log_mel.shape[2]
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    deviation[deviation < 1e-4] = 1.0  # a constant band, up to rounding
    return BandStatistics(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))
