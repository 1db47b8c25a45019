"""Consistency checks of audio containers, which detect truncated or altered files.

libsndfile silently decodes a truncated WAV, AIFF or Ogg file to a shorter waveform, and reads a WAV file with a damaged
header at the rate in the header. Here, headers are compared with the bytes:

- **WAV**: the data chunk must be complete (sizes that mean "unknown" are accepted) and followed by a chunk or nothing;
  rate, width and channels must agree with the redundant bytes per second and per frame. Header errors that leave one
  reading are accepted (see `data_prep.audio.wave`).
- **Ogg**: checksum and number of every page, and the end mark of the last.
- **MP3**: frames must be contiguous to the end of the file, and the last one complete. A file without an Info header
  that was cut exactly between two frames can't be distinguished from a shorter recording.
- **FLAC**: the rate of the file must be that of its first frame; the decoder checks the rest, frame by frame.
- **AIFF, AU, CAF, W64**: libsndfile's log of sizes.

Changed samples in uncompressed audio can't be detected, nor most changes in MP3, which has no checksums. A changed rate
in AIFF, AU or CAF, which store it only once, is detected only if it is absurd.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path

from data_prep.audio.wave import UNKNOWN_SIZE, is_wave, never_closed, read_wave

_FLAC_RATES = dict(
    enumerate(
        (88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000),
        start=1,
    )
)
"""Hz by the code in a frame's header (RFC 9639, 9.1.2); with other codes the rate is stored elsewhere."""
_SIZE_NOTE = re.compile(r"^\s*([A-Za-z ]+?)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_N_SYNC = 65_536
"""Number of bytes searched for the first MP3 frame."""
_MP3_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits per second by (MPEG version, layer) and the header's index from 1 (ISO 11172-3, 13818-3)."""
_MP3_RATES = (44_100, 48_000, 32_000)


def find_damage(path: Path) -> str | None:
    """Return a description of the inconsistency in the container of `path`, or None.

    Raises:
        OSError: if the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if is_wave(head):
        return _wave_damage(path)
    if head[:4] == b"fLaC":
        return _flac_damage(path)
    if head[:4] == b".snd" and head[8:12] == bytes(4):
        return never_closed(path.stat().st_size - int.from_bytes(head[4:8], "big"))
    if head[:4] == b"OggS":
        return _damage_of_whole(path, _ogg_damage)
    if head[:3] == b"ID3" or (path.suffix.lower() == ".mp3" and head[:1] != b""):
        return _damage_of_whole(path, _mp3_damage)
    return None


def size_note(extra_info: str) -> str | None:
    """Return libsndfile's log of a chunk whose size exceeds the file, or None.

    Args:
        extra_info: `soundfile.SoundFile.extra_info`.
    """
    for name, promised, present in _SIZE_NOTE.findall(extra_info):
        # A missing pad byte after the last chunk is common and harmless.
        if "yte" not in name and int(present) + 8 < int(promised) < UNKNOWN_SIZE:
            return f"is cut off: its {name.strip()} has {int(present):,} of {int(promised):,} bytes"
    return None


def _damage_of_whole(path: Path, find: Callable[[mmap], str | None]) -> str | None:
    """Return what `find` finds in a file that is not empty, without reading it into memory."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return find(data)


def _wave_damage(path: Path) -> str | None:
    with path.open("rb") as file:
        found = read_wave(file, path.stat().st_size)
    return found if isinstance(found, str) else None


def _flac_damage(path: Path) -> str | None:
    with path.open("rb") as file:
        file.seek(4)
        header = file.read(4)
        info = file.read(int.from_bytes(header[1:], "big")) if header[:1] in (b"\x00", b"\x80") else b""
        while len(header) == 4 and not header[0] & 0x80:
            header = file.read(4)
            file.seek(int.from_bytes(header[1:], "big"), 1)
        frame = file.read(4)
    if len(info) < 18 or len(frame) < 4 or frame[0] != 0xFF:
        return None  # truncated or not FLAC: the decoder reports it
    if not info[13] & 0x0F and info[14:18] == bytes(4):
        return "states no length, as FLAC does that was written to a pipe. `flac -d` and `flac` rewrite it"
    stated, first = int.from_bytes(info[10:13], "big") >> 4, _FLAC_RATES.get(frame[2] & 0x0F)
    return None if first in (None, stated) else f"contradicts itself: {stated:,} Hz, but its frames have {first:,} Hz"


def _ogg_damage(data: mmap) -> str | None:
    """Check the pages (RFC 3533) of the file."""
    numbers: dict[int, int] = {}
    ended: dict[int, bool] = {}
    at = 0
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            return f"is damaged at byte {at:,}, where a page should begin"
        n_segments = data[at + 26] if at + 27 <= len(data) else 0
        body = at + 27 + n_segments
        end = body + sum(data[at + 27 : body])
        if end > len(data) or body > len(data) or at + 27 > len(data):
            return f"is cut off within its last page, at byte {len(data):,}"
        flags, serial, number, checksum = struct.unpack("<xB8xIII", data[at + 4 : at + 26])
        blank = data[at : at + 22] + bytes(4) + data[at + 26 : end]
        if _ogg_checksum(blank) != checksum:
            return f"is damaged between bytes {at:,} and {end:,}: the checksum of a page is wrong"
        if serial in numbers and number != numbers[serial] + 1:
            return f"lacks {number - numbers[serial] - 1:,} pages before byte {at:,}"
        numbers[serial], ended[serial] = number, bool(flags & 4)
        at = end
    return None if all(ended.values()) else "is cut off: its end marker is missing"


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's CRC-32, which has the opposite bit order of zlib's and no initial or final inversion."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _mp3_damage(data: mmap) -> str | None:
    at = 0
    if data[:3] == b"ID3" and len(data) > 10:
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    last = min(len(data), at + _N_SYNC)
    while at < last and not _mp3_frames_at(data, at):
        at += 1
    if at >= last:
        return None  # not MPEG audio: the decoder reports it
    while at < len(data):
        length = _mp3_frame_bytes(data[at : at + 4])
        if length is None:
            tail = data[at:]
            if tail[:3] in (b"TAG", b"APE", b"LYR", b"ID3") or not tail.strip(b"\0"):
                return None
            return f"is damaged at byte {at:,}, where a frame should begin"
        if at + length > len(data):
            return f"is cut off within its last frame: {len(data) - at:,} of {length:,} bytes are present"
        at += length
    return None


def _mp3_frames_at(data: mmap, at: int) -> bool:
    """Return whether a frame begins at `at`, followed by another one, or truncated by the end of the file."""
    length = _mp3_frame_bytes(data[at : at + 4])
    if length is None:
        return False
    return at + length + 4 > len(data) or _mp3_frame_bytes(data[at + length : at + length + 4]) is not None


def _mp3_frame_bytes(header: bytes) -> int | None:
    """Return the length in bytes of the MPEG audio frame with this header, or None if it is not a header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = (header[1] >> 3) & 3, 4 - ((header[1] >> 1) & 3)
    kbps_index, rate_index, padding = header[2] >> 4, (header[2] >> 2) & 3, (header[2] >> 1) & 1
    if version == 1 or layer == 4 or kbps_index in (0, 15) or rate_index == 3:
        return None
    first = version == 3  # MPEG 1; 2 is MPEG 2 and 0 is MPEG 2.5
    rate = _MP3_RATES[rate_index] >> (0 if first else 1 if version == 2 else 2)
    bits_per_second = 1000 * _MP3_KBPS[1 if first else 2, layer][kbps_index - 1]
    if layer == 1:
        return (12 * bits_per_second // rate + padding) * 4
    return (144 if first or layer == 2 else 72) * bits_per_second // rate + padding
