"""Audio that is read while it arrives, or piece by piece: from a file, standard input, or another pipe.

Blocks are checked as whole recordings are (`data_prep.audio.decode`), and have the same samples.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data_prep.audio.decode import REPLACE, Waveform, opened, promised_frames, require_file, require_rate, to_mono
from data_prep.audio.pcm import pcm_blocks
from data_prep.audio.wave import UNKNOWN_SIZE, checked_format, is_wave, sample_layout
from data_prep.errors import DataError

if TYPE_CHECKING:
    from soundfile import SoundFile

BLOCK_SECONDS = 0.25
"""Length of the blocks that a decoder gives."""
CONVERT = "Convert it, as with `ffmpeg -i FILE -f wav -`."
_WAVE_ENCODINGS = {
    (1, 8): "u8", (1, 16): "s16le", (1, 24): "s24le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le",
}  # fmt: skip
"""{(format tag, bits): sample format} of a WAV header."""
UNKNOWN_FRAMES = 1 << 62
"""Stated samples of at least this many mean that the length is not known."""
MAX_CHUNK_BYTES = 1 << 24
"""Notes before the audio in a WAV header are not larger."""


@dataclass(frozen=True)
class AudioStream:
    """Audio as blocks, of which only one is in memory."""

    rate: int
    """Hz."""
    blocks: Iterator[Waveform]
    """Mono blocks (n,) float32; raises DataError where the audio is damaged."""


@contextmanager
def file_stream(path: Path) -> Iterator[AudioStream]:
    """Open a recording of any format and length, to be read in blocks.

    Raises:
        DataError: as `data_prep.audio.decode.decode`, but recordings of any length are read.
    """
    require_file(path)
    with opened(path) as (file, _):
        require_rate(path, file.samplerate)
        yield AudioStream(file.samplerate, _checked(_decoded(file, path), path))


@contextmanager
def raw_stream(pipe: io.BufferedIOBase, name: str, rate: int, n_channels: int, encoding: str) -> Iterator[AudioStream]:
    """Read raw PCM samples, interleaved.

    Args:
        pipe: what to read.
        name: of the pipe, for messages.
        rate: Hz.
        n_channels: number of channels, which are averaged.
        encoding: sample format, a key of `data_prep.audio.pcm.ENCODINGS`.

    Raises:
        DataError: if the rate is out of range; from the blocks if there are no samples, or not finite ones.
    """
    require_rate(name, rate, "Check --rate.")
    yield AudioStream(rate, _checked(pcm_blocks(pipe, name, encoding, n_channels), name, "Check --format and --rate."))


@contextmanager
def pipe_stream(pipe: io.BufferedIOBase, name: str) -> Iterator[AudioStream]:
    """Read WAV or FLAC from a pipe, which cannot be rewound.

    A length of 0 or of almost 4 GiB in a WAV header is what programs write that do not know it yet: the stream is read
    to its end.

    Raises:
        DataError: if it is neither, or its header is damaged or cut off; from the blocks if the audio is.
    """
    head = pipe.read(4)
    if not head:
        raise DataError(f"{name}: contains no samples. Pipe WAV, FLAC or raw samples into the command.")
    if head == b"fLaC":
        with _flac_stream(pipe, head, name) as stream:
            yield stream
        return
    if not is_wave(head + (rest := pipe.read(8))):
        if len(head + rest) < 12 and head[:2] in (b"RI", b"RF"):
            raise DataError(f"{name}: ends within its header")
        raise DataError(f"{name}: is neither WAV nor FLAC. For raw samples give --rate. {CONVERT}")
    rate, n_channels, encoding, n_bytes = _wave_header(pipe, name)
    require_rate(name, rate, CONVERT)
    yield AudioStream(rate, _checked(pcm_blocks(pipe, name, encoding, n_channels, n_bytes), name, CONVERT))


def _checked(blocks: Iterable[npt.NDArray[np.float32]], name: Path | str, remedy: str = REPLACE) -> Iterator[Waveform]:
    """Yield blocks (n, channels) as mono; at least one sample must come."""
    is_empty = True
    for block in blocks:
        is_empty = False
        yield to_mono(block, name, remedy)
    if is_empty:
        raise DataError(f"{name}: contains no samples")


def _decoded(file: SoundFile, name: Path | str) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks (n, channels) of an open file, which must have as many samples as its header states."""
    n_block, n_read = max(1, round(BLOCK_SECONDS * file.samplerate)), 0
    while len(block := file.read(n_block, dtype="float32", always_2d=True)):
        n_read += len(block)
        yield block
    if n_read < (n_promised := promised_frames(file)) < UNKNOWN_FRAMES:
        raise DataError(f"{name}: ends after {n_read:,} of {n_promised:,} samples")


def _wave_header(pipe: io.BufferedIOBase, name: str) -> tuple[int, int, str, int | None]:
    """Read the header of a WAV stream from its first chunk to the first sample.

    Returns:
        Rate in Hz, channels, sample format, and bytes of the samples; None if unknown.
    """
    form, long_size = b"", None
    while len(chunk := pipe.read(8)) == 8 and chunk[:4] != b"data":
        kind, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if size > MAX_CHUNK_BYTES:
            raise DataError(f"{name}: has a damaged header: {size:,} bytes before its audio")
        content = pipe.read(size + size % 2)
        if kind == b"ds64":
            long_size = int.from_bytes(content[8:16], "little")
        elif kind == b"fmt ":
            form = content[:40]
    if len(chunk) < 8:
        raise DataError(f"{name}: ends within its header")
    checked = checked_format(form, {})
    if isinstance(checked, str):
        raise DataError(f"{name}: {checked}")
    tag, n_channels, rate, bits = sample_layout(checked)
    if (tag, bits) not in _WAVE_ENCODINGS or not n_channels:
        raise DataError(
            f"{name}: has samples of {bits} bits in format {tag}, which are not read from a stream. {CONVERT}"
        )
    size = int.from_bytes(chunk[4:], "little")
    if size == 0xFFFF_FFFF and long_size:
        return rate, n_channels, _WAVE_ENCODINGS[tag, bits], long_size
    return rate, n_channels, _WAVE_ENCODINGS[tag, bits], size if 0 < size < UNKNOWN_SIZE else None


@contextmanager
def _flac_stream(pipe: io.BufferedIOBase, head: bytes, name: str) -> Iterator[AudioStream]:
    """Decode FLAC with libsndfile, which reads it from its start to its end."""
    import soundfile

    source = _ForwardFile(pipe, head)

    class Forward(soundfile.SoundFile):  # type: ignore[misc]  # of a package without types
        """Reads block after block; soundfile would go to the start of the next one, for which libsndfile searches."""

        def seekable(self) -> bool:
            """Return that it is not."""
            return False

        def read(self, *args: Any, **settings: Any) -> Any:
            """Return the next block."""
            block = super().read(*args, **settings)
            source.require_uninterrupted()
            return block

    try:
        with Forward(source) as file:
            require_rate(name, file.samplerate, CONVERT)
            source.is_opened = True
            yield AudioStream(file.samplerate, _checked(_decoded(file, name), name, CONVERT))
    except soundfile.SoundFileError as error:
        source.require_uninterrupted()
        reason = str(error).rpartition(": ")[2].rstrip(". ")
        raise DataError(f"{name}: cannot be decoded as FLAC: {reason}") from None


class _ForwardFile:
    """A pipe with the methods that libsndfile calls. What is read before it is opened can be read again."""

    def __init__(self, pipe: io.BufferedIOBase, head: bytes) -> None:
        self._pipe = pipe
        self._held = bytearray(head)
        self._held_from = 0
        self._at = 0
        self._failure: BaseException | None = None
        self.is_opened = False
        """Whether the header has been read, so that nothing is read twice."""

    def require_uninterrupted(self) -> None:
        """Raise what interrupted a read: exceptions do not pass through libsndfile."""
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; the end is farther than any stream."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: UNKNOWN_FRAMES}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes, at most `n_bytes`; none at the end, or if a read was interrupted."""
        at = self._at - self._held_from
        if at < 0 or at > len(self._held):
            return b""
        try:
            while len(self._held) - at < n_bytes and (data := self._pipe.read1(n_bytes - len(self._held) + at)):
                self._held += data
        except BaseException as failure:
            self._failure = failure
            return b""
        found = bytes(self._held[at : at + n_bytes])
        self._at += len(found)
        if self.is_opened:
            del self._held[: at + len(found)]
            self._held_from = self._at
        return found
