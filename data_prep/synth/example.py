"""One synthesized recording of a scene, for trying what takes audio where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.synth.devices import record, response
from data_prep.synth.scenes import location_filter, moment_spectrum
from data_prep.synth.sources import SAMPLE_RATE
from data_prep.synth.streams import stream

DEVICE, LOCATION, LEAST_SECONDS = "a", "example", 1.0


def example(scene: str, seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Return a waveform (n_samples,) at `SAMPLE_RATE` with full scale at −1 and 1; equal arguments give equal samples.

    Args:
        scene: one of `data_prep.synth.scenes.SCENES`.
        seconds: length in seconds; at least one second is returned, since events of the scenes have some length.
        seed: random seed.
    """
    n_samples = round(max(seconds, LEAST_SECONDS) * SAMPLE_RATE)
    name = f"{scene}-{LOCATION}-{seed}"
    spectrum = moment_spectrum(
        seed, scene, LOCATION, name, location_filter(seed, scene, LOCATION, n_samples), n_samples
    )
    clip = record(stream(seed, "clip", name, DEVICE), DEVICE, spectrum, response(seed, DEVICE, n_samples), n_samples)
    return clip.astype(np.float32) / np.float32(32_768)
