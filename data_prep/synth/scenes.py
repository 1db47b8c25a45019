"""Synthesis of scenes: ten recipes of cues over a background, each with a characteristic temporal pattern.

Background and cues are mixed with flat (white) spectra and then filtered together. The filter has a weak part that is
common to the scene and strong parts of the location and the moment. Long-term spectra of scenes overlap, while temporal
patterns differ, so a classifier of mean spectra is better than chance but not sufficient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from data_prep.synth.cues import CUES
from data_prep.synth.sources import SAMPLE_RATE, Signal, wander
from data_prep.synth.streams import stream

COLOUR_HZ = np.geomspace(60.0, 16_000.0, 9)
"""Frequencies in Hz at which filters are drawn; between them gains are interpolated over log frequency."""
TILT_DB = -4.0
"""Mean slope of the filters in dB per octave; city sound is red."""
SCENE_DB = 4.0
LOCATION_DB = 1.5
MOMENT_DB = 3.0
"""Standard deviations in dB of the parts of a filter at each of COLOUR_HZ."""


@dataclass(frozen=True)
class Recipe:
    """Recipe of a scene: its cues, cues of other scenes that may occur, and the room."""

    cues: tuple[str, ...]
    """Cues of the scene, present in every moment."""
    passers_by: tuple[str, ...]
    """Cues of other scenes, faintly present in some moments."""
    reverb_seconds: tuple[float, float]
    """Range of the room's decay time constant in seconds."""


RECIPES: Mapping[str, Recipe] = {
    "airport": Recipe(("trolleys",), ("voices", "beeps"), (0.25, 0.5)),
    "bus": Recipe(("engine",), ("voices", "passes"), (0.03, 0.08)),
    "metro": Recipe(("rail_joints",), ("voices", "beeps"), (0.05, 0.12)),
    "metro_station": Recipe(("beeps",), ("footsteps", "voices"), (0.05, 0.1)),
    "park": Recipe(("birds",), ("footsteps", "voices"), (0.02, 0.06)),
    "public_square": Recipe(("bells",), ("footsteps", "passes"), (0.08, 0.2)),
    "shopping_mall": Recipe(("music",), ("footsteps", "voices"), (0.15, 0.35)),
    "street_pedestrian": Recipe(("footsteps", "voices"), ("birds", "bells"), (0.05, 0.12)),
    "street_traffic": Recipe(("passes",), ("birds", "footsteps"), (0.04, 0.1)),
    "tram": Recipe(("whine",), ("voices", "rail_joints"), (0.03, 0.08)),
}
SCENES = tuple(RECIPES)
"""The ten scenes in TAU's order."""


def location_filter(seed: int, scene: str, identifier: str, n_samples: int) -> NDArray[np.complex64]:
    """Return a location's transfer function (n_samples // 2 + 1,): its filter times its room."""
    recipe = RECIPES[scene]
    rng = stream(seed, "place", scene, identifier)
    colour = stream(seed, "scene", scene).normal(0.0, SCENE_DB, len(COLOUR_HZ))
    colour += rng.normal(0.0, LOCATION_DB, len(COLOUR_HZ))
    colour += TILT_DB * np.log2(COLOUR_HZ / COLOUR_HZ[0])
    decay = rng.uniform(*recipe.reverb_seconds)
    tail = rng.standard_normal(n_samples, np.float32)
    tail *= np.exp(-np.arange(n_samples, dtype=np.float32) / np.float32(decay * SAMPLE_RATE))
    tail *= np.float32(rng.uniform(0.3, 0.6) / np.sqrt(np.sum(tail**2)))
    tail[0] += 1.0
    return np.asarray(fft.rfft(tail) * gain_curve(colour, n_samples), np.complex64)


def gain_curve(points_db: NDArray[np.floating], n_samples: int) -> NDArray[np.float32]:
    """Return the gains (n_samples // 2 + 1,) of a filter given in dB at COLOUR_HZ."""
    hz = fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    log_hz = np.log(np.maximum(hz, 1.0))
    return np.asarray(10 ** (np.interp(log_hz, np.log(COLOUR_HZ), points_db) / 20), np.float32)


def moment_spectrum(
    seed: int, scene: str, identifier: str, name: str, transfer: NDArray[np.complex64], n_samples: int
) -> NDArray[np.complex64]:
    """Return the spectrum (n_samples // 2 + 1,) of the sound at one moment of a location, before any device.

    Args:
        seed: random seed of the data set.
        scene: one of SCENES.
        identifier: the location, which determines constant properties of the sources (pitch, pace).
        name: name of the moment, which determines the events.
        transfer: the location's `location_filter`.
        n_samples: length in samples.
    """
    recipe = RECIPES[scene]
    rng = stream(seed, "moment", name)
    mix = rng.standard_normal(n_samples, np.float32) * wander(rng, n_samples, 1.0, 1.5)
    for cue in recipe.cues:
        mix += _cue(cue, rng, stream(seed, "source", scene, identifier, cue), n_samples, rng.uniform(3.0, 8.0))
    for cue in recipe.passers_by:
        if rng.random() < 0.2:
            mix += _cue(
                cue, rng, stream(seed, "passer-by", scene, identifier, cue), n_samples, rng.uniform(-12.0, -6.0)
            )
    colour = gain_curve(rng.normal(0.0, MOMENT_DB, len(COLOUR_HZ)), n_samples)
    return np.asarray(fft.rfft(mix) * transfer * colour, np.complex64)


def _cue(name: str, rng: np.random.Generator, source: np.random.Generator, n_samples: int, level_db: float) -> Signal:
    render: Callable[[np.random.Generator, np.random.Generator, int], Signal] = CUES[name]
    return render(rng, source, n_samples) * np.float32(10 ** (level_db / 20))
