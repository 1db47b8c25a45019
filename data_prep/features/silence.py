"""Digital silence in stored log-mels: frames with all bands at the floor."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec

Bounds = npt.NDArray[np.int64]
"""(n_clips, 2): the first kept frame, and the one after the last."""

MIN_KEPT_S = 0.2
"""Shortest kept part of a clip in seconds."""


def is_silent(log_mel: npt.NDArray[np.floating], spec: FeatureSpec) -> npt.NDArray[np.bool_]:
    """Return whether each frame of a stored log-mel (n_mels, n_frames) is digital silence, with all bands at the floor.

    Bands may differ from the floor by one float16 step, due to rounding.
    """
    floor = floor_of(spec)
    return np.asarray(log_mel.max(axis=0) <= floor + np.abs(np.spacing(floor)))


def kept_frames(log_mel: npt.NDArray[np.float16], spec: FeatureSpec) -> Bounds:
    """Return the bounds of clips (n_clips, n_mels, n_frames) without the silence at both ends.

    At least `MIN_KEPT_S` around the sound are kept, within the clip. Entirely silent clips are kept whole.
    """
    n_frames = log_mel.shape[2]
    n_least = min(n_frames, math.ceil(MIN_KEPT_S * spec.sample_rate / spec.hop_length))
    bounds = np.empty((len(log_mel), 2), dtype=np.int64)
    for i, clip in enumerate(log_mel):
        sounding = np.flatnonzero(~is_silent(clip, spec))
        first, stop = (int(sounding[0]), int(sounding[-1]) + 1) if len(sounding) else (0, n_frames)
        if stop - first < n_least:
            first = min(max(0, (first + stop - n_least) // 2), n_frames - n_least)
            stop = first + n_least
        bounds[i] = first, stop
    return bounds


def floor_of(spec: FeatureSpec) -> np.float16:
    """Return the stored log-mel of silence, the logarithm of `log_offset`."""
    return np.float16(np.log(spec.log_offset))
