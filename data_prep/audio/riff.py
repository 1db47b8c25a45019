"""Fast reading of plain 16-bit WAV files without a decoder."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PCM = 1
RATES_HZ = range(1_000, 768_001)


def read_pcm16(path: Path) -> tuple[npt.NDArray[np.float32], int] | None:
    """Return the samples (n,) float32 of a WAV file, channels averaged, and its rate in Hz; None if it isn't plain.

    A plain file is a RIFF file of 16-bit integers in which all sizes agree to the byte. All others are left to the
    decoder, which reports damage. The values equal those of libsndfile.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < _HEADER.size:
        return None
    riff, size, wave = _HEADER.unpack_from(data)
    if (riff, size, wave) != (b"RIFF", len(data) - 8, b"WAVE"):
        return None
    found = _plain_data(data)
    if found is None:
        return None
    offset, n_bytes, n_channels, rate = found
    samples = np.frombuffer(data, dtype="<i2", count=n_bytes // 2, offset=offset)
    y = np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)
    return (y if n_channels == 1 else y.reshape(-1, n_channels).mean(axis=1, dtype=np.float32)), rate


def _plain_data(data: bytes) -> tuple[int, int, int, int] | None:
    """Return offset and length in bytes of the samples, number of channels and rate, or None if it isn't plain."""
    form: tuple[int, int] | None = None
    data_chunk: tuple[int, int] | None = None
    offset = _HEADER.size
    while offset < len(data):
        if offset + _CHUNK.size > len(data):
            return None
        name, size = _CHUNK.unpack_from(data, offset)
        offset += _CHUNK.size
        if offset + size > len(data):
            return None
        if name == b"fmt ":
            if form is not None or size != _FORMAT.size:
                return None
            code, n_channels, rate, bytes_per_s, bytes_per_frame, n_bits = _FORMAT.unpack_from(data, offset)
            if (code, n_bits, bytes_per_frame, bytes_per_s) != (_PCM, 16, 2 * n_channels, 2 * n_channels * rate):
                return None
            form = n_channels, rate
        elif name == b"data":
            if form is None or data_chunk is not None:
                return None
            data_chunk = offset, size
        offset += size + size % 2
    if form is None or data_chunk is None or form[0] == 0 or form[1] not in RATES_HZ:
        return None
    return (*data_chunk, *form) if data_chunk[1] and data_chunk[1] % (2 * form[0]) == 0 else None
