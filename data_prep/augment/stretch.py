"""Another pitch at the same speed, another speed at the same pitch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]


def stretch_time(y: Waveform, factor: float) -> Waveform:
    """Return `y` played `factor` times as fast at the same pitch: (round(n_samples / factor),) float32."""
    from librosa.effects import time_stretch

    stretched: Waveform = time_stretch(y, rate=factor)
    return stretched


def shift_pitch(y: Waveform, sample_rate: int, semitones: float) -> Waveform:
    """Return `y` at a pitch higher by `semitones` (12 are an octave) and the same speed, (n_samples,) float32."""
    from librosa.effects import pitch_shift

    shifted: Waveform = pitch_shift(y, sr=sample_rate, n_steps=semitones)
    return shifted
