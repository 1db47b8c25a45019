"""Cues of the scenes: sounds that differ in their temporal pattern rather than in their spectrum.

Each cue is a function `(rng, source, n_samples) -> Signal`. `source` is the random stream of the location and sets
its constant properties (pace, machinery); `rng` is that of the moment (another suitcase, another bird). Levels are
relative to a white background of unit RMS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from data_prep.synth.sources import (
    SAMPLE_RATE,
    Signal,
    beats,
    burst,
    control_times,
    place_events,
    ring,
    rolloff,
    sweep,
    to_samples,
    tone,
    wander,
)

Generator = np.random.Generator


def trolleys(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return suitcase wheels on tiles: a fast train of clicks that comes and goes."""
    low = rng.uniform(300.0, 1500.0)
    click = burst(rng, low, low * rng.uniform(4.0, 8.0), 0.012, 0.06)
    onsets = beats(rng, n_samples / SAMPLE_RATE, 1 / source.uniform(8.0, 11.0), 0.06)
    train = place_events(n_samples, ((t, 3.0 * rng.lognormal(0.0, 0.25), click) for t in onsets))
    return train * wander(rng, n_samples, 0.5, 3.0)


def engine(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return an engine under load: harmonics that climb and drop at each change of gear."""
    t = control_times(n_samples)
    period = source.uniform(1.2, 1.8)
    gear = ((t + rng.uniform(0.0, period)) / period) % 1.0
    idle = rng.uniform(90.0, 140.0)
    wave = tone(idle * (1.0 + rng.uniform(0.8, 1.2) * gear), rolloff(rng, 40, 0.5), n_samples)
    return wave * to_samples(0.5 + 1.1 * gear, n_samples)


def rail_joints(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return wheels over rail joints: pairs of thuds at the pace of the carriages."""
    high = rng.uniform(2000.0, 8000.0)
    thud = burst(rng, 60.0, high, 0.05, 0.25)
    gap = source.uniform(0.14, 0.2)
    onsets = beats(rng, n_samples / SAMPLE_RATE, source.uniform(0.65, 0.95), 0.02)
    pairs = ((t + shift, 4.5 * rng.lognormal(0.0, 0.15), thud) for t in onsets for shift in (0.0, gap))
    return place_events(n_samples, pairs)


def beeps(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return a closing door's warning: a tone switched on and off in halves of a period."""
    period = source.uniform(0.25, 0.36)
    t = control_times(n_samples)
    gate = ((t + rng.uniform(0.0, period)) / period) % 1.0 < 0.5
    wave = tone(np.full(2, rng.uniform(900.0, 2200.0)), rolloff(rng, 10, 0.4), n_samples)
    return wave * to_samples(1.6 * gate, n_samples)


def birds(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return bird song: phrases of quick downward or upward sweeps."""
    seconds = n_samples / SAMPLE_RATE
    pitch = rng.uniform(1800.0, 4500.0)
    reach = rng.choice((0.55, 1.8))
    events = []
    for start in beats(rng, seconds, source.uniform(0.55, 0.85), 0.15):
        low = pitch * rng.uniform(0.85, 1.15)
        wave = sweep(low, low * reach, rng.uniform(0.06, 0.1))
        gain = 4.0 * rng.lognormal(0.0, 0.25)
        events += [(start + 0.12 * step, gain, wave) for step in range(int(rng.integers(2, 5)))]
    return place_events(n_samples, events)


def bells(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return a bell tower: strokes of inharmonic partials with a long decay."""
    base = source.uniform(300.0, 450.0) * 2 ** rng.uniform(-0.4, 0.4)
    # partials of a church bell relative to its prime: prime, tierce, quint, nominal, superquint, octave nominal
    partials = [base * ratio for ratio in (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.3, 6.7)]
    stroke = ring(partials, 0.45, 2.0)
    onsets = beats(rng, n_samples / SAMPLE_RATE, source.uniform(1.0, 1.4), 0.03)
    return place_events(n_samples, ((t, 7.0 * rng.lognormal(0.0, 0.2), stroke) for t in onsets))


def music(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return shop music: a melody of sustained notes that change in steps on the beat."""
    seconds = n_samples / SAMPLE_RATE
    beat = source.uniform(0.3, 0.45)
    t = control_times(n_samples)
    steps = rng.choice((0, 2, 4, 7, 9, 12), int(seconds / beat) + 2)
    index = ((t + rng.uniform(0.0, beat)) / beat).astype(int)
    pitch = rng.uniform(220.0, 440.0) * 2 ** (steps[index] / 12)
    return tone(pitch, rolloff(rng, 14, 0.5), n_samples) * np.float32(0.9)


def footsteps(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return walkers: sharp single steps at a walking pace, heel and sole."""
    events = []
    for _ in range(3):
        low = rng.uniform(300.0, 900.0)
        step = burst(rng, low, low * rng.uniform(5.0, 10.0), 0.02, 0.1)
        gain = rng.uniform(3.5, 6.0)
        onsets = beats(rng, n_samples / SAMPLE_RATE, 1 / source.uniform(1.6, 2.1), 0.03)
        events += [(t, gain * rng.lognormal(0.0, 0.15), step) for t in onsets]
    return place_events(n_samples, events)


def passes(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return vehicles going by: broad swells of noise over a second or so."""
    t = control_times(n_samples)
    level = np.zeros_like(t)
    for centre in beats(rng, n_samples / SAMPLE_RATE, source.uniform(1.6, 2.2), 0.1):
        level += rng.uniform(2.0, 4.0) * np.exp(-0.5 * ((t - centre) / rng.uniform(0.25, 0.4)) ** 2)
    return rng.standard_normal(n_samples, np.float32) * to_samples(level, n_samples)


def whine(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return a traction motor: harmonics that glide steadily up as the tram leaves, or down as it stops."""
    t = np.linspace(0.0, 1.0, len(control_times(n_samples)))
    low, high = rng.uniform(250.0, 400.0), rng.uniform(900.0, 1500.0)
    glide = t if rng.random() < 0.5 else 1.0 - t
    return tone(low + (high - low) * glide, rolloff(rng, 10, 0.3), n_samples) * wander(rng, n_samples, 1.0, 1.0)


def voices(rng: Generator, source: Generator, n_samples: int) -> Signal:
    """Return talk nearby: a voiced pitch that bends, cut into syllables."""
    t = control_times(n_samples)
    pitch = source.uniform(100.0, 220.0) * (1.0 + 0.15 * np.interp(t, t[::40], rng.normal(0.0, 1.0, len(t[::40]))))
    rate = rng.uniform(3.5, 5.0)
    syllables = np.clip(np.sin(2 * np.pi * rate * t + rng.uniform(0.0, 6.0)) + 0.3, 0.0, None)
    syllables *= np.interp(t, t[::50], rng.uniform(0.2, 1.3, len(t[::50])))
    return tone(pitch, rolloff(source, 24, 0.6), n_samples) * to_samples(syllables, n_samples)


CUES: Mapping[str, Callable[[Generator, Generator, int], Signal]] = {
    cue.__name__: cue
    for cue in (trolleys, engine, rail_joints, beeps, birds, bells, music, footsteps, passes, whine, voices)
}
"""{name: cue}."""
