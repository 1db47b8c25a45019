"""Triangular mel filters as librosa defines them, to the last bit, without the seconds that importing librosa takes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec

Float64 = npt.NDArray[np.float64]

_HZ_PER_MEL = 200.0 / 3
"""Slaney's scale is linear up to 1000 Hz …"""
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0
"""… and logarithmic above: 27 mels from 1000 to 6400 Hz."""


@lru_cache(maxsize=4)
def mel_filters(spec: FeatureSpec) -> Float64:
    """Return the filters (n_mels, n_fft // 2 + 1); the array is read-only.

    A band that is narrower than a bin may be empty.
    """
    top = spec.sample_rate / 2 if spec.fmax_hz is None else spec.fmax_hz
    low, high = _hz_to_mel(np.array([spec.fmin_hz, top]), htk=spec.htk)
    corners = _mel_to_hz(np.linspace(low, high, spec.n_mels + 2), htk=spec.htk)
    widths = np.diff(corners)[:, np.newaxis]
    distances = np.subtract.outer(corners, np.fft.rfftfreq(spec.n_fft, 1.0 / spec.sample_rate))
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    filters: Float64 = np.maximum(0, np.minimum(rising, falling))
    if spec.norm == "slaney":
        filters *= (2.0 / (corners[2:] - corners[:-2]))[:, np.newaxis]
    filters.flags.writeable = False
    return filters


def _hz_to_mel(hz: Float64, *, htk: bool) -> Float64:
    """Return mels by HTK's formula, or by that of Slaney's Auditory Toolbox (1998)."""
    if htk:
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    mels = hz / _HZ_PER_MEL
    is_high = hz >= _LOG_FROM_HZ
    mels[is_high] = _LOG_FROM_MEL + np.log(hz[is_high] / _LOG_FROM_HZ) / _LOG_STEP
    return mels


def _mel_to_hz(mels: Float64, *, htk: bool) -> Float64:
    """Return the frequencies of `mels`, the inverse of `_hz_to_mel`."""
    if htk:
        return np.asarray(700.0 * (10.0 ** (mels / 2595.0) - 1.0))
    hz = _HZ_PER_MEL * mels
    is_high = mels >= _LOG_FROM_MEL
    hz[is_high] = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels[is_high] - _LOG_FROM_MEL))
    return hz
