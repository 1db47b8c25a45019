"""Stored log-mels → network input, and the features of waveforms. Imports neither pandas nor Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.audio.decode import resample
from data_prep.config import FeatureSpec, ReaderSpec, Windows
from data_prep.errors import DataError
from data_prep.features.silence import kept_frames
from data_prep.prepare.extract import extract_waveform
from data_prep.reader.inputs import n_kept_frames, to_channels, with_frequency
from data_prep.reader.statistics import BandStatistics
from data_prep.reader.windows import repeated

Indices = npt.NDArray[np.integer] | slice


class ReadableClips:
    """How clips with stored features in memory become network input."""

    log_mel: npt.NDArray[np.float16]
    """(n_clips, n_mels, n_frames), unscaled."""
    classes: tuple[str, ...]
    """Scenes in the order of the network's outputs."""
    reader: ReaderSpec
    spec: FeatureSpec
    """The stored feature."""
    statistics: BandStatistics | None
    """Statistics of the training clips; None unless the reader standardizes."""

    @property
    def n_clips(self) -> int:
        """Number of clips."""
        return len(self.log_mel)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(n_mels, n_frames, n_channels) of a clip from `inputs`, which is the input of the exported file."""
        n_mels, n_frames = self.log_mel.shape[1:]
        return n_mels, n_kept_frames(n_frames, self.reader), self.reader.n_channels

    @property
    def windows(self) -> Windows | None:
        """The windows that classify a clip; None if whole clips are used."""
        return self.reader.windows(self.spec)

    @property
    def network_shape(self) -> tuple[int, int, int]:
        """(n_mels, n_frames, n_channels) of the network's input: of a window, or of a clip without windows."""
        n_mels, n_frames, n_channels = self.input_shape
        return n_mels, self.windows.n_frames if self.windows else n_frames, n_channels

    def inputs(self, indices: Indices) -> npt.NDArray[np.float32]:
        """Return the inputs (b, n_mels, n_frames, n_channels) of the whole clips at `indices`."""
        return self.completed(self.channels_of(self.filled(self.log_mel[indices])))

    def batches(self, batch_size: int = 32) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the inputs of all whole clips in order, in batches of `batch_size` clips."""
        for start in range(0, self.n_clips, batch_size):
            yield self.inputs(np.arange(start, min(start + batch_size, self.n_clips)))

    def filled(self, log_mel: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
        """Return clips (b, n_mels, n_frames), trimmed and repeated to full length if the reader trims silence."""
        if not self.reader.trim_silence:
            return log_mel
        return repeated(log_mel, kept_frames(log_mel, self.spec))

    def channels_of(self, log_mel: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return the channels (`to_channels`) of other log-mels (b, n_mels, n_frames), for example augmented ones."""
        return to_channels(log_mel, self.reader, self.statistics)

    def channels_of_windows(self, log_mel: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return the channels of windows with margins, as drawn by `RandomWindows`.

        Deltas at the edges of a window are computed from the margins, regardless of `reader.edges`.
        """
        return to_channels(log_mel, self.reader.model_copy(update={"edges": "crop"}), self.statistics)

    def completed(self, channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the network input of channels: with the frequency channel if the reader has one."""
        return with_frequency(channels) if self.reader.frequency_channel else channels


@dataclass(frozen=True)
class ExtractedClips(ReadableClips):
    """Clips that no data set describes."""

    log_mel: npt.NDArray[np.float16]
    classes: tuple[str, ...]
    reader: ReaderSpec
    spec: FeatureSpec
    statistics: BandStatistics | None = None


def extract_waveforms(
    waveforms: Sequence[npt.NDArray[np.floating]],
    sample_rate: int,
    spec: FeatureSpec,
    reader: ReaderSpec,
    classes: tuple[str, ...],
    statistics: BandStatistics | None = None,
) -> ExtractedClips:
    """Return the features of waveforms, those that `asc prepare` would store of files with these samples.

    Args:
        waveforms: mono waveforms, (n_samples,) each, floating point with full scale at −1 and 1.
        sample_rate: sample rate of all waveforms in Hz.
        spec: the stored feature.
        reader: how it becomes network input.
        classes: scenes in the order of the network's outputs.
        statistics: statistics of the training clips, for a reader that standardizes.

    Raises:
        DataError: if `waveforms` is empty, or a waveform has another shape or type, no samples or non-finite values.
    """
    if not len(waveforms):
        raise DataError("no waveforms were given. Give at least one.")
    for number, y in enumerate(waveforms):
        require_waveform(y, number)
    log_mels = [extract_waveform(resample(y, sample_rate, spec.sample_rate), spec) for y in waveforms]
    return ExtractedClips(np.stack(log_mels), classes, reader, spec, statistics)


def require_waveform(y: npt.NDArray[np.generic], number: int) -> None:
    """Check that an array is a mono waveform.

    Args:
        y: the array.
        number: of the waveform, for the message.

    Raises:
        DataError: if it has another shape or type, no samples or non-finite values.
    """
    if y.ndim != 1 or not y.size or not np.issubdtype(y.dtype, np.floating) or not np.isfinite(y).all():
        raise DataError(
            f"waveform {number}: must be finite floating-point numbers of shape (n_samples,), full scale at −1 "
            f"and 1, got {y.dtype} of shape {y.shape}. Average the channels; divide 16-bit samples by 32,768."
        )
