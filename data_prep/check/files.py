"""Work of one worker of `asc data check`: each recording is decoded to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.audio.decode import Waveform, decode, fit_length, openable, resample
from data_prep.audio.wave import mended_wave
from data_prep.errors import DataError


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts about one file."""

    reason: str
    """Why it can't be used; empty if it can."""
    silent: bool = False
    """Whether all samples of the clip that is made of it are equal."""
    seconds: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    encoding: str = ""
    """Container and sample format, such as `WAV PCM_24`."""
    slip: str = ""
    """Error in the header of a file that can still be decoded reliably; empty if none."""
    digest: str = ""
    """Digest of the down-mixed samples and the rate, independent of the container."""
    clip_digest: str = ""
    """Digest of the samples of the clip that is made of it: resampled, and cut or padded."""

    @property
    def form(self) -> tuple[str, int, int]:
        """Encoding, rate in Hz and channels."""
        return self.encoding, self.sample_rate, self.channels


def inspect_files(paths: Sequence[Path], sample_rate: int, n_samples: int | None) -> list[FileFacts]:
    """Return the facts about each file, in order; see `inspect_file`."""
    return [inspect_file(path, sample_rate, n_samples) for path in paths]


def inspect_file(path: Path, sample_rate: int, n_samples: int | None) -> FileFacts:
    """Return the facts about a file, including the reason if it can't be decoded to its end.

    Args:
        path: the file.
        sample_rate: rate in Hz of the clip that is made of it.
        n_samples: samples of that clip; None: the recording as it is.
    """
    import soundfile

    try:
        y, rate, slip = decode(path)
        mended = mended_wave(path) if slip else None
        info = soundfile.info(openable(path) if mended is None else mended[0])
    except (DataError, soundfile.SoundFileError, OSError) as error:
        return FileFacts(str(error).removeprefix(f"{path}: "))
    clip = y if n_samples is None else fit_length(resample(y, rate, sample_rate), n_samples)
    return FileFacts(
        reason="",
        silent=bool(np.ptp(clip) == 0),
        seconds=len(y) / rate,
        sample_rate=rate,
        channels=info.channels,
        encoding=f"{info.format} {info.subtype}",
        slip=slip,
        digest=_digest(y, rate),
        clip_digest=_digest(clip, rate if n_samples is None else sample_rate),
    )


def _digest(y: Waveform, rate: int) -> str:
    return hashlib.blake2b(y.tobytes() + rate.to_bytes(4, "little"), digest_size=16).hexdigest()
