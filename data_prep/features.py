"""Waveforms → log-mel spectrograms, and stored log-mels → network input."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data_prep.config import DELTA_LOSS, FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError

Float32 = npt.NDArray[np.float32]


_BLOCK = 64
"""Frames that are transformed at once: what they need stays in the processor's cache."""

_DEEP = 3e-13
"""Below this share of a frame's power a mel band drowns in the rounding noise of a float32 transform: at it the natural
logarithm is off by up to 0.03, measured on recordings and on pure tones."""


class LogMel:
    """Natural logarithm of mel power + offset: one clip at a time, window and filters made once.

    The numbers of `librosa.feature.melspectrogram(center=True, window="hann", power=2)` on float64 audio: within 1e-3
    in every band within 80 dB of the clip's maximum, and 5e-3 rms over all. A float32 transform is good enough for that
    but in frames that have both loud and empty bands, such as a pure tone's: those few are transformed in float64.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        from scipy.sparse import csr_array

        self.spec = spec
        n = spec.n_fft
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        self._window32 = self._window.astype(np.float32)
        self._basis = csr_array(mel_filters(spec).astype(np.float32))  # a filter overlaps only its neighbours
        self._padded = np.zeros(spec.n_samples + 2 * (n // 2), dtype=np.float32)
        self._windowed = np.empty((_BLOCK, n), dtype=np.float32)

    def __call__(self, y: Float32, gain: npt.NDArray[np.floating] | None = None) -> Float32:
        """Return the log-mel (n_mels, n_frames) float32 of the waveform `y` (n_samples,) float32.

        Args:
            y: the clip.
            gain: factors (n_fft // 2 + 1,) that the magnitude spectrum is multiplied by before the mel filters, as
                spectrum correction does; None leaves it as it is.

        Raises:
            ValueError: if `gain` has another shape.
        """
        if gain is not None and gain.shape != (self.spec.n_fft // 2 + 1,):
            raise ValueError(f"gain must have shape ({self.spec.n_fft // 2 + 1},), one a bin; got {gain.shape}")
        power_gain = None if gain is None else np.square(gain.astype(np.float32))
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        self._padded[n_fft // 2 : n_fft // 2 + self.spec.n_samples] = y
        frames = np.lib.stride_tricks.sliding_window_view(self._padded, n_fft)[::hop]
        out = np.empty((self.spec.n_mels, len(frames)), dtype=np.float32)
        for start in range(0, len(frames), _BLOCK):
            block = slice(start, start + _BLOCK)
            out[:, block] = self._mel(frames[block], power_gain)
        return np.log(out, out=out)

    def _mel(self, frames: Float32, power_gain: Float32 | None) -> Float32:
        """Return mel power + offset (n_mels, b) of at most `_BLOCK` frames (b, n_fft)."""
        from scipy.fft import rfft

        windowed = np.multiply(frames, self._window32, out=self._windowed[: len(frames)])
        power = _power(rfft(windowed, axis=1))
        drowned_under = np.float32(_DEEP) * power.sum(axis=1)
        if power_gain is not None:
            power *= power_gain
            drowned_under *= power_gain.max()  # rounding noise is amplified with what it sits on
        offset = np.float32(self.spec.log_offset)
        mel: Float32 = self._basis @ power.T + offset
        deep = mel.min(axis=0) < drowned_under
        if deep.any():
            exact = _power(rfft(frames[deep] * self._window, axis=1)).astype(np.float32)
            if power_gain is not None:
                exact *= power_gain
            mel[:, deep] = self._basis @ exact.T + offset
        return mel


def _power(spectrum: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.floating]:
    power: npt.NDArray[np.floating] = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power


@lru_cache(maxsize=4)
def log_mel_of(spec: FeatureSpec) -> LogMel:
    """Return this process's `LogMel` for `spec`."""
    return LogMel(spec)


def mel_filters(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Return the triangular mel filters (n_mels, n_fft // 2 + 1), as `librosa.filters.mel` defines them."""
    top_hz = spec.fmax_hz if spec.fmax_hz is not None else spec.sample_rate / 2
    edges = np.linspace(_hz_to_mel(spec.fmin_hz, spec.htk), _hz_to_mel(top_hz, spec.htk), spec.n_mels + 2)
    edges_hz = _mel_to_hz(edges, spec.htk)
    bins_hz = np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate)
    ramps = edges_hz[:, None] - bins_hz[None, :]
    widths = np.diff(edges_hz)[:, None]
    filters = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    if spec.norm == "slaney":
        filters *= (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return filters


# Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
_LINEAR_HZ = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float, htk: bool) -> float:
    if htk:
        return float(2595.0 * np.log10(1.0 + hz / 700.0))
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return float(_BREAK_HZ / _LINEAR_HZ + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: npt.NDArray[np.float64], htk: bool) -> npt.NDArray[np.float64]:
    if htk:
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    broken = _BREAK_HZ / _LINEAR_HZ
    return np.where(mel < broken, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mel - broken)))


def deltas(x: Float32) -> Float32:
    """Return the slope of `x` along its last axis (frames), valid frames only: 4 fewer than `x` has.

    `d[t] = (x[t+1] − x[t−1]) / 10 + (x[t+2] − x[t−2]) / 5`, the regression over five frames of Hu et al. 2020
    (`librosa.feature.delta` is another formula).
    """
    out: Float32 = (x[..., 3:-1] - x[..., 1:-3]) * np.float32(0.1)
    out += (x[..., 4:] - x[..., :-4]) * np.float32(0.2)
    return out


def to_inputs(log_mel: npt.NDArray[np.floating], reader: ReaderSpec) -> Float32:
    """Return network input (b, n_mels, n_frames', n_channels) float32 of stored log-mels (b, n_mels, n_frames).

    Channels are the (scaled) log-mel, its deltas, and the deltas' deltas. With `edges="crop"` a batch of 431 frames
    gives 423: `[x[4:−4], d[2:−2], dd]`. With `edges="pad"` the first and last frames are repeated instead.

    Raises:
        ConfigError: if the clips are too short for the deltas asked for.
    """
    lost = DELTA_LOSS * reader.deltas
    n_frames = log_mel.shape[-1]
    if n_frames <= lost:
        raise ConfigError(
            f"reader.deltas: {reader.deltas} orders of deltas need more than {lost} frames, clips have {n_frames}. "
            "Take fewer orders, a smaller hop_length or longer clips."
        )
    n_kept = n_frames - (lost if reader.edges == "crop" else 0)
    out = np.empty((*log_mel.shape[:2], n_kept, reader.n_channels), dtype=np.float32)
    for clip, channels in zip(log_mel, out, strict=True):  # one by one: a clip fits the cache, a batch does not
        _stack(clip.astype(np.float32), reader, channels)
    return out


def _stack(x: Float32, reader: ReaderSpec, out: Float32) -> None:
    """Write the channels of one clip `x` (n_mels, n_frames) into `out` (n_mels, n_frames', n_channels)."""
    if reader.scaling == "minmax":
        low, high = x.min(), x.max()
        x -= low
        if high > low:  # else the clip is constant, and zeros now
            x /= high - low
    if reader.edges == "pad" and reader.deltas:
        margin = DELTA_LOSS * reader.deltas // 2
        x = np.pad(x, ((0, 0), (margin, margin)), mode="edge")
    n_kept = out.shape[1]
    for channel in range(reader.n_channels):
        if channel:
            x = deltas(x)
        margin = (x.shape[1] - n_kept) // 2
        out[..., channel] = x[:, margin : margin + n_kept]
