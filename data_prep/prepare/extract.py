"""Work of one worker of `asc prepare`: audio of clips → stored log-mels. Imports neither pandas nor Arrow."""

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
"""Why a clip is quarantined; empty if it isn't."""


@dataclass(frozen=True, slots=True)
class Source:
    """The audio of one row."""

    path: Path
    clip_id: str
    """Id of the recorded clip, which determines the random stream of an augmentation."""
    partner: Path | None = None
    """The other recording of a mix."""
    length_tolerance: float | None = None
    """Largest deviation of the recording from the clip's length, as a share of it; None accepts any length."""


@dataclass(frozen=True, slots=True)
class Copying:
    """Settings of augmented copies."""

    augmentation: OfflineAugmentation
    settings: OfflineSpec
    gain: npt.NDArray[np.float64] | None = None
    """Spectrum correction's factor for each frequency bin (n_fft // 2 + 1,)."""
    responses: Path | None = None
    """Folder of impulse responses to draw from."""


@dataclass(frozen=True, slots=True)
class Task:
    """Audio files and the feature to extract from them."""

    sources: tuple[Source, ...]
    spec: FeatureSpec
    copying: Copying | None = None
    """None for recorded clips."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The stored feature of one row, or the reason why there is none."""

    log_mel: npt.NDArray[np.float16] | None
    """(n_mels, n_frames), or None if the clip is quarantined."""
    fault: Fault
    reason: str
    """Message with the way out; empty without a fault."""
    silent: bool
    """Whether the waveform or its log-mel is constant."""
    seconds: float
    """Length of the recording in seconds, before padding or cutting."""
    digest: str
    """First 32 hexadecimal digits of the SHA-256 of the log-mel's bytes."""
    slip: str = ""
    """Error in the header of a file that can still be decoded reliably; empty if none."""


def extract_task(task: Task) -> list[Extracted]:
    """Return the result for each source of `task`, in order.

    Raises:
        DataError: if the impulse responses can no longer be read.
    """
    return [_extract(source, task) for source in task.sources]


def extract(path: Path, spec: FeatureSpec) -> Extracted:
    """Return the float16 log-mel of the clip in `path`, of any length, or the reason why it can't be read.

    A constant waveform is stored as silence, with one value everywhere, and flagged.
    """
    return _extract(Source(path, path.stem), Task((), spec))


def extract_waveform(y: Waveform, spec: FeatureSpec) -> npt.NDArray[np.float16]:
    """Return the log-mel (n_mels, n_frames) of a waveform (n,) at `spec.sample_rate`, as `extract` does for a file.

    Raises:
        DataError: if the samples are so large that the log-mel is not finite.
    """
    log_mel = _log_mel(fit_length(y, spec.n_samples), spec, None)
    if not np.isfinite(log_mel).all():
        raise DataError(f"the waveform {_not_finite(y)} Scale it: full scale is 1.")
    return log_mel


def _not_finite(y: Waveform) -> str:
    return f"has no finite log-mel; its largest sample is {np.abs(y).max():.3g}."


def spectra_task(task: Task) -> list[npt.NDArray[np.float64]]:
    """Return the mean log magnitude spectrum (n_fft // 2 + 1,) of each source, for spectrum correction.

    Raises:
        DataError: if a file can no longer be read.
    """
    return [mean_log_spectrum(read_clip(source.path, task.spec), task.spec) for source in task.sources]


def _extract(source: Source, task: Task) -> Extracted:
    spec = task.spec
    responses: tuple[Waveform, ...] = ()
    if task.copying is not None and task.copying.responses is not None:
        responses = _responses(task.copying.responses, spec.sample_rate)  # an error here is not the clip's
    try:
        sound = decode(source.path)
        whole = resample(sound.y, sound.rate, spec.sample_rate)
        y = fit_length(whole, spec.n_samples)
        if task.copying is not None:
            y = _copy(y, source, spec, task.copying, responses)
    except DataError as error:
        return Extracted(None, "unreadable", str(error).removeprefix(f"{source.path}: "), False, 0.0, "")
    seconds = len(whole) / spec.sample_rate
    tolerance = source.length_tolerance
    if tolerance is not None and abs(seconds - spec.clip_seconds) > tolerance * spec.clip_seconds:
        reason = (
            f"is {seconds:.3f} s long, clips must be {spec.clip_seconds:g} s ± {tolerance:.0%}. Replace the file, or "
            "change prepare.features.clip_seconds or prepare.quarantine.length_tolerance."
        )
        return Extracted(None, "length", reason, False, seconds, "")
    log_mel = _log_mel(y, spec, task.copying)
    if not np.isfinite(log_mel).all():
        reason = f"{_not_finite(y)} Scale or replace the file."
        return Extracted(None, "unreadable", reason, False, seconds, "")
    bits = log_mel.ravel().view(np.uint16)  # comparing integers is fifty times as fast as float16
    silent = bool((bits == bits[0]).all())
    digest = hashlib.sha256(log_mel.tobytes()).hexdigest()[:32]
    return Extracted(log_mel, "", "", silent, seconds, digest, sound.slip)


def _log_mel(y: Waveform, spec: FeatureSpec, copying: Copying | None) -> npt.NDArray[np.float16]:
    if np.ptp(y) == 0:
        return np.full((spec.n_mels, spec.n_frames), np.log(spec.log_offset), dtype=np.float16)
    gain = copying.gain if copying is not None else None
    return log_mel_of(spec)(y, gain=gain).astype(np.float16)


def _copy(
    y: Waveform, source: Source, spec: FeatureSpec, copying: Copying, responses: tuple[Waveform, ...]
) -> Waveform:
    """Return the waveform of a copy; unchanged for spectrum correction, which is applied to the spectrum."""
    if copying.gain is not None:
        return y
    rng = stream(copying.settings.seed, source.clip_id, copying.augmentation)
    partner = None
    if source.partner is not None:
        partner = read_clip(source.partner, spec)
    response = responses[int(rng.integers(len(responses)))] if responses else None
    return augmented(copying.augmentation, y, spec, copying.settings, rng, partner=partner, response=response)


@lru_cache(maxsize=4)
def _responses(folder: Path, sample_rate: int) -> tuple[Waveform, ...]:
    """Return the impulse responses in a folder, sorted by name."""
    found = read_responses(folder, sample_rate)
    return tuple(found[name] for name in sorted(found))
