"""Elementary sounds: envelopes, tones, short events, and their positions in a clip. All float32 at 44.1 kHz."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

SAMPLE_RATE = 44_100
"""Sample rate of TAU in Hz."""
CONTROL_RATE = 200
"""Points per second of envelopes and pitch contours, above audible modulation rates."""

Signal = NDArray[np.float32]


@lru_cache(maxsize=8)
def _control_positions(n_samples: int, n_points: int) -> NDArray[np.float64]:
    return np.linspace(0.0, n_points - 1.0, n_samples)


def to_samples(points: NDArray[np.floating], n_samples: int) -> Signal:
    """Return equally spaced `points` interpolated linearly to (n_samples,)."""
    positions = _control_positions(n_samples, len(points))
    return np.asarray(np.interp(positions, np.arange(len(points)), points), np.float32)


def control_times(n_samples: int) -> NDArray[np.float64]:
    """Return the times in seconds of a clip's control points."""
    seconds = n_samples / SAMPLE_RATE
    return np.linspace(0.0, seconds, max(2, round(seconds * CONTROL_RATE)))


def wander(rng: np.random.Generator, n_samples: int, rate_hz: float, depth_db: float) -> Signal:
    """Return a random gain (n_samples,) with about `rate_hz` changes per second, of `depth_db` standard deviation."""
    n_points = max(2, round(n_samples / SAMPLE_RATE * rate_hz * 2) + 1)
    return to_samples(10 ** (rng.normal(0.0, depth_db, n_points) / 20), n_samples)


def tone(pitch_hz: NDArray[np.floating], harmonics: NDArray[np.floating], n_samples: int) -> Signal:
    """Return a harmonic tone (n_samples,) of unit RMS that follows a pitch contour.

    Args:
        pitch_hz: equally spaced points of the fundamental in Hz.
        harmonics: amplitude of each harmonic from the fundamental up.
        n_samples: length in samples.
    """
    size = 2048
    spectrum = np.zeros(size // 2 + 1, complex)
    # quadratic phases give a low crest factor (Schroeder 1970)
    order = np.arange(1, len(harmonics) + 1)
    spectrum[order] = harmonics * np.exp(-1j * np.pi * order**2 / len(harmonics))
    table = fft.irfft(spectrum)
    table = (table / np.sqrt(np.mean(table**2))).astype(np.float32)
    phase = np.cumsum(to_samples(pitch_hz, n_samples), dtype=np.float64) * (size / SAMPLE_RATE)
    return np.asarray(table[phase.astype(np.int64) % size])


def rolloff(rng: np.random.Generator, n_harmonics: int, slope: float) -> NDArray[np.floating]:
    """Return amplitudes of `n_harmonics` that fall as 1 / k**slope, each with a random deviation of a few dB."""
    return np.arange(1, n_harmonics + 1) ** -slope * 10 ** (rng.normal(0.0, 3.0, n_harmonics) / 20)


def ring(partials_hz: Sequence[float], decay_seconds: float, seconds: float) -> Signal:
    """Return struck metal: exponentially decaying sines of equal amplitude, with unit peak amplitude."""
    t = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32) / np.float32(SAMPLE_RATE)
    wave = sum(np.sin(np.float32(2 * np.pi * hz) * t) for hz in partials_hz)
    return np.asarray(wave / len(partials_hz) * np.exp(-t / np.float32(decay_seconds)), np.float32)


def burst(rng: np.random.Generator, low_hz: float, high_hz: float, decay_seconds: float, seconds: float) -> Signal:
    """Return an exponentially decaying noise burst between two frequencies, with unit initial RMS."""
    n = round(seconds * SAMPLE_RATE)
    spectrum = fft.rfft(rng.standard_normal(n, np.float32))
    hz = fft.rfftfreq(n, 1 / SAMPLE_RATE)
    outside = np.maximum(low_hz / np.maximum(hz, 1.0), hz / high_hz)
    wave = fft.irfft(spectrum * np.minimum(1.0, outside**-4.0).astype(np.float32), n)
    t = np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)
    return np.asarray(wave / (wave.std() + 1e-9) * np.exp(-t / np.float32(decay_seconds)), np.float32)


def sweep(start_hz: float, end_hz: float, seconds: float) -> Signal:
    """Return a sine sweep between two frequencies with a raised-cosine envelope and unit peak amplitude."""
    n = round(seconds * SAMPLE_RATE)
    glide = np.linspace(start_hz, end_hz, n)
    phase = np.cumsum(glide) * (2 * np.pi / SAMPLE_RATE)
    return (np.sin(phase) * np.hanning(n)).astype(np.float32)


def place_events(n_samples: int, events: Iterable[tuple[float, float, Signal]]) -> Signal:
    """Return (n_samples,) with each event (onset in seconds, gain, wave) added and cut at the ends."""
    clip = np.zeros(n_samples, np.float32)
    for onset, gain, wave in events:
        start = round(onset * SAMPLE_RATE)
        first, last = max(0, start), min(n_samples, start + len(wave))
        if first < last:
            clip[first:last] += np.float32(gain) * wave[first - start : last - start]
    return clip


def beats(rng: np.random.Generator, seconds: float, period: float, jitter: float = 0.03) -> NDArray[np.floating]:
    """Return onsets in seconds of a steady pulse with a random phase; `jitter` is a share of the period."""
    onsets = np.arange(-rng.uniform(0.0, period), seconds, period)
    return np.asarray(onsets + rng.normal(0.0, jitter * period, len(onsets)))
