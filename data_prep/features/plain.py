"""Mel power spectra of a waveform by SciPy, for any transform length and machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec

Float32 = npt.NDArray[np.float32]

BLOCK = 64
"""Number of frames transformed at once, which fit the processor's cache."""


class PlainMelPower:
    """Computes the same as `data_prep.features.compiled.CompiledMelPower`, about four times slower.

    Args:
        spec: the feature.
        window: (n_fft,) factors of the samples of a frame.
        filters: (n_mels, n_fft // 2 + 1) mel filters.
    """

    def __init__(self, spec: FeatureSpec, window: npt.NDArray[np.float64], filters: npt.NDArray[np.float64]) -> None:
        from scipy.sparse import csr_array

        self._spec = spec
        self._window = window.astype(np.float32)
        self._basis = csr_array(filters.astype(np.float32))  # a filter overlaps only its neighbours

    def __call__(self, y: Float32, gain: npt.NDArray[np.floating] | None) -> tuple[Float32, Float32]:
        """Return mel power (n_mels, n_frames) and each frame's power over all bins before the gain (n_frames,).

        Args:
            y: (n_samples,) float32, zero-padded at both ends.
            gain: (n_fft // 2 + 1,) factors of the power (of the magnitude for a feature with power 1), or None.
        """
        from scipy.fft import rfft

        spec = self._spec
        padded = np.pad(y, spec.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_length]
        windows = np.empty((BLOCK, spec.n_fft), dtype=np.float32)
        mel = np.empty((spec.n_mels, len(frames)), dtype=np.float32)
        total = np.empty(len(frames), dtype=np.float32)
        for start in range(0, len(frames), BLOCK):
            block = slice(start, start + BLOCK)
            windowed = np.multiply(frames[block], self._window, out=windows[: len(frames[block])])
            spectrum = rfft(windowed, axis=1)
            power: Float32 = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            power.sum(axis=1, out=total[block])
            if spec.power == 1:
                np.sqrt(power, out=power)
            if gain is not None:
                power *= gain.astype(np.float32)
            mel[:, block] = self._basis @ power.T
        return mel, total
