"""Classification of audio by an exported candidate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.candidate import CONFIG, MODEL, CandidateConfig, opened_candidate, read_candidate_config
from asc_models.tflite.artifact import Artifact
from data_prep.reader.reader import extract_files, extract_waveforms

File = str | Path
Waveform = npt.NDArray[np.floating]


class Classifier:
    """An exported candidate that classifies recordings.

    Args:
        path: the candidate's folder, or a zip of it.
        n_threads: number of interpreter threads.

    Raises:
        DataError: if `path` is not a candidate.
        ConfigError: if its configuration is invalid.
        ExportError: if the interpreter cannot load its model file.
    """

    def __init__(self, path: File, n_threads: int = 1) -> None:
        with opened_candidate(Path(path)) as folder:
            self.config: CandidateConfig = read_candidate_config(folder / CONFIG)
            self._artifact = Artifact(folder / MODEL, n_threads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Scenes, in the order of the probabilities."""
        return self.config.classes

    def predict(
        self, recordings: File | Waveform | Sequence[File] | Sequence[Waveform], sample_rate: int | None = None
    ) -> pd.DataFrame:
        """Return the probability of every scene: one row per recording, one float32 column per scene.

        Args:
            recordings: one or several paths of audio files, or one or several mono waveforms (n_samples,) of floats in
                [−1, 1]. They are padded or cut to the clip length the network was trained on. Rows are indexed by path
                or by number.
            sample_rate: sample rate of waveforms in Hz; None for files.

        Raises:
            DataError: if there are no recordings, or one cannot be used.
            ValueError: if waveforms are given without a sample rate, or files with one.
        """
        one = isinstance(recordings, str | Path) or (isinstance(recordings, np.ndarray) and recordings.ndim < 2)
        several: Any = [recordings] if one else recordings
        are_waveforms = len(several) > 0 and all(isinstance(entry, np.ndarray) for entry in several)
        if not are_waveforms and any(isinstance(entry, np.ndarray) for entry in several):
            raise ValueError("give either files or waveforms, not both")
        if are_waveforms != (sample_rate is not None):
            raise ValueError("give a sample rate with waveforms only; files contain theirs")
        config = self.config
        reading = (config.features, config.reader, config.classes, config.statistics)
        if sample_rate is None:
            features = extract_files([Path(file) for file in several], *reading)
        else:
            features = extract_waveforms(several, sample_rate, *reading)
        index = pd.Index(features.clips["filename"] if sample_rate is None else range(len(several)), name="recording")
        return pd.DataFrame(self._artifact.predict(features), index=index, columns=list(self.classes))
