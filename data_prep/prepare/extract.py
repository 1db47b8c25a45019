"""What a worker of `prepare` does: clips' audio → their stored log-mels. Imports neither pandas nor Arrow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from data_prep.audio.decode import Waveform, decode, fit_length, read_clip, resample
from data_prep.config import FeatureSpec, OfflineAugmentation, OfflineSpec
from data_prep.copies.correction import mean_log_spectrum
from data_prep.copies.waveforms import augmented, read_responses, stream
from data_prep.errors import DataError
from data_prep.features.log_mel import log_mel_of

Fault = Literal["", "unreadable", "length", "duplicate"]
"""Why a clip is put aside; empty where it isn't."""


@dataclass(frozen=True, slots=True)
class Source:
    """The audio that one row is made from."""

    path: Path
    clip_id: str
    """Of the clip as recorded: an augmentation's random stream belongs to it."""
    partner: Path | None = None
    """The other recording of a mix."""
    length_tolerance: float | None = None
    """Share of the clip's length by which the recording may miss it; None takes any length."""


@dataclass(frozen=True, slots=True)
class Copying:
    """How copies are made."""

    augmentation: OfflineAugmentation
    settings: OfflineSpec
    gain: npt.NDArray[np.float64] | None = None
    """Spectrum correction's factor for each frequency bin (n_fft // 2 + 1,)."""
    responses: Path | None = None
    """Folder of the impulse responses to draw from."""


@dataclass(frozen=True, slots=True)
class Task:
    """Audio files and the feature that is wanted of them."""

    sources: tuple[Source, ...]
    spec: FeatureSpec
    copying: Copying | None = None
    """None for clips as recorded."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """One row's stored feature, or why there is none."""

    log_mel: npt.NDArray[np.float16] | None
    """(n_mels, n_frames), or None if the clip is put aside."""
    fault: Fault
    reason: str
    """In words, with the way out; empty where there is no fault."""
    silent: bool
    """The waveform, or its log-mel, is constant."""
    seconds: float
    """Length of the recording before it was padded or cut."""
    digest: str
    """First 32 hexadecimal digits of the SHA-256 of the log-mel's bytes."""
    slip: str = ""
    """What is wrong with the file's header although the sound is in no doubt."""


def extract_task(task: Task) -> list[Extracted]:
    """Return the outcome for each source of `task`, in their order."""
    return [_extract(source, task) for source in task.sources]


def extract(path: Path, spec: FeatureSpec) -> Extracted:
    """Return the float16 log-mel of the clip in `path`, whatever its length, or the reason why it can't be read.

    A constant waveform holds no sound: it is stored as silence, the same value everywhere, and flagged.
    """
    return _extract(Source(path, path.stem), Task((), spec))


def extract_waveform(y: Waveform, spec: FeatureSpec) -> npt.NDArray[np.float16]:
    """Return the log-mel (n_mels, n_frames) of a waveform (n,) at `spec.sample_rate`, as `extract` gives a file's.

    Raises:
        DataError: if its samples are so large that the log-mel is not finite.
    """
    log_mel = _log_mel(fit_length(y, spec.n_samples), spec, None)
    if not np.isfinite(log_mel).all():
        raise DataError(f"the waveform {_not_finite(y)} Scale it: full scale is 1.")
    return log_mel


def _not_finite(y: Waveform) -> str:
    return f"gives no finite log-mel; its largest sample is {np.abs(y).max():.3g}."


def spectra_task(task: Task) -> list[npt.NDArray[np.float64]]:
    """Return the mean log magnitude spectrum (n_fft // 2 + 1,) of each source, as spectrum correction needs it.

    Raises:
        DataError: if a file can't be read any more.
    """
    return [mean_log_spectrum(read_clip(source.path, task.spec), task.spec) for source in task.sources]


def _extract(source: Source, task: Task) -> Extracted:
    spec = task.spec
    try:
        sound = decode(source.path)
        whole = resample(sound.y, sound.rate, spec.sample_rate)
        y = fit_length(whole, spec.n_samples)
        if task.copying is not None:
            y = _copy(y, source, spec, task.copying)
    except DataError as error:
        return Extracted(None, "unreadable", str(error).removeprefix(f"{source.path}: "), False, 0.0, "")
    seconds = len(whole) / spec.sample_rate
    tolerance = source.length_tolerance
    if tolerance is not None and abs(seconds - spec.clip_seconds) > tolerance * spec.clip_seconds:
        reason = (
            f"is {seconds:.3f} s long, clips are {spec.clip_seconds:g} s and may miss that by {tolerance:.0%}. Replace "
            "the file, or change prepare.features.clip_seconds or prepare.quarantine.length_tolerance."
        )
        return Extracted(None, "length", reason, False, seconds, "")
    log_mel = _log_mel(y, spec, task.copying)
    if not np.isfinite(log_mel).all():
        reason = f"{_not_finite(y)} Scale or replace the file."
        return Extracted(None, "unreadable", reason, False, seconds, "")
    bits = log_mel.ravel().view(np.uint16)  # fifty times as fast to compare as float16
    silent = bool((bits == bits[0]).all())
    digest = hashlib.sha256(log_mel.tobytes()).hexdigest()[:32]
    return Extracted(log_mel, "", "", silent, seconds, digest, sound.slip)


def _log_mel(y: Waveform, spec: FeatureSpec, copying: Copying | None) -> npt.NDArray[np.float16]:
    if np.ptp(y) == 0:
        return np.full((spec.n_mels, spec.n_frames), np.log(spec.log_offset), dtype=np.float16)
    gain = copying.gain if copying is not None else None
    return log_mel_of(spec)(y, gain=gain).astype(np.float16)


def _copy(y: Waveform, source: Source, spec: FeatureSpec, copying: Copying) -> Waveform:
    """Return the waveform of a copy; spectrum correction leaves it as it is and acts on the spectrum."""
    if copying.gain is not None:
        return y
    rng = stream(copying.settings.seed, source.clip_id, copying.augmentation)
    partner = None
    if source.partner is not None:
        partner = read_clip(source.partner, spec)
    response = None
    if copying.responses is not None:
        known = _responses(copying.responses, spec.sample_rate)
        response = known[int(rng.integers(len(known)))]
    return augmented(copying.augmentation, y, spec, copying.settings, rng, partner=partner, response=response)


@lru_cache(maxsize=4)
def _responses(folder: Path, sample_rate: int) -> tuple[Waveform, ...]:
    """Return the folder's impulse responses by the order of their names."""
    found = read_responses(folder, sample_rate)
    return tuple(found[name] for name in sorted(found))
