"""Audio files → mono waveforms with a fixed sample rate and length."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.audio.containers import find_damage, size_note
from data_prep.audio.riff import RATES_HZ, read_pcm16
from data_prep.audio.wave import mended_wave
from data_prep.errors import DataError

if TYPE_CHECKING:
    from soundfile import SoundFile

    from data_prep.config import FeatureSpec

Waveform = npt.NDArray[np.float32]

BLOCK_SAMPLES = 1 << 24
"""Recordings with more samples (190 s of stereo at 44.1 kHz) are read in blocks."""
MAX_BYTES = 1 << 31
"""Larger files, and recordings that decode to more bytes, are refused to protect the memory."""
MAX_SAMPLE = 1e10
"""Largest sample (full scale is 1). Larger ones overflow in the power of a mel band, or come from damage."""
REPLACE = "Replace the file."
MP3_FRAME = 1152
"""Samples by which an MP3 may be shorter than its header, which rounds to frames; frames are counted separately."""


def read_clip(path: Path, spec: FeatureSpec) -> Waveform:
    """Return the clip in `path` as (n_samples,) float32 mono at `spec.sample_rate`, zero-padded or cut at its end.

    Raises:
        DataError: if the file can't be decoded to its end, is empty or has non-finite samples.
    """
    return fit_length(read_mono(path, spec.sample_rate), spec.n_samples)


def read_mono(path: Path, sample_rate: int) -> Waveform:
    """Return the whole file as (n,) float32 at `sample_rate` Hz; channels are averaged.

    Raises:
        DataError: as `read_clip`.
    """
    return resample(*decode_mono(path), sample_rate)


def resample(y: Waveform, rate: int, sample_rate: int) -> Waveform:
    """Return the waveform `y` (n,) of `rate` Hz as float32 at `sample_rate` Hz."""
    if rate != sample_rate:
        import soxr

        y = soxr.resample(y, rate, sample_rate)
    return np.ascontiguousarray(y, dtype=np.float32)


def decode_mono(path: Path) -> tuple[Waveform, int]:
    """Return the whole file as (n,) float32, channels averaged, and its original sample rate in Hz.

    Raises:
        DataError: as `decode`.
    """
    sound = decode(path)
    return sound.y, sound.rate


class Decoded(NamedTuple):
    """A recording."""

    y: Waveform
    """(n,) float32, channels averaged."""
    rate: int
    """Hz."""
    slip: str = ""
    """Error in the header of a file that can still be decoded reliably; usually empty."""


def decode(path: Path) -> Decoded:
    """Return the recording in a file of any format that libsndfile reads.

    Formats include WAV, FLAC, Ogg (Vorbis, Opus), MP3 and AIFF.

    Raises:
        DataError: as `read_clip`; also if the container is inconsistent, so that libsndfile would not decode it to
            what was recorded (see `data_prep.audio.containers`).
    """
    if (n_bytes := require_file(path)) > MAX_BYTES:
        raise DataError(f"{path}: has {n_bytes:,} bytes; at most {MAX_BYTES:,} are read. Cut it into clips.")
    plain = read_pcm16(path)
    if plain is not None:
        return Decoded(*plain)
    with opened(path) as (file, slip):
        n_promised, rate = promised_frames(file), file.samplerate
        y = _read_all(file)
    if len(y) == 0:
        raise DataError(f"{path}: contains no samples. Replace the file.")
    if y.nbytes > MAX_BYTES:
        raise DataError(f"{path}: is longer than {MAX_BYTES:,} bytes once decoded. Cut it into clips.")
    if len(y) < n_promised:
        raise DataError(f"{path}: ends after {len(y):,} of {n_promised:,} samples. Replace the file.")
    require_rate(path, rate)
    return Decoded(to_mono(y, path), rate, slip)


@contextmanager
def opened(path: Path) -> Iterator[tuple[SoundFile, str]]:
    """Open a recording in libsndfile; yields it with the corrected error in its header, usually "".

    Raises:
        DataError: if it cannot be opened or, in the block, read; also if its container is inconsistent.
    """
    import soundfile

    try:
        if (damage := find_damage(path)) is not None:
            raise DataError(f"{path}: {damage}. Replace the file.")
        mended = mended_wave(path)
        source, slip = mended if mended is not None else (openable(path), "")
        with soundfile.SoundFile(source) as file:
            if (damage := size_note(file.extra_info)) is not None:
                raise DataError(f"{path}: {damage}. Replace the file.")
            yield file, slip
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: cannot be decoded: {_reason(error, path)}. Replace the file.") from None


def promised_frames(file: SoundFile) -> int:
    """Return how many samples per channel an open file must have by its header."""
    n_stated: int = file.frames
    return n_stated - (MP3_FRAME if file.format == "MP3" else 0)


def require_rate(source: Path | str, rate: int, remedy: str = REPLACE) -> None:
    """Check the sample rate of `source`.

    Raises:
        DataError: if no recorder has it.
    """
    if rate not in RATES_HZ:
        raise DataError(f"{source}: has a sample rate of {rate:,} Hz, which is out of range. {remedy}")


def to_mono(y: Waveform, source: Path | str, remedy: str = REPLACE) -> Waveform:
    """Return samples (n, channels) of `source` as (n,), channels averaged.

    Raises:
        DataError: if they are not finite or far beyond full scale.
    """
    mono: Waveform = y[:, 0] if y.shape[1] == 1 else y.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DataError(f"{source}: contains values that are not finite. {remedy}")
    if (peak := float(np.abs(mono).max())) > MAX_SAMPLE:
        raise DataError(f"{source}: contains a sample of {peak:.3g}; full scale is 1. {remedy}")
    return mono


def openable(path: Path) -> Path | bytes:
    """Return `path` as libsndfile accepts it: as bytes if the name is not UTF-8."""
    return path if str(path).isprintable() else os.fsencode(path)


def require_file(path: Path) -> int:
    """Return the size of `path` in bytes, a regular file: reading a named pipe or a device may never end.

    Raises:
        DataError: if it is anything else; the message says what.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path}: is a folder, not a recording.")
    if not stat.S_ISREG(status.st_mode):
        what = "a named pipe" if stat.S_ISFIFO(status.st_mode) else "a device or socket"
        raise DataError(f"{path}: is {what}, not a recording. Replace it with a file.")
    return status.st_size


def _read_all(file: SoundFile) -> Waveform:
    """Return the samples (n, channels) of an open file, without trusting the length in its header."""
    n_block = max(1, BLOCK_SAMPLES // file.channels)
    if file.frames <= n_block:
        whole: Waveform = file.read(dtype="float32", always_2d=True)
        return whole
    blocks: list[Waveform] = []
    while len(block := file.read(n_block, dtype="float32", always_2d=True)):
        blocks.append(block)
        if sum(known.nbytes for known in blocks) > MAX_BYTES:
            break  # reported by the caller
    return np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)


def fit_length(y: Waveform, n_samples: int) -> Waveform:
    """Return `y` cut or zero-padded at its end to exactly `n_samples`."""
    if len(y) >= n_samples:
        return y[:n_samples]
    return np.pad(y, (0, n_samples - len(y)))


def _reason(error: Exception, path: Path) -> str:
    """Return libsndfile's message without the path, which the caller's message already has."""
    return str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(". ")
