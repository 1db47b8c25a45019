"""Trimming of silence from stored log-mels, and random windows of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.config import DELTA_LOSS, FeatureSpec, ReaderSpec
from data_prep.features.silence import Bounds, floor_of, kept_frames

LogMels = npt.NDArray[np.float16]


def repeated(log_mel: LogMels, bounds: Bounds) -> LogMels:
    """Return clips (n_clips, n_mels, n_frames) in which the frames within `bounds` are repeated to full length.

    Every window of a clip then contains sound; windows of silence would distort the mean of the probabilities.
    """
    frames = np.arange(log_mel.shape[2])
    out = np.empty_like(log_mel)
    for clip, (first, stop), target in zip(log_mel, bounds.tolist(), out, strict=True):
        np.take(clip, first + frames % (stop - first), axis=1, out=target)
    return out


class RandomWindows:
    """Draws random windows of training clips, with the margins that their deltas require.

    If the reader trims silence, a window may extend past the kept frames into silence by up to half its length.
    Otherwise windows stay within the frames that the windows of the exported file come from.

    Args:
        log_mel: clips of the training set, (n_clips, n_mels, n_frames).
        reader: a reader with windows.
        spec: the stored feature.

    Raises:
        ConfigError: if a window is longer than a clip.
        ValueError: if the reader has no windows.
    """

    def __init__(self, log_mel: LogMels, reader: ReaderSpec, spec: FeatureSpec) -> None:
        windows = reader.windows(spec)
        if windows is None:
            raise ValueError("reader.window_seconds is null: there are no windows to draw")
        self._spec, self._trims = spec, reader.trim_silence
        self._margin = DELTA_LOSS * reader.deltas // 2
        self._n_frames = windows.n_frames
        self._overhang = windows.n_frames // 2 if self._trims else -self._margin
        self._bounds = self._bounds_of(log_mel)

    def __call__(self, clips: LogMels, rng: np.random.Generator, rows: npt.NDArray[np.integer] | None) -> LogMels:
        """Return a window of each clip, (b, n_mels, n_frames + margins), at a uniformly distributed position.

        Args:
            clips: (b, n_mels, frames of a clip).
            rng: random generator.
            rows: indices of the clips in the training set; None if the clips were changed.
        """
        bounds = self._bounds_of(clips) if rows is None else self._bounds[rows]
        n_frames = self._n_frames + 2 * self._margin
        out = np.full((*clips.shape[:2], n_frames), floor_of(self._spec), dtype=clips.dtype)
        low, high = bounds[:, 0] - self._overhang, bounds[:, 1] + self._overhang - self._n_frames
        starts = rng.integers(low, high, endpoint=True) - self._margin
        for clip, (first, stop), start, target in zip(clips, bounds.tolist(), starts.tolist(), out, strict=True):
            begin, end = max(first, start), min(stop, start + n_frames)
            target[:, begin - start : end - start] = clip[:, begin:end]
        return out

    def _bounds_of(self, log_mel: LogMels) -> Bounds:
        if self._trims:
            return kept_frames(log_mel, self._spec)
        return np.tile(np.array([0, log_mel.shape[2]], dtype=np.int64), (len(log_mel), 1))
