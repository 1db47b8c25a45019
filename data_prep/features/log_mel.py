"""Waveforms → log-mel spectrograms."""

from __future__ import annotations

import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec
from data_prep.features.plain import BLOCK, PlainMelPower

if TYPE_CHECKING:
    from data_prep.features.compiled import CompiledMelPower

Float32 = npt.NDArray[np.float32]

_DEEP = 3e-13
"""Share of a frame's power below which a mel band is lost in the rounding noise of a float32 transform. At this share
the error of the natural logarithm is up to 0.03, measured on recordings and pure tones."""


class LogMel:
    """Natural logarithm of mel power + offset, one clip at a time; window and filters are computed once.

    Agrees with `librosa.feature.melspectrogram(center=True)` on float64 audio within 1e-3 in every band within 80 dB of
    the clip's maximum, and within 5e-3 rms over all. A float32 transform suffices except in frames with both loud and
    empty bands, such as pure tones; these few frames are transformed in float64.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._window = window_of(spec)
        self._filters = mel_filters(spec)
        self._mel_power = _mel_power_of(spec, self._window, self._filters)

    def __call__(self, y: Float32, gain: npt.NDArray[np.floating] | None = None) -> Float32:
        """Return the log-mel (n_mels, n_frames) float32 of the waveform `y` (n_samples,) float32.

        Args:
            y: waveform of the clip.
            gain: factors (n_fft // 2 + 1,) of the magnitude spectrum, applied before the mel filters, as in spectrum
                correction; None applies none.

        Raises:
            ValueError: if `y` or `gain` has another shape.
        """
        spec = self.spec
        if y.shape != (spec.n_samples,):
            raise ValueError(f"a clip must have shape ({spec.n_samples},), got {y.shape}")
        if gain is not None and gain.shape != (spec.n_fft // 2 + 1,):
            raise ValueError(f"gain must have shape ({spec.n_fft // 2 + 1},), one a bin; got {gain.shape}")
        factors = None if gain is None else gain.astype(np.float64) ** spec.power
        exact: npt.NDArray[np.floating] = y
        if spec.preemphasis:  # in float64: float32 rounding would exceed the result
            exact = y.astype(np.float64)
            exact[1:] -= spec.preemphasis * exact[:-1]
        mel, total = self._mel_power(exact.astype(np.float32, copy=False), factors)
        mel += np.float32(spec.log_offset)
        drowned = total * np.float32(_DEEP * (1.0 if factors is None else factors.max() ** (2 / spec.power)))
        if spec.power == 1:
            drowned = 4 * np.sqrt(drowned)  # 4: noise adds up over the bins of a band, magnitudes don't
        deep = np.flatnonzero(mel.min(axis=0) < drowned)
        if len(deep):
            mel[:, deep] = self._mel_exactly(exact, deep, factors)
        return np.log(mel, out=mel)

    @cached_property
    def _basis(self) -> Any:
        """The mel filters as a sparse matrix: filters have few bins, and the product starts no threads."""
        from scipy.sparse import csr_array

        return csr_array(self._filters)

    def _mel_exactly(
        self, y: npt.NDArray[np.floating], frames: npt.NDArray[np.intp], factors: npt.NDArray[np.float64] | None
    ) -> Float32:
        """Return mel power + offset (n_mels, len(frames)) by a float64 transform."""
        from scipy.fft import rfft

        spec = self.spec
        out = np.empty((spec.n_mels, len(frames)), dtype=np.float32)
        for start in range(0, len(frames), BLOCK):
            block = slice(start, start + BLOCK)
            windowed = np.zeros((len(frames[block]), spec.n_fft))
            for row, begin in zip(windowed, frames[block] * spec.hop_length - spec.n_fft // 2, strict=True):
                first, stop = max(begin, 0), min(begin + spec.n_fft, len(y))
                row[first - begin : stop - begin] = y[first:stop]
            windowed *= self._window
            spectrum = rfft(windowed, axis=1)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            if spec.power == 1:
                power = np.sqrt(power)
            if factors is not None:
                power *= factors
            out[:, block] = self._basis @ power.T + spec.log_offset
        return out


def _mel_power_of(
    spec: FeatureSpec, window: npt.NDArray[np.float64], filters: npt.NDArray[np.float64]
) -> CompiledMelPower | PlainMelPower:
    """Return the compiled implementation if it supports `spec` and the compiler works, else SciPy's."""
    try:
        from data_prep.features.compiled import CompiledMelPower, is_compilable
    except ImportError:  # it uses internals of numba, which change between versions
        return PlainMelPower(spec, window, filters)
    return (CompiledMelPower if is_compilable(spec.n_fft) else PlainMelPower)(spec, window, filters)


@lru_cache(maxsize=4)
def log_mel_of(spec: FeatureSpec) -> LogMel:
    """Return the `LogMel` for `spec`, cached per process."""
    return LogMel(spec)


def window_of(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Return the periodic window (n_fft,), zero-padded if shorter than the transform."""
    n = spec.window_samples
    share = {"hann": 0.5, "hamming": 0.54}[spec.window]
    window = share - (1 - share) * np.cos(2 * np.pi * np.arange(n) / n)
    before = (spec.n_fft - n) // 2
    return np.pad(window, (before, spec.n_fft - n - before))


@lru_cache(maxsize=4)
def mel_filters(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Return the triangular mel filters (n_mels, n_fft // 2 + 1), as librosa defines them; the array is read-only."""
    from librosa.filters import mel  # half a second, once per process

    with warnings.catch_warnings():  # a band narrower than a bin may be empty, which callers expect
        warnings.filterwarnings("ignore", message="Empty filters detected")
        filters: npt.NDArray[np.float64] = mel(
            sr=spec.sample_rate,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            fmin=spec.fmin_hz,
            fmax=spec.fmax_hz,
            htk=spec.htk,
            norm=spec.norm,
            dtype=np.float64,
        )
    filters.flags.writeable = False
    return filters
