"""Writes log_mel.npz: every preset's log-mel of one made clip, computed by Hugging Face's transformers.

    pip install transformers==5.23.0 numpy && python tests/data_prep/golden/make_log_mel.py

`transformers.audio_utils` is NumPy in float64, with windows, framing and mel filters of its own. Only every eighth
frame is kept. The settings are written out here, so that a change of ours does not change what it is compared with.
"""

from pathlib import Path

import numpy as np

SETTINGS = {
    # rate, n_fft, window, its length, hop, pre-emphasis, power, mels, highest Hz, scale, offset
    "cao2021": (44_100, 2048, "hann", 2048, 1024, 0.0, 2.0, 128, 22_050.0, "htk", 1e-8),
    "dcase2021-baseline": (44_100, 2048, "hamming", 1764, 882, 0.0, 1.0, 40, 22_050.0, "slaney", 2.220446049250313e-16),
    "cpmobile2023": (32_000, 4096, "hann", 3072, 500, 0.97, 2.0, 256, 15_500.0, "htk", 1e-5),
}


def made_clip(sample_rate: int) -> np.ndarray:
    """One second: a sweep, two tones and steady noise, from integers and sines alone."""
    n = np.arange(sample_rate)
    t = n / sample_rate
    sweep = 0.3 * np.sin(2 * np.pi * (40 * t + 0.2 * sample_rate * t**2))
    tones = 0.2 * np.sin(2 * np.pi * 440 * t) + 0.05 * np.sin(2 * np.pi * 5_000 * t)
    noise = 0.02 * ((n * n % 65_537 * 7_919 % 65_537) / 65_537 - 0.5)
    return (sweep + tones + noise).astype(np.float32)


def log_mel(name: str) -> np.ndarray:
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    rate, n_fft, window, win_length, hop, preemphasis, power, n_mels, top_hz, scale, offset = SETTINGS[name]
    y = made_clip(rate).astype(np.float64)
    emphasised = np.append(y[:1], y[1:] - preemphasis * y[:-1])
    mel = spectrogram(
        emphasised,
        window_function(win_length, window, periodic=True),
        frame_length=win_length,
        hop_length=hop,
        fft_length=n_fft,
        power=power,
        center=True,
        pad_mode="constant",
        mel_filters=mel_filter_bank(n_fft // 2 + 1, n_mels, 0.0, top_hz, rate, norm=None, mel_scale=scale),
        mel_floor=0.0,
        dtype=np.float64,
    )
    return np.log(mel + offset)[:, ::8].astype(np.float32)


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("log_mel.npz"), **{name: log_mel(name) for name in SETTINGS})
