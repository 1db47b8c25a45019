"""Raw PCM samples without a header, as ffmpeg, sox and arecord write them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.errors import ConfigError, DataError

READ_BYTES = 1 << 16
"""Bytes read at once at most; less is passed on as soon as it arrives."""


class Encoding(NamedTuple):
    """How a sample is stored."""

    dtype: str
    """NumPy's name of the stored type, for 24 bits of the type that they are widened to."""
    n_bytes: int
    """Stored bytes of a sample."""
    zero: int
    """Value of silence."""
    full_scale: float
    """Distance from silence to full scale."""


ENCODINGS = {
    "u8": Encoding("u1", 1, 128, 2.0**7),
    "s16le": Encoding("<i2", 2, 0, 2.0**15),
    "s24le": Encoding("<i4", 3, 0, 2.0**31),
    "s32le": Encoding("<i4", 4, 0, 2.0**31),
    "f32le": Encoding("<f4", 4, 0, 1.0),
    "f64le": Encoding("<f8", 8, 0, 1.0),
}
"""{ffmpeg's name of a sample format: how its samples are stored}."""


def sample_format(name: str) -> str:
    """Return a key of `ENCODINGS` for ffmpeg's (`s16le`, `s16`) or ALSA's name (`S16_LE`) of a sample format.

    Raises:
        ConfigError: if there is none.
    """
    plain = name.lower().removesuffix("_3le").replace("_", "").replace("float64", "f64").replace("float", "f32")
    for known in (plain, f"{plain}le"):
        if known in ENCODINGS:
            return known
    raise ConfigError(f"--format {name}: unknown sample format; known: {', '.join(ENCODINGS)}")


def decode_pcm(data: bytes, encoding: str) -> npt.NDArray[np.float32]:
    """Return whole samples (n,) as float32 with full scale at −1 and 1; the values equal those of libsndfile.

    Args:
        data: the samples' bytes.
        encoding: key of `ENCODINGS`.
    """
    dtype, n_bytes, zero, full_scale = ENCODINGS[encoding]
    if n_bytes == 3:  # as the upper three bytes of 32 bits
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data = wide.tobytes()
    with np.errstate(invalid="ignore", over="ignore"):  # reported by who checks the samples
        y = np.frombuffer(data, dtype).astype(np.float32)
        return (y - np.float32(zero)) * np.float32(1 / full_scale)


def pcm_blocks(
    pipe: BufferedIOBase, name: str, encoding: str, n_channels: int, n_bytes: int | None = None
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the samples of a pipe as blocks (n, n_channels) float32, as soon as they arrive.

    Args:
        pipe: what to read.
        name: of the pipe, for messages.
        encoding: key of `ENCODINGS`.
        n_channels: interleaved channels.
        n_bytes: bytes to read; None reads to the end of the stream.

    Raises:
        DataError: if the stream ends before `n_bytes`, or within a sample of all channels.
    """
    n_frame, left, n_read = ENCODINGS[encoding].n_bytes * n_channels, b"", 0
    while data := pipe.read1(READ_BYTES if n_bytes is None else min(READ_BYTES, n_bytes - n_read)):
        n_read += len(data)
        data = left + data
        n_whole = len(data) - len(data) % n_frame
        left = data[n_whole:]
        if n_whole:
            yield decode_pcm(data[:n_whole], encoding).reshape(-1, n_channels)
    if n_bytes is not None and n_read < n_bytes:
        raise DataError(f"{name}: is cut off: {n_read:,} of {n_bytes:,} bytes of audio are present")
    if left:
        raise DataError(
            f"{name}: ends after {len(left):,} of {n_frame:,} bytes of a sample ({n_channels} × {encoding}). It was "
            "cut off, or has other channels or another sample format."
        )
