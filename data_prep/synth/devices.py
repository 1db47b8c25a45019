"""Models of recording devices: a linear filter, dynamic range compression and self-noise.

Device a is a good binaural recorder, b and c are similar to real phones, and s1–s6 have stronger filters and
compression. Filters have zero phase, so recordings of the same moment are aligned to the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from data_prep.synth.sources import SAMPLE_RATE, Signal, to_samples
from data_prep.synth.streams import stream

LEVEL_DBFS = -27.0
"""RMS of a device's clips before compression, set by its automatic gain."""
_BLOCK = 441
"""Samples between two points of the compressor's level meter (10 ms)."""


@dataclass(frozen=True)
class Device:
    """A recording device."""

    low_cut_hz: float
    high_cut_hz: float
    """Cut-off frequencies of second-order roll-offs at both ends."""
    peaks: tuple[tuple[float, float, float], ...]
    """Resonances and notches: centre in Hz, gain in dB, width in octaves."""
    threshold_db: float
    """Compression threshold in dB relative to the level of the clip."""
    ratio: float
    """Compression ratio: input dB per output dB above the threshold."""
    noise_dbfs: float
    """RMS of its white self-noise."""


DEVICES: Mapping[str, Device] = {
    "a": Device(20.0, 20_000.0, (), 20.0, 1.0, -90.0),
    "b": Device(110.0, 14_000.0, ((3200.0, 4.0, 0.8), (900.0, -2.0, 0.7)), 6.0, 1.5, -78.0),
    "c": Device(80.0, 11_000.0, ((1100.0, -4.0, 0.8), (6500.0, 5.0, 0.6)), 3.0, 2.0, -76.0),
    "s1": Device(160.0, 9000.0, ((500.0, 5.0, 0.7), (2400.0, -6.0, 0.6)), 3.0, 2.0, -76.0),
    "s2": Device(60.0, 16_000.0, ((1700.0, 8.0, 0.6), (5200.0, -6.0, 0.7), (250.0, -4.0, 0.6)), 0.0, 2.5, -76.0),
    "s3": Device(220.0, 12_000.0, ((800.0, -7.0, 0.7), (3800.0, 7.0, 0.6)), 2.0, 3.0, -74.0),
    "s4": Device(180.0, 13_000.0, ((1200.0, 7.0, 0.6), (3000.0, -6.0, 0.7), (7000.0, 5.0, 0.5)), 2.0, 2.5, -76.0),
    "s5": Device(90.0, 8000.0, ((650.0, -6.0, 0.6), (2000.0, 7.0, 0.7)), 0.0, 2.0, -74.0),
    "s6": Device(250.0, 10_000.0, ((1500.0, -6.0, 0.8), (4500.0, 6.0, 0.7), (450.0, 3.0, 0.5)), 1.0, 3.0, -74.0),
}
"""TAU's nine devices."""


def response(seed: int, name: str, n_samples: int) -> NDArray[np.float32]:
    """Return a device's gains (n_samples // 2 + 1,) over frequency; the seed shifts its resonances slightly."""
    device = DEVICES[name]
    rng = stream(seed, "device", name)
    hz = np.maximum(fft.rfftfreq(n_samples, 1 / SAMPLE_RATE), 1.0)
    gain_db = -10 * np.log10(1 + (device.low_cut_hz / hz) ** 4) - 10 * np.log10(1 + (hz / device.high_cut_hz) ** 4)
    for centre, peak_db, width in device.peaks:
        octaves = np.log2(hz / (centre * 2 ** rng.normal(0.0, 0.1)))
        gain_db += peak_db * np.exp(-0.5 * (octaves / (width / 2)) ** 2)
    return np.asarray(10 ** (gain_db / 20), np.float32)


def record(
    rng: np.random.Generator, name: str, spectrum: NDArray[np.complex64], gains: NDArray[np.float32], n_samples: int
) -> NDArray[np.int16]:
    """Return the clip (n_samples,) that a device records of a sound.

    Args:
        rng: random stream of the clip, for self-noise and gain.
        name: one of DEVICES.
        spectrum: the sound's spectrum (n_samples // 2 + 1,).
        gains: the device's `response`.
        n_samples: length in samples.
    """
    device = DEVICES[name]
    wave = np.asarray(fft.irfft(spectrum * gains, n_samples), np.float32)
    wave *= np.float32(10 ** ((LEVEL_DBFS + rng.normal(0.0, 2.0)) / 20) / np.sqrt(np.mean(wave**2)))
    wave = compress(wave, device.threshold_db, device.ratio)
    wave += np.float32(10 ** (device.noise_dbfs / 20)) * rng.standard_normal(n_samples, np.float32)
    return np.rint(np.clip(wave, -1.0, 1.0) * 32_767).astype(np.int16)


def compress(wave: Signal, threshold_db: float, ratio: float) -> Signal:
    """Return `wave` with the part of its level above a threshold divided by `ratio` in dB.

    Args:
        wave: (n_samples,).
        threshold_db: relative to the wave's own RMS level.
        ratio: input dB per output dB above the threshold; 1 leaves the wave unchanged.
    """
    if ratio == 1.0:
        return wave
    from scipy import signal  # takes half a second to import

    n_blocks = len(wave) // _BLOCK
    power = np.mean(wave[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK) ** 2, axis=1)
    # a one-pole meter of about 50 ms, starting at the level of the clip to avoid pumping at its beginning
    mean = float(power.mean())
    meter, _ = signal.lfilter([0.2], [1.0, -0.8], power, zi=[0.8 * mean])
    over_db = np.maximum(0.0, 10 * np.log10(meter / mean + 1e-12) - threshold_db)
    return wave * to_samples(10 ** (-over_db * (1 - 1 / ratio) / 20), len(wave))
