"""Stored log-mels → network input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.config import DELTA_LOSS, ReaderSpec
from data_prep.errors import ConfigError

Float32 = npt.NDArray[np.float32]


def deltas(x: Float32) -> Float32:
    """Return the slope of `x` along its last axis (frames), valid frames only: 4 fewer than `x` has.

    `d[t] = (x[t+1] − x[t−1]) / 10 + (x[t+2] − x[t−2]) / 5`, the regression over five frames of Hu et al. 2020
    (`librosa.feature.delta` is another formula).
    """
    out: Float32 = (x[..., 3:-1] - x[..., 1:-3]) * np.float32(0.1)
    out += (x[..., 4:] - x[..., :-4]) * np.float32(0.2)
    return out


def to_inputs(log_mel: npt.NDArray[np.floating], reader: ReaderSpec) -> Float32:
    """Return network input (b, n_mels, n_frames', n_channels) float32 of stored log-mels (b, n_mels, n_frames).

    Channels are the (scaled) log-mel, its deltas, and the deltas' deltas. With `edges="crop"` a batch of 431 frames
    gives 423: `[x[4:−4], d[2:−2], dd]`. With `edges="pad"` the first and last frames are repeated instead.

    Raises:
        ConfigError: if the clips are too short for the deltas asked for.
    """
    lost = DELTA_LOSS * reader.deltas
    n_frames = log_mel.shape[-1]
    if n_frames <= lost:
        raise ConfigError(
            f"reader.deltas: {reader.deltas} orders of deltas need more than {lost} frames, clips have {n_frames}. "
            "Take fewer orders, a smaller hop_length or longer clips."
        )
    n_kept = n_frames - (lost if reader.edges == "crop" else 0)
    out = np.empty((*log_mel.shape[:2], n_kept, reader.n_channels), dtype=np.float32)
    for clip, channels in zip(log_mel, out, strict=True):  # one by one: a clip fits the cache, a batch does not
        _stack(clip.astype(np.float32), reader, channels)
    return out


def _stack(x: Float32, reader: ReaderSpec, out: Float32) -> None:
    """Write the channels of one clip `x` (n_mels, n_frames) into `out` (n_mels, n_frames', n_channels)."""
    if reader.scaling == "minmax":
        low, high = x.min(), x.max()
        x -= low
        if high > low:  # else the clip is constant, and zeros now
            x /= high - low
    if reader.edges == "pad" and reader.deltas:
        margin = DELTA_LOSS * reader.deltas // 2
        x = np.pad(x, ((0, 0), (margin, margin)), mode="edge")
    n_kept = out.shape[1]
    for channel in range(reader.n_channels):
        if channel:
            x = deltas(x)
        margin = (x.shape[1] - n_kept) // 2
        out[..., channel] = x[:, margin : margin + n_kept]
