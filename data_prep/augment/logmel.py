"""Augmentation of stored log-mels, before they are scaled: what audio would sound like, without the audio.

Here a sum of sounds is a sum of powers and a filter is a gain per mel band; behind min–max scaling neither is true any
more. Clips are float32 (n_mels, n_frames), natural logarithm of mel power + offset, as the shards hold it; they are
taken one at a time, which fits the processor's cache.
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
    """Return mel power in units of the offset (of its square where bands sum magnitudes): 0 in silence, never less."""
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
    """Return the mel power of two clips mixed, at gains on their waveforms.

    Two recordings are independent: their powers add, but for beats that average out over a band's bins. That is what
    `data_prep.copies.waveforms.mix` gives on audio, within 1.5 dB rms.
    """
    mixed: LogMels = power * np.float32(gain**2)
    mixed += partner * np.float32(gain2**2)
    return mixed


def scale_bands(power: LogMels, offsets: Offsets) -> LogMels:
    """Return the mel power with the gain exp(offsets) in each band; offsets (n_mels,)."""
    return np.asarray(power * np.exp(offsets)[:, None], dtype=np.float32)


def band_offsets(gain: npt.NDArray[np.floating], spec: FeatureSpec) -> Offsets:
    """Return the logarithm of the power gain in each mel band that a gain on the magnitude spectrum makes, (n_mels,).

    That is what it adds to the log-mel of a spectrum that is even within the bands.

    Args:
        gain: (n_fft // 2 + 1,) factors: a spectrum correction's, or the magnitudes of an impulse response's transform.
        spec: the stored feature.
    """
    filters = mel_filters(spec)
    weight = filters.sum(axis=1)
    power = filters @ np.square(gain, dtype=np.float64)
    return np.log(np.where(weight > 0, power / np.maximum(weight, 1e-12), 1.0) + 1e-12).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DeviceOffsets:
    """How much louder than device a each other device hears each mel band: natural logarithms of power ratios."""

    devices: tuple[str, ...]
    """Those that have pairs with device a, sorted."""
    offsets: Offsets
    """(n_devices, n_mels)."""

    @property
    def combined(self) -> Offsets:
        """(n_mels,): spectrum correction's, the mean over devices of their factors on the magnitude."""
        return np.asarray(2 * np.log(np.mean(np.exp(self.offsets / 2), axis=0)), dtype=np.float32)


def estimate_offsets(
    log_mel: npt.NDArray[np.floating], clips: pd.DataFrame, spec: FeatureSpec, rows: npt.NDArray[np.integer]
) -> DeviceOffsets | None:
    """Return the devices' offsets from the pairs of one moment among clips, or None where there are no pairs.

    The mean over pairs and frames of the difference of log-mels: spectrum correction's estimate
    (data_prep/copies/correction.py) with mel bands in the place of bins.

    Args:
        log_mel: (n_clips, n_mels, n_frames) as stored.
        clips: one row per clip: scene, device, location, segment.
        spec: the stored feature.
        rows: which clips to take: those as recorded, no copies.
    """
    described = [clips[name].to_numpy(object)[rows] for name in _Row._fields[1:]]
    found = pairs(_Row(*row) for row in zip(rows.tolist(), *described, strict=True))
    if not found:
        return None
    twins = [[(theirs.number, reference.number) for theirs, reference in those] for those in found.values()]
    needed = {number for those in twins for pair in those for number in pair}
    means = {number: log_mel[number].mean(axis=1, dtype=np.float64) for number in sorted(needed)}
    offsets = [np.mean([means[theirs] - means[reference] for theirs, reference in those], axis=0) for those in twins]
    return DeviceOffsets(tuple(found), np.asarray(offsets, dtype=np.float32) * np.float32(2 / spec.power))


class _Row(NamedTuple):
    """A row of a table of clips."""

    number: int
    scene: str | None
    device: str
    location: str | None
    segment: str | None
