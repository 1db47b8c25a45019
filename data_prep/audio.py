"""Audio files → waveforms of one rate, one channel and one length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data_prep.errors import DataError

if TYPE_CHECKING:
    from data_prep.config import FeatureSpec

Waveform = npt.NDArray[np.float32]


def read_clip(path: Path, spec: FeatureSpec) -> Waveform:
    """Return the clip in `path` as (n_samples,) float32 mono at `spec.sample_rate`, zero-padded or cut at its end.

    Raises:
        DataError: if the file can't be decoded to its end, is empty or holds values that are no numbers.
    """
    return fit_length(read_mono(path, spec.sample_rate), spec.n_samples)


def read_mono(path: Path, sample_rate: int) -> Waveform:
    """Return the whole file as (n,) float32 at `sample_rate` Hz; channels are averaged.

    Raises:
        DataError: as `read_clip`.
    """
    import soundfile

    if path.is_dir() or not path.exists():  # libsndfile's word for these is "System error"
        raise DataError(f"{path}: {'is a folder, not a recording' if path.is_dir() else 'no such file'}.")
    try:
        with soundfile.SoundFile(path) as file:
            n_promised, rate = file.frames, file.samplerate
            y = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: cannot be decoded: {_reason(error, path)}. Replace the file.") from None
    if len(y) == 0:
        raise DataError(f"{path}: holds no samples. Replace the file.")
    if len(y) < n_promised:
        raise DataError(f"{path}: ends after {len(y):,} of {n_promised:,} samples. Replace the file.")
    mono: Waveform = y[:, 0] if y.shape[1] == 1 else y.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DataError(f"{path}: holds values that are no finite numbers. Replace the file.")
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate).astype(np.float32, copy=False)
    return np.ascontiguousarray(mono)


def fit_length(y: Waveform, n_samples: int) -> Waveform:
    """Return `y` cut at its end, or padded there with zeros, to exactly `n_samples`."""
    if len(y) >= n_samples:
        return y[:n_samples]
    return np.pad(y, (0, n_samples - len(y)))


def _reason(error: Exception, path: Path) -> str:
    """Return libsndfile's words without the path, which the message has already."""
    return str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(". ")
