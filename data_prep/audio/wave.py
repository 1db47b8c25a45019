"""Headers of WAV files: which errors can be corrected reliably, and which are damage.

Recorders write headers with a few known errors: no pad byte after a chunk of odd length, the size of the whole file
instead of that of the data, or wrong bytes per second or per frame. If everything else agrees, the samples are read and
the error is reported. A header that allows two readings is damage.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

UNKNOWN_SIZE = 0x7FFF_0000
"""Sizes of at least this are written by programs that don't know the length yet."""
NO_PAD = "lacks the pad byte after a chunk of odd length"
SIZE_WITH_HEADER = "declares more bytes of audio than the file has, by the length of the header"
BYTES_PER_SECOND = "declares a wrong number of bytes per second"
BYTES_PER_FRAME = "declares a wrong number of bytes per frame"

_LINEAR = (1, 3, 6, 7)
"""Formats with a fixed sample width: PCM, float, A-law, μ-law."""
_EXTENSIBLE = 0xFFFE
_USUAL_RATES = frozenset(
    (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000)
)
_HEADER_SIZES = (36, 44)
"""Bytes by which recording apps overstate the size: a plain header with or without its first eight bytes."""


@dataclass(frozen=True)
class Wave:
    """Position of the samples in a WAV file, and its corrected format."""

    form: bytes
    """Content of the format chunk, corrected."""
    start: int
    """Offset of the samples in bytes."""
    n_bytes: int
    """Size of the samples in bytes."""
    slips: tuple[str, ...]
    """Errors in the header that were corrected."""


def is_wave(head: bytes) -> bool:
    """Return whether a file that begins with `head` (12 bytes) is a WAV file."""
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def mended_wave(path: Path) -> tuple[io.BytesIO, str] | None:
    """Return a WAV file with a corrected header, and the error; None if there is none or it is not a WAV file.

    Raises:
        OSError: if the file can't be read.
    """
    with path.open("rb") as file:
        if not is_wave(file.read(12)):
            return None
        found = read_wave(file, path.stat().st_size)
        if isinstance(found, str) or not found.slips:
            return None
        file.seek(found.start)
        sound = file.read(found.n_bytes)
    chunks = [(b"fmt ", found.form), (b"data", sound)]
    body = b"WAVE" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body), "; ".join(found.slips)


def never_closed(n_bytes: int) -> str | None:
    """Return a message for a file whose header states no samples but is followed by `n_bytes`; None for 0."""
    if n_bytes <= 0:
        return None
    return (
        f"has an unfinished header: it declares no audio, but {n_bytes:,} bytes of audio follow. The program that "
        "wrote it was interrupted; `sox --ignore-length BAD.wav GOOD.wav` writes a correct header"
    )


def read_wave(file: BinaryIO, n_file: int) -> Wave | str:
    """Return the position of the samples in an open WAV file of `n_file` bytes, or a description of the damage."""
    slips: dict[str, None] = {}
    form, long_size, at = b"", None, 12
    while (chunk := _chunk_at(file, at)) is not None:
        name, size = chunk
        start = at + 8
        if name == b"data":
            size = long_size if long_size is not None and size == 0xFFFF_FFFF else size
            n_bytes = _sound_size(file, start, size, n_file, slips, is_long=long_size is not None)
            return n_bytes if isinstance(n_bytes, str) else Wave(form, start, n_bytes, tuple(slips))
        file.seek(start)
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            checked = checked_format(file.read(min(size, 40)), slips)
            if isinstance(checked, str):
                return checked
            form = checked
        at = start + size + size % 2
        if size % 2 and not _is_chunk(file, at, n_file) and _is_chunk(file, at - 1, n_file):
            at -= 1
            slips[NO_PAD] = None
    return "has no audio: its header ends before the data chunk"


def _sound_size(
    file: BinaryIO, start: int, size: int, n_file: int, slips: dict[str, None], *, is_long: bool
) -> int | str:
    """Return the actual size of the samples in bytes if the header states `size`, or a description of the damage."""
    present = n_file - start
    if size == 0 and present and not _chunks_to_end(file, start, n_file):
        return never_closed(present) or "contains no samples"
    if present < size < UNKNOWN_SIZE or (is_long and present < size):
        if size - present not in (*_HEADER_SIZES, start, start - 8):
            return f"is cut off: {present:,} of {size:,} bytes of audio are present"
        slips[SIZE_WITH_HEADER] = None
        return present
    if size >= UNKNOWN_SIZE and present < size:
        return present
    end = start + size
    file.seek(end + size % 2)
    name = file.read(4)
    if len(name) < 4 or not any(name) or _is_name(name):
        return size
    if size % 2 and _is_chunk(file, end, n_file):
        slips[NO_PAD] = None
        return size
    return f"contradicts itself: {present - size:,} bytes after its audio belong to no chunk"


def sample_layout(chunk: bytes) -> tuple[int, int, int, int]:
    """Return (format tag, channels, rate in Hz, bits) of a format chunk of at least 16 bytes."""
    tag, n_channels, rate, bits = struct.unpack("<HHI6xH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")
    return tag, n_channels, rate, bits


def checked_format(chunk: bytes, slips: dict[str, None]) -> bytes | str:
    """Return the format chunk with corrected redundant fields, or a description of the damage.

    Args:
        chunk: the format chunk.
        slips: gets the errors that were corrected, as keys.
    """
    if len(chunk) < 16:
        return "has a format chunk that is too short"
    tag, n_channels, rate, bits = sample_layout(chunk)
    bytes_per_second, bytes_per_frame = struct.unpack("<8xIH", chunk[:14])
    if tag not in _LINEAR:
        return chunk
    frame = n_channels * -(-bits // 8)
    if bytes_per_frame != frame:
        if bytes_per_second != rate * frame or not frame:
            return f"contradicts itself: {n_channels} channels of {bits} bits in {bytes_per_frame} bytes per frame"
        slips[BYTES_PER_FRAME] = None
    if tag in (6, 7) and bits != 8:
        return f"contradicts itself: A-law and μ-law have 8 bits, not {bits}"
    if bytes_per_second != rate * frame:
        if not _is_rate_certain(rate, bytes_per_second, n_channels, bits):
            return f"contradicts itself: {rate:,} Hz × {frame} bytes, but {bytes_per_second:,} bytes per second"
        slips[BYTES_PER_SECOND] = None
    return chunk[:8] + struct.pack("<IH", rate * frame, frame) + chunk[14:]


def _is_rate_certain(rate: int, bytes_per_second: int, n_channels: int, bits: int) -> bool:
    """Return whether the rate is right although it disagrees with the bytes per second.

    It is right if it is a common rate, and the bytes per second are a known miscalculation or imply no common rate.
    """
    if rate not in _USUAL_RATES:
        return False
    width = -(-bits // 8)
    slips = {0, rate, rate * n_channels, rate * width, rate * bits, rate * n_channels * bits}
    return bytes_per_second in slips or bytes_per_second / (n_channels * width) not in _USUAL_RATES


def _chunk_at(file: BinaryIO, at: int) -> tuple[bytes, int] | None:
    """Return name and size of the chunk whose header begins at `at`, or None at the end of the file."""
    file.seek(at)
    head = file.read(8)
    return (head[:4], int.from_bytes(head[4:], "little")) if len(head) == 8 else None


def _is_chunk(file: BinaryIO, at: int, n_file: int) -> bool:
    """Return whether a chunk that fits into the file begins at `at`, or the file ends there."""
    if at == n_file:
        return True
    chunk = _chunk_at(file, at)
    if chunk is None or not _is_name(chunk[0]):
        return False
    return chunk[0] == b"data" or at + 8 + chunk[1] <= n_file


def _chunks_to_end(file: BinaryIO, at: int, n_file: int) -> bool:
    """Return whether only complete chunks follow."""
    while at < n_file and _is_chunk(file, at, n_file):
        _, size = _chunk_at(file, at) or (b"", 0)
        at += 8 + size + size % 2
    return at >= n_file


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)
