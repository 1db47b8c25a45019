"""Classification of audio by an exported candidate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.candidate import CONFIG, MODEL, CandidateConfig, opened_candidate, read_candidate_config
from asc_models.errors import ExportError
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.quantization.probe import probe
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
        ExportError: if its model file cannot be run.
    """

    def __init__(self, path: File, n_threads: int = 1) -> None:
        self.path = Path(path)
        with opened_candidate(self.path) as folder:
            self.config: CandidateConfig = read_candidate_config(folder / CONFIG)
            self._require_harmless(folder / MODEL)
            self._artifact = Artifact(folder / MODEL, n_threads)

    def _require_harmless(self, model: Path) -> None:
        """Raise ExportError if the model file fails on a clip of zeros in a process of its own, which it may abort."""
        shape = self.config.reader.input_shape(self.config.features)
        if failure := probe(model, np.zeros((1, *shape), np.float32), "xnnpack"):
            raise ExportError(
                f"{self.path}: its model file cannot be run: {failure}. Copy it again, or export it again."
            )

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
            ExportError: if the model file cannot be run, or its outputs are not probabilities.
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
        probabilities = self._artifact.predict(features)
        if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():  # not true of NaN either
            raise ExportError(
                f"{self.path}: its outputs are not probabilities: the model file is damaged. Export it again."
            )
        return pd.DataFrame(probabilities, index=index, columns=list(self.classes))
