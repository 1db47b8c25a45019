"""Audio files → waveforms of one rate, one channel and one length."""

from __future__ import annotations

import os
import stat
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
"""Longer recordings are read piece by piece: 190 s of stereo at 44.1 kHz."""
MAX_BYTES = 1 << 31
"""Larger files, and recordings of more bytes once decoded, are no clips: reading them would take the memory."""
MAX_SAMPLE = 1e10
"""Full scale is 1. Larger samples overflow in the power of a mel band, or come from damage."""
MP3_FRAME = 1152
"""Samples that an MP3 may have less than its header says, which rounds to frames; its frames are counted apart."""


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
    return resample(*decode_mono(path), sample_rate)


def resample(y: Waveform, rate: int, sample_rate: int) -> Waveform:
    """Return the waveform `y` (n,) of `rate` Hz as float32 at `sample_rate` Hz."""
    if rate != sample_rate:
        import soxr

        y = soxr.resample(y, rate, sample_rate)
    return np.ascontiguousarray(y, dtype=np.float32)


def decode_mono(path: Path) -> tuple[Waveform, int]:
    """Return the whole file as (n,) float32, channels averaged, and its own sample rate in Hz.

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
    """What is wrong with the file's header although the sound is in no doubt; usually nothing."""


def decode(path: Path) -> Decoded:
    """Return the recording in a file: any container and sample width that libsndfile reads.

    WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF and others.

    Raises:
        DataError: as `read_clip`; also if the container contradicts itself, so that libsndfile would decode it to
            something else than what was recorded (see `data_prep.audio.containers`).
    """
    _require_file(path)
    plain = read_pcm16(path)
    if plain is not None:
        return Decoded(*plain)
    import soundfile

    slip = ""
    try:
        damage = find_damage(path)
        if damage is None:
            mended = mended_wave(path)
            source, slip = mended if mended is not None else (openable(path), "")
            with soundfile.SoundFile(source) as file:
                n_promised, rate = file.frames - (MP3_FRAME if file.format == "MP3" else 0), file.samplerate
                damage = size_note(file.extra_info)
                y = _read_all(file) if damage is None else None
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: cannot be decoded: {_reason(error, path)}. Replace the file.") from None
    if damage is not None or y is None:
        raise DataError(f"{path}: {damage}. Replace the file.")
    if len(y) == 0:
        raise DataError(f"{path}: holds no samples. Replace the file.")
    if y.nbytes > MAX_BYTES:
        raise DataError(f"{path}: is longer than {MAX_BYTES:,} bytes once decoded. Cut it into clips.")
    if len(y) < n_promised:
        raise DataError(f"{path}: ends after {len(y):,} of {n_promised:,} samples. Replace the file.")
    if rate not in RATES_HZ:
        raise DataError(f"{path}: has a sample rate of {rate:,} Hz, which no recording has. Replace the file.")
    mono: Waveform = y[:, 0] if y.shape[1] == 1 else y.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DataError(f"{path}: holds values that are no finite numbers. Replace the file.")
    if (peak := float(np.abs(mono).max())) > MAX_SAMPLE:
        raise DataError(f"{path}: holds a sample of {peak:.3g}, where full scale is 1. Scale or replace the file.")
    return Decoded(mono, rate, slip)


def openable(path: Path) -> Path | bytes:
    """Return `path` as libsndfile takes it: as bytes where the name is no UTF-8."""
    return path if str(path).isprintable() else os.fsencode(path)


def _require_file(path: Path) -> None:
    """Refuse what is no file before it is opened: reading a named pipe or a device may never end.

    Raises:
        DataError: saying what it is.
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
        raise DataError(f"{path}: is {what}, not a recording. Replace it by a file.")
    if status.st_size > MAX_BYTES:
        raise DataError(f"{path}: has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read. Cut it into clips.")


def _read_all(file: SoundFile) -> Waveform:
    """Return (n, channels) of an open file, without believing a header that promises the impossible."""
    n_block = max(1, BLOCK_SAMPLES // file.channels)
    if file.frames <= n_block:
        whole: Waveform = file.read(dtype="float32", always_2d=True)
        return whole
    blocks: list[Waveform] = []
    while len(block := file.read(n_block, dtype="float32", always_2d=True)):
        blocks.append(block)
        if sum(known.nbytes for known in blocks) > MAX_BYTES:
            break  # said by the caller
    return np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)


def fit_length(y: Waveform, n_samples: int) -> Waveform:
    """Return `y` cut at its end, or padded there with zeros, to exactly `n_samples`."""
    if len(y) >= n_samples:
        return y[:n_samples]
    return np.pad(y, (0, n_samples - len(y)))


def _reason(error: Exception, path: Path) -> str:
    """Return libsndfile's words without the path, which the message has already."""
    return str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(". ")
