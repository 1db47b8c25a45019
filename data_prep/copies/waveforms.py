"""Augmented copies computed from audio: pitch shift, speed change, mixes within a scene, device responses.

All functions are pure: equal waveforms and parameters give equal bytes in any process and with any number of threads.
Waveforms are float32 (n_samples,) and may exceed ±1; they are not clipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.audio.decode import fit_length, read_mono
from data_prep.augmentation import Augmentation
from data_prep.config import FeatureSpec, OfflineAugmentation, OfflineSpec
from data_prep.copies.stretch import shift_pitch, stretch_time
from data_prep.errors import DataError

Waveform = npt.NDArray[np.float32]

_METER_SECONDS = 0.01
"""Seconds between two points of the compressor's level meter."""


def stream(seed: int, clip_id: str, augmentation: str) -> np.random.Generator:
    """Return the random generator of one copy, which depends only on the arguments."""
    text = "\x1f".join((str(seed), clip_id, augmentation))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little"))


def pitch_shift(y: Waveform, sample_rate: int, semitones: float) -> Waveform:
    """Return `y` shifted by `semitones` (12 per octave) at the same speed, (n_samples,)."""
    return fit_length(shift_pitch(y, sample_rate, semitones), len(y))


def speed_change(y: Waveform, sample_rate: int, factor: float, n_samples: int) -> Waveform:
    """Return `y` `factor` times as fast at the same pitch, repeated or cut to (n_samples,)."""
    needed = int(np.ceil(n_samples * factor)) + sample_rate  # one second more: audio after the cut can affect the end
    return np.resize(stretch_time(y[:needed], sample_rate, factor), n_samples)


def mix(y: Waveform, y2: Waveform, gain: float, gain2: float) -> Waveform:
    """Return `gain * y + gain2 * y2`."""
    return np.float32(gain) * y + np.float32(gain2) * y2


def device_response(y: Waveform, response: Waveform) -> Waveform:
    """Return `y` (n_samples,) convolved with the impulse response of a device, at its original level.

    The delay of the response (the position of its largest sample) is removed, so events keep their times.
    """
    from scipy.signal import oaconvolve

    delay = int(np.argmax(np.abs(response)))
    heard: Waveform = oaconvolve(y, response)[delay : delay + len(y)]
    level, before = (float(np.sqrt(np.mean(np.square(z, dtype=np.float64)))) for z in (heard, y))
    return heard * np.float32(before / level) if level > 0 else heard


def compress(y: Waveform, sample_rate: int, threshold_db: float, ratio: float) -> Waveform:
    """Return `y` with the part of its level above a threshold divided by `ratio` in dB.

    Args:
        y: waveform (n_samples,).
        sample_rate: in Hz.
        threshold_db: in dB relative to the RMS level of the clip, so that the recording level does not matter.
        ratio: input dB per output dB above the threshold; 1 leaves `y` unchanged.
    """
    from scipy.signal import lfilter

    size = max(1, round(sample_rate * _METER_SECONDS))
    n_blocks = -(-len(y) // size)
    padded = np.pad(y, (0, n_blocks * size - len(y)), mode="edge")
    power = np.mean(np.square(padded.reshape(n_blocks, size)), axis=1, dtype=np.float64)
    mean = float(power.mean())
    if ratio == 1 or mean == 0:
        return y.copy()
    # One pole, about 50 ms, starting at the level of the clip to avoid pumping at its beginning.
    meter, _ = lfilter([0.2], [1.0, -0.8], power, zi=[0.8 * mean])
    over_db = np.maximum(0.0, 10 * np.log10(meter / mean + 1e-12) - threshold_db)
    gain = 10 ** (-over_db * (1 - 1 / ratio) / 20)
    # Linear between the centres of the blocks, constant before the first and after the last.
    ends = np.concatenate([gain[:1], gain, gain[-1:]]).astype(np.float32)
    share = ((np.arange(size, dtype=np.float32) + 0.5) / size)[None]
    ramps = ends[:-1, None] + share * np.diff(ends)[:, None]
    out: Waveform = y * ramps.ravel()[size // 2 : size // 2 + len(y)].astype(np.float32, copy=False)
    return out


def read_responses(folder: Path, sample_rate: int) -> dict[str, Waveform]:
    """Return the impulse responses in `folder` by file name, sorted, at `sample_rate` Hz.

    Raises:
        DataError: if there are none, or one can't be read or is silent.
    """
    names = folder.iterdir() if folder.is_dir() else ()
    files = sorted(path for path in names if path.suffix.lower() in _AUDIO and not path.name.startswith("."))
    if not files:
        raise DataError(
            f"{folder}: contains no impulse responses ({', '.join(_AUDIO)}). Name their folder in "
            "prepare.offline.responses, or remove device_response from prepare.augmentations."
        )
    responses = {path.name: read_mono(path, sample_rate) for path in files}
    silent = [name for name, response in responses.items() if not response.any()]
    if silent:
        raise DataError(f"{folder / silent[0]}: is silent, so it is not a device's response. Remove the file.")
    return responses


_AUDIO = (".wav", ".flac", ".ogg")


@dataclass(frozen=True, slots=True)
class Sounds:
    """The inputs of a copy."""

    y: Waveform
    """The clip's waveform, (n_samples,)."""
    spec: FeatureSpec
    """The stored feature."""
    partner: Waveform | None
    """For a mix: a clip of the same scene, (n_samples,)."""
    response: Waveform | None
    """For a device response: the impulse response."""


def _shifted(sounds: Sounds, semitones: float) -> Waveform:
    return pitch_shift(sounds.y, sounds.spec.sample_rate, semitones)


def _played(sounds: Sounds, factor: float) -> Waveform:
    return speed_change(sounds.y, sounds.spec.sample_rate, factor, sounds.spec.n_samples)


def _mixed(sounds: Sounds, gain: float, gain2: float) -> Waveform:
    if sounds.partner is None:
        raise ValueError("mix needs a partner")
    return mix(sounds.y, sounds.partner, gain, gain2)


def _heard(sounds: Sounds, threshold_db: float, ratio: float) -> Waveform:
    if sounds.response is None:
        raise ValueError("device_response needs a response")
    return compress(device_response(sounds.y, sounds.response), sounds.spec.sample_rate, threshold_db, ratio)


CopyStep = Callable[..., Waveform]
"""(sounds, **drawn parameters) → waveform of the copy, (n_samples,) float32."""


def _copy(
    name: OfflineAugmentation, declared: str, step: CopyStep | None, *needs: str, **ranges: str
) -> Augmentation[CopyStep | None]:
    return Augmentation(name, {name: declared}, step, ranges, needs)


_ENTRIES = (
    _copy("spectrum_correction", "spectrum correction", None),
    _copy("pitch_shift", "pitch shifting", _shifted, semitones="semitones"),
    _copy("speed_change", "speed change", _played, factor="speed"),
    _copy("mix", "mixing of clips of one scene", _mixed, gain="mix_gain", gain2="mix_gain"),
    _copy(
        "device_response", "device impulse responses", _heard, "responses", threshold_db="threshold_db", ratio="ratio"
    ),
)
COPIES = {entry.name: entry for entry in _ENTRIES}
"""{name: entry}. Spectrum correction has no step: its copy is the log-mel of the unchanged waveform with a gain."""


def draw(kind: OfflineAugmentation, settings: OfflineSpec, rng: np.random.Generator) -> dict[str, float]:
    """Return {parameter: value} of one copy, each uniform over its range in `settings`."""
    ranges = COPIES[kind].arguments
    return {name: float(rng.uniform(*getattr(settings, source))) for name, source in ranges.items()}


def augmented(
    kind: OfflineAugmentation,
    y: Waveform,
    spec: FeatureSpec,
    settings: OfflineSpec,
    rng: np.random.Generator,
    *,
    partner: Waveform | None = None,
    response: Waveform | None = None,
) -> Waveform:
    """Return a copy of the clip `y`, (n_samples,) float32, with parameters drawn from `rng`.

    Args:
        kind: the augmentation. Spectrum correction is refused, since it does not change the waveform; its log-mel is
            computed with the correction as gain.
        y: waveform (n_samples,).
        spec: the stored feature.
        settings: ranges of the parameters.
        rng: the `stream` of the copy.
        partner: for mix, a clip of the same scene, (n_samples,).
        response: for device_response, the impulse response.

    Raises:
        ValueError: if `kind` does not change the waveform, or its partner or response is missing.
    """
    step = COPIES[kind].step
    if step is None:
        raise ValueError(f"{kind} does not change waveforms: it is a gain on the spectrum")
    return step(Sounds(y, spec, partner, response), **draw(kind, settings, rng))
