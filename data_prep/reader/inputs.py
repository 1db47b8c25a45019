"""Stored log-mels → network input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data_prep.config import DELTA_LOSS, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.reader.statistics import BandStatistics

Float32 = npt.NDArray[np.float32]


def deltas(x: Float32) -> Float32:
    """Return the slope of `x` along its last axis (frames); only the valid frames, 4 fewer than in `x`.

    `d[t] = (x[t+1] − x[t−1]) / 10 + (x[t+2] − x[t−2]) / 5`, the regression over five frames of Hu et al. (2020).
    `librosa.feature.delta` uses a different formula.
    """
    out: Float32 = (x[..., 3:-1] - x[..., 1:-3]) * np.float32(0.1)
    out += (x[..., 4:] - x[..., :-4]) * np.float32(0.2)
    return out


def to_channels(
    log_mel: npt.NDArray[np.floating], reader: ReaderSpec, statistics: BandStatistics | None = None
) -> Float32:
    """Return stored log-mels (b, n_mels, n_frames) as channels (b, n_mels, n_frames', 1 + reader.deltas), float32.

    Channels are the scaled log-mel, its deltas, and the deltas of the deltas. They are the network's input, but for the
    frequency channel (`with_frequency`). With `edges="crop"`, 431 frames become
    423: `[x[4:−4], d[2:−2], dd]`. With `edges="pad"`, the first and last frames are repeated instead.

    Args:
        log_mel: float16 as stored, or wider.
        reader: scaling, deltas and edges.
        statistics: statistics of the training clips, required for standardization.

    Raises:
        ConfigError: if the clips are too short for the deltas, or statistics are missing or of the wrong size.
    """
    n_clips, n_mels, n_frames = log_mel.shape
    shift, scale = _shift_and_scale(reader, statistics, n_mels)
    shifts = [shift] * n_clips
    if reader.scaling == "center":
        shifts = list(log_mel.mean(axis=2, dtype=np.float64).astype(np.float32))
    out = np.empty((n_clips, n_mels, n_kept_frames(n_frames, reader), 1 + reader.deltas), dtype=np.float32)
    margin = DELTA_LOSS * reader.deltas // 2 if reader.edges == "pad" else 0
    is_minmax = reader.scaling == "minmax"
    try:
        from data_prep.reader.stacking import stack
    except ImportError:  # new Python versions have no numba builds for months
        stack = _stack
    stack(log_mel, shifts, scale, is_minmax, margin, out)
    return out


def with_frequency(channels: Float32) -> Float32:
    """Return `channels` (b, n_mels, n_frames, n_channels) and one more: the position of a band, from −1 to 1."""
    n_clips, n_mels, n_frames, n_channels = channels.shape
    out = np.empty((n_clips, n_mels, n_frames, n_channels + 1), dtype=np.float32)
    out[..., :-1] = channels
    out[..., -1] = np.linspace(-1, 1, n_mels, dtype=np.float32)[:, None]
    return out


def n_kept_frames(n_frames: int, reader: ReaderSpec) -> int:
    """Return the number of input frames for `n_frames` stored frames.

    Raises:
        ConfigError: if there are too few for the deltas.
    """
    lost = DELTA_LOSS * reader.deltas
    if n_frames <= lost:
        raise ConfigError(
            f"reader.deltas: {reader.deltas} orders of deltas need more than {lost} frames, clips have {n_frames}. Use "
            "fewer orders, a smaller hop_length or longer clips."
        )
    return n_frames - (lost if reader.edges == "crop" else 0)


def _shift_and_scale(reader: ReaderSpec, statistics: BandStatistics | None, n_mels: int) -> tuple[Float32, Float32]:
    """Return the offset subtracted from each band and the divisor, (n_mels,) each."""
    if reader.scaling != "standardize":
        return np.zeros(n_mels, dtype=np.float32), np.ones(n_mels, dtype=np.float32)
    if statistics is None or len(statistics.mean) != n_mels:
        given = "none were given" if statistics is None else f"these are of {len(statistics.mean)}"
        raise ConfigError(
            f"reader.scaling: standardize needs the training clips' statistics of {n_mels} mel bands, and {given}. "
            "They are in the candidate's config.yaml. Choose another scaling, or read shards that have a training "
            "split."
        )
    return np.array(statistics.mean, dtype=np.float32), np.array(statistics.deviation, dtype=np.float32)


def _stack(
    log_mel: npt.NDArray[np.floating],
    shifts: Sequence[Float32],
    scale: Float32,
    is_minmax: bool,
    margin: int,
    out: Float32,
) -> None:
    """Compute `data_prep.reader.stacking.stack` in NumPy."""
    n_kept, n_channels = out.shape[2:]
    # Clip by clip: a clip fits the processor's cache, a batch does not.
    for clip, shift, channels in zip(log_mel, shifts, out, strict=True):
        x = clip.astype(np.float32)
        if is_minmax:
            low, high = x.min(), x.max()
            x -= low
            if high > low:  # else the clip is constant, now all zeros
                x /= high - low
        else:
            x -= shift[:, None]
            x /= scale[:, None]
        if margin:
            x = np.pad(x, ((0, 0), (margin, margin)), mode="edge")
        for channel in range(n_channels):
            if channel:
                x = deltas(x)
            first = (x.shape[1] - n_kept) // 2
            channels[..., channel] = x[:, first : first + n_kept]
