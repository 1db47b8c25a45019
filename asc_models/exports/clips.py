"""The clips that an export is checked on: the user's recordings, or synthesized ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asc_models.candidate import CandidateConfig
from data_prep.audio.decode import read_mono, resample
from data_prep.config import FeatureSpec
from data_prep.reader.clips import ExtractedClips, extract_waveforms


def check_clips(config: CandidateConfig, recordings: Sequence[Path] = ()) -> ExtractedClips:
    """Return the features of the first clip of each recording; without recordings, of ten synthesized scenes.

    Raises:
        DataError: if a recording cannot be used.
    """
    spec = config.features
    waves = [read_mono(path, spec.sample_rate) for path in recordings] or _synthesized(spec)
    clips = [y[: spec.n_samples] for y in waves]
    return extract_waveforms(clips, spec.sample_rate, spec, config.reader, config.classes, config.statistics)


def read_as(features: ExtractedClips, config: CandidateConfig) -> ExtractedClips:
    """Return the same clips as a member of an ensemble reads them."""
    return replace(features, reader=config.reader, statistics=config.statistics)


def all_inputs(features: ExtractedClips) -> npt.NDArray[np.float32]:
    """Return the network input of all clips, (n_clips, n_mels, n_frames, n_channels)."""
    return features.inputs(slice(None))


def clips_in_words(n_clips: int, recordings: Sequence[Path]) -> str:
    """Return what an export was checked on."""
    return f"{n_clips} {'recording' if recordings else 'synthesized clip'}{'' if n_clips == 1 else 's'}"


def _synthesized(spec: FeatureSpec) -> list[npt.NDArray[np.float32]]:
    from data_prep.synth.example import example
    from data_prep.synth.scenes import SCENES
    from data_prep.synth.sources import SAMPLE_RATE

    return [resample(example(scene, spec.clip_seconds), SAMPLE_RATE, spec.sample_rate) for scene in SCENES]
