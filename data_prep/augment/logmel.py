"""Augmentation of stored log-mels before scaling, which approximates augmentation of the audio.

A sum of sounds is a sum of powers and a filter is a gain per mel band; neither is true after min–max scaling. Clips are
float32 (n_mels, n_frames), the natural logarithm of mel power + offset as in the shards. They are processed one at a
time, since one clip fits the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec
from data_prep.copies.correction import pairs
from data_prep.features.log_mel import mel_filters

if TYPE_CHECKING:
    import pandas as pd

LogMels = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.float32]


def to_power(x: LogMels, spec: FeatureSpec) -> LogMels:
    """Return mel power in units of the offset (of its square for a feature with power 1); at least 0, 0 in silence."""
    power: LogMels = x - np.float32(np.log(spec.log_offset))
    np.exp(power, out=power)
    power -= 1
    np.maximum(power, 0, out=power)
    return power if spec.power == 2 else np.square(power, out=power)


def to_log_mel(power: LogMels, spec: FeatureSpec) -> LogMels:
    """Return the log-mel of mel power in units of the offset: the inverse of `to_power`."""
    out: LogMels = np.sqrt(power) if spec.power == 1 else power.copy()
    out += 1
    np.log(out, out=out)
    out += np.float32(np.log(spec.log_offset))
    return out


def mix_scenes(power: LogMels, partner: LogMels, gain: float, gain2: float) -> LogMels:
    """Return the mel power of a mix of two clips; the gains are those of the waveforms.

    The powers of independent recordings add, up to beats that average out over the bins of a band. The result agrees
    with `data_prep.copies.waveforms.mix` on audio within 1.5 dB rms.
    """
    mixed: LogMels = power * np.float32(gain**2)
    mixed += partner * np.float32(gain2**2)
    return mixed


def scale_bands(power: LogMels, offsets: Offsets) -> LogMels:
    """Return the mel power multiplied by exp(offsets) in each band; offsets (n_mels,)."""
    return np.asarray(power * np.exp(offsets)[:, None], dtype=np.float32)


def band_offsets(gain: npt.NDArray[np.floating], spec: FeatureSpec) -> Offsets:
    """Return the logarithm of the power gain per mel band, (n_mels,), for a gain on the magnitude spectrum.

    This is its effect on the log-mel if the spectrum is flat within each band.

    Args:
        gain: (n_fft // 2 + 1,) factors of a spectrum correction, or magnitudes of an impulse response's transform.
        spec: the stored feature.
    """
    filters = mel_filters(spec)
    weight = filters.sum(axis=1)
    power = filters @ np.square(gain, dtype=np.float64)
    return np.log(np.where(weight > 0, power / np.maximum(weight, 1e-12), 1.0) + 1e-12).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DeviceOffsets:
    """Level of other devices relative to device a per mel band, as natural logarithms of power ratios."""

    devices: tuple[str, ...]
    """Devices that have pairs with device a, sorted."""
    offsets: Offsets
    """(n_devices, n_mels)."""

    @property
    def combined(self) -> Offsets:
        """(n_mels,), offsets of spectrum correction: the mean over devices of their magnitude factors."""
        return np.asarray(2 * np.log(np.mean(np.exp(self.offsets / 2), axis=0)), dtype=np.float32)


def estimate_offsets(
    log_mel: npt.NDArray[np.floating], clips: pd.DataFrame, spec: FeatureSpec, rows: npt.NDArray[np.integer]
) -> DeviceOffsets | None:
    """Return the offsets of devices, estimated from clips of the same moment; None if there are no such pairs.

    An offset is the mean difference of log-mels over pairs and frames: the estimate of spectrum correction
    (data_prep/copies/correction.py) with mel bands instead of frequency bins.

    Args:
        log_mel: (n_clips, n_mels, n_frames) as stored.
        clips: one row per clip: scene, device, location, segment.
        spec: the stored feature.
        rows: indices of the clips to use; recorded clips only, no copies.
    """
    described = [clips[name].to_numpy(object)[rows] for name in _Row._fields[1:]]
    found = pairs(_Row(*row) for row in zip(rows.tolist(), *described, strict=True))
    if not found:
        return None
    twins = [[(other.number, reference.number) for other, reference in those] for those in found.values()]
    needed = {number for those in twins for pair in those for number in pair}
    means = {number: log_mel[number].mean(axis=1, dtype=np.float64) for number in sorted(needed)}
    offsets = [np.mean([means[other] - means[reference] for other, reference in those], axis=0) for those in twins]
    return DeviceOffsets(tuple(found), np.asarray(offsets, dtype=np.float32) * np.float32(2 / spec.power))


class _Row(NamedTuple):
    """A row of a table of clips."""

    number: int
    scene: str | None
    device: str
    location: str | None
    segment: str | None
