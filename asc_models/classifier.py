"""Classification of audio by an exported candidate or ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asc_models.candidate import CandidateConfig
from asc_models.ensemble import OpenedSystem, opened_system
from asc_models.errors import ExportError
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.quantization.probe import probe
from data_prep.audio.decode import decode, resample
from data_prep.config import FeatureSpec
from data_prep.errors import DataError
from data_prep.reader.clips import ExtractedClips, extract_waveforms, require_waveform

if TYPE_CHECKING:
    import pandas as pd

File = str | Path
Waveform = npt.NDArray[np.floating]

SLACK = 0.05
"""Share of a clip's length by which a recording may be longer and still be one window."""
EMPTY_NATS = 3.0
"""How far above the logarithm of the offset a band still counts as without sound; the noise of 16 bits is above it."""
EMPTY_SHARE = 1 / 8
"""Share of the bands that must be without sound, from the highest down, for a warning."""


@dataclass(frozen=True)
class Answer:
    """The probabilities of one recording."""

    windows: npt.NDArray[np.float32]
    """(n_windows, n_scenes), one row for each window of a clip's length."""
    starts: tuple[float, ...]
    """Start of each window in seconds."""
    window_seconds: float
    """Length of a window."""
    seconds: float
    """Length of the recording; of a stream, until the end of the window."""
    warnings: tuple[str, ...]
    """In what the recording differs from those that the network was trained on."""

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """(n_scenes,): mean over the windows."""
        mean: npt.NDArray[np.float32] = self.windows.mean(axis=0)
        return mean


class Classifier:
    """An exported candidate or ensemble that classifies recordings.

    The probabilities of an ensemble are the weighted mean of its members', with its temperature applied.

    Args:
        path: folder of the candidate or ensemble, or a zip of it.
        n_threads: number of interpreter threads.
        device: recording device of all recordings, if known. Its network answers, where the candidate has one
            (`devices`), and the general one otherwise.

    Raises:
        DataError: if `path` is neither, or the members of an ensemble are of different data.
        ConfigError: if a configuration is invalid.
        ExportError: if a model file cannot be run.
    """

    def __init__(self, path: File, n_threads: int = 1, *, device: str | None = None) -> None:
        self.path = Path(path)
        with opened_system(self.path) as opened:
            known = {name for config in opened.read_configs() for name in config.devices}
            self.devices: tuple[str, ...] = tuple(sorted(known))
            system = opened.of_device(device)
            self.configs: tuple[CandidateConfig, ...] = tuple(system.read_configs())
            self._require_harmless(system)
            self._system = system
            self._artifacts = [Artifact(model, n_threads) for model in system.model_paths]

    def _require_harmless(self, system: OpenedSystem) -> None:
        """Raise ExportError if a model file fails on a clip of zeros in a process of its own, which it may abort."""
        for name, model, config in zip(system.folders, system.model_paths, self.configs, strict=True):
            shape = config.reader.input_shape(config.features)
            if failure := probe(model, np.zeros((1, *shape), np.float32), "xnnpack"):
                which = "its model file" if system.manifest is None else f"the model file of its member {name}"
                raise ExportError(f"{self.path}: {which} cannot be run: {failure}. Copy it again, or export it again.")

    @property
    def classes(self) -> tuple[str, ...]:
        """Scenes, in the order of the probabilities."""
        return self.configs[0].classes

    def predict(
        self, recordings: File | Waveform | Sequence[File] | Sequence[Waveform], sample_rate: int | None = None
    ) -> pd.DataFrame:
        """Return the probability of every scene: one row per recording, one float32 column per scene.

        Args:
            recordings: one or several paths of audio files, or one or several mono waveforms (n_samples,) of floats in
                [−1, 1]. Of a recording longer than the clips that the network was trained on, the row is the mean over
                its windows (`answer`); a shorter one is padded with zeros. Rows are indexed by path or by number.
            sample_rate: sample rate of waveforms in Hz; None for files.

        Raises:
            DataError: if there are no recordings, or one cannot be used.
            ExportError: if the model file cannot be run, or its outputs are not probabilities.
            ValueError: if waveforms are given without a sample rate, or files with one.
        """
        import pandas as pd

        one = isinstance(recordings, str | Path) or (isinstance(recordings, np.ndarray) and recordings.ndim < 2)
        several: Any = [recordings] if one else recordings
        are_waveforms = len(several) > 0 and all(isinstance(entry, np.ndarray) for entry in several)
        if not are_waveforms and any(isinstance(entry, np.ndarray) for entry in several):
            raise ValueError("give either files or waveforms, not both")
        if are_waveforms != (sample_rate is not None):
            raise ValueError("give a sample rate with waveforms only; files contain theirs")
        if not len(several):
            raise DataError("no audio files were given. Name at least one.")
        for number, y in enumerate(several if are_waveforms else ()):
            require_waveform(y, number)
        answers = [self.answer(recording, sample_rate) for recording in several]
        index = pd.Index(range(len(several)) if are_waveforms else [str(file) for file in several], name="recording")
        return pd.DataFrame(
            np.stack([answer.probabilities for answer in answers]), index=index, columns=list(self.classes)
        )

    def answer(self, recording: File | Waveform, sample_rate: int | None = None) -> Answer:
        """Return the answer to one recording, from windows of a clip's length that cover it.

        Windows are evenly spaced and overlap where the recording is no multiple of a clip's length.

        Args:
            recording: path of an audio file, or a mono waveform (n_samples,) of floats in [−1, 1].
            sample_rate: sample rate of a waveform in Hz; None for a file.

        Raises:
            DataError: if the recording cannot be used.
            ExportError: if the model file cannot be run, or its outputs are not probabilities.
        """
        config = self.configs[0]
        spec = config.features  # the same for all members, so their features are extracted once
        if isinstance(recording, np.ndarray):
            require_waveform(recording, 0)
            y, rate = np.asarray(recording, np.float32), spec.sample_rate if sample_rate is None else sample_rate
            if rate < 1:
                raise DataError(f"the sample rate must be at least 1 Hz, got {rate}")
        else:
            sound = decode(Path(recording))
            y, rate = sound.y, sound.rate
        whole = resample(y, rate, spec.sample_rate)
        starts = _starts(len(whole), spec.n_samples)
        features = extract_waveforms(
            [whole[start : start + spec.n_samples] for start in starts],
            spec.sample_rate,
            spec,
            config.reader,
            config.classes,
            config.statistics,
        )
        return Answer(
            windows=self._probabilities(features),
            starts=tuple(start / spec.sample_rate for start in starts),
            window_seconds=spec.clip_seconds,
            seconds=len(whole) / spec.sample_rate,
            warnings=tuple(_warnings(len(whole), rate, features, spec)),
        )

    def stream(self, blocks: Iterable[Waveform], sample_rate: int, every_s: float | None = None) -> Iterator[Answer]:
        """Yield the answer to each window of a stream, as soon as its last sample has arrived.

        A window has a clip's length and is answered as a file with its samples is. What follows the last whole window
        is answered by the window that ends with the stream, as in `answer`; a stream that is shorter than a clip is
        padded with zeros.

        Args:
            blocks: the stream as consecutive mono waveforms (n_samples,) of floats in [−1, 1].
            sample_rate: Hz.
            every_s: seconds from the start of a window to the start of the next; None means a clip's length.

        Raises:
            DataError: if a block cannot be used.
            ExportError: as `answer`.
            ValueError: if `every_s` is not at least one sample.
        """
        spec = self.configs[0].features
        hop = sample_rate * (spec.clip_seconds if every_s is None else every_s)
        if not 1 <= hop < math.inf:
            raise ValueError(f"every_s must be a finite time of at least one sample: {every_s}")
        for start, y in _windows_of(blocks, round(sample_rate * spec.clip_seconds), hop):
            answer, start_s = self.answer(y, sample_rate), start / sample_rate
            yield replace(answer, starts=(start_s,), seconds=start_s + answer.seconds)

    def _probabilities(self, features: ExtractedClips) -> npt.NDArray[np.float32]:
        answers = []
        for artifact, config in zip(self._artifacts, self.configs, strict=True):
            read = replace(features, reader=config.reader, statistics=config.statistics)
            probabilities = artifact.predict(read)
            if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():  # not true of NaN either
                raise ExportError(
                    f"{self.path}: its outputs are not probabilities: the model file is damaged. Export it again."
                )
            answers.append(probabilities)
        return self._system.combined(answers)


def _starts(n_samples: int, n_window: int) -> list[int]:
    """Return the first samples of windows that cover a recording of `n_samples`."""
    n_windows = max(1, math.ceil(n_samples / n_window - SLACK))
    last = max(0, n_samples - n_window) if n_windows > 1 else 0
    return [round(start) for start in np.linspace(0, last, n_windows)]


def _windows_of(blocks: Iterable[Waveform], n_window: int, hop: float) -> Iterator[tuple[int, Waveform]]:
    """Yield (first sample, samples) of the windows of a stream; only the samples of a window and a block are held.

    Args:
        blocks: the stream.
        n_window: samples in a window.
        hop: samples from one window to the next, perhaps a fraction.
    """
    held, held_from, n_windows, start, end = np.empty(0, np.float32), 0, 0, 0, 0
    for block in blocks:
        require_waveform(block, 0)
        held = np.concatenate([held, block], dtype=np.float32)
        while start + n_window <= held_from + len(held):
            yield start, held[start - held_from :][:n_window]
            end, n_windows = start + n_window, n_windows + 1
            start = round(n_windows * hop)
        n_past = max(0, min(start, held_from + len(held) - n_window) - held_from)
        held, held_from = held[n_past:], held_from + n_past
    n_samples = held_from + len(held)
    if n_samples and (not end or n_samples - max(start, end) > SLACK * n_window):
        start = max(0, n_samples - n_window)
        yield start, held[start - held_from :]


def _warnings(n_samples: int, rate: int, features: ExtractedClips, spec: FeatureSpec) -> list[str]:
    """Return in what a recording differs from those that the network was trained on."""
    found = []
    if n_samples < (1 - SLACK) * spec.n_samples:
        seconds = n_samples / spec.sample_rate
        found.append(f"is {seconds:.2f} s long, shorter than the clips of {spec.clip_seconds:g} s: padded with zeros")
    n_empty = _n_empty_bands(features, spec)
    if n_empty == spec.n_mels:
        found.append("is silent")
    elif rate < spec.sample_rate:
        found.append(
            f"has {rate:,} samples a second, fewer than the {spec.sample_rate:,} of the network: its upper bands are "
            "empty"
        )
    elif n_empty >= EMPTY_SHARE * spec.n_mels:
        found.append(f"has no sound in the upper {n_empty} of {spec.n_mels} bands, as after strong compression")
    return found


def _n_empty_bands(features: ExtractedClips, spec: FeatureSpec) -> int:
    """Return how many bands, from the highest down, are without sound in nine of ten frames that have any.

    Not in every frame: the ends of a recording are clicks, which have all frequencies.
    """
    floor = math.log(spec.log_offset) + EMPTY_NATS
    frames = features.log_mel.transpose(1, 0, 2).reshape(spec.n_mels, -1).astype(np.float32)
    heard = frames[:, frames.max(axis=0) > floor]
    if not heard.size:
        return spec.n_mels
    has_sound = np.quantile(heard, 0.9, axis=1) > floor
    return int(np.argmax(has_sound[::-1])) if has_sound.any() else spec.n_mels - 1
