"""Log-mels against librosa; deltas and stacking against numbers worked out by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.audio import read_clip
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.corpora import read_corpus
from data_prep.errors import ConfigError
from data_prep.features import LogMel, deltas, mel_filters, to_inputs

FIVE = FeatureSpec(clip_seconds=5.0)
RNG = np.random.default_rng(0)
T = np.arange(FIVE.n_samples) / FIVE.sample_rate
MADE = {
    "silence with one click": np.where(np.arange(FIVE.n_samples) == 100_000, 1.0, 0.0),
    "pure tone": 0.9 * np.sin(2 * np.pi * 440.3 * T),
    "five tones": sum(0.1 * np.sin(2 * np.pi * f * T) for f in (100, 333, 1234, 5000, 9999.0)),
    "sweep": 0.5 * np.sin(2 * np.pi * (20 * T + 2000 * T**2)),
    "rumble over faint noise": 0.9 * np.sin(2 * np.pi * 50.7 * T) + 1e-4 * RNG.standard_normal(len(T)),
    "noise on a constant": 0.5 + 1e-3 * RNG.standard_normal(len(T)),
    "sound, then digital silence": np.where(T < 2, 0.1 * RNG.standard_normal(len(T)), 0.0),
}


def librosa_mel_power(y: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    import librosa

    return librosa.feature.melspectrogram(
        y=y.astype(np.float64),
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        htk=spec.htk,
        norm=spec.norm,
    )


def assert_agrees(log_mel: np.ndarray, y: np.ndarray, spec: FeatureSpec) -> None:
    assert_same(log_mel, librosa_mel_power(y, spec), spec)


def assert_same(log_mel: np.ndarray, power: np.ndarray, spec: FeatureSpec) -> None:
    """|Δ| ≤ 1e-3 within 80 dB of the clip's maximum, rms ≤ 5e-3 over all bins."""
    off = np.abs(log_mel - np.log(power + spec.log_offset))
    assert off[power >= power.max() * 1e-8].max() <= 1e-3
    assert np.sqrt(np.mean(off**2)) <= 5e-3


@pytest.mark.parametrize("name", MADE)
def test_log_mel_agrees_with_librosa_on_made_sounds(name):
    """The float32 log-mel agrees with librosa on float64 audio, on sounds with full, empty and mixed spectra."""
    y = MADE[name].astype(np.float32)
    assert_agrees(LogMel(FIVE)(y), y, FIVE)


@pytest.mark.parametrize(
    "changes",
    [
        {"htk": False, "norm": "slaney"},
        {"fmin_hz": 50.0, "fmax_hz": 14_000.0, "n_mels": 40},
        {"sample_rate": 16_000, "n_fft": 1024, "hop_length": 320},
        {"n_fft": 8192, "hop_length": 1364, "n_mels": 256},
    ],
)
def test_log_mel_agrees_with_librosa_at_other_settings(changes):
    """Other rates, transforms and filter banks agree as well, and so does the number of frames."""
    spec = FIVE.updated(clip_seconds=2.0, **changes)
    y = (0.1 * np.random.default_rng(1).standard_normal(spec.n_samples)).astype(np.float32)
    log_mel = LogMel(spec)(y)
    assert log_mel.shape == (spec.n_mels, spec.n_frames)
    assert_agrees(log_mel, y, spec)


@pytest.mark.parametrize("name", MADE)
def test_a_gain_multiplies_the_magnitude_before_the_mel_filters(name):
    """With a gain per bin the log-mel is librosa's: |STFT| times the gain, squared, mel filters, log."""
    import librosa

    y = MADE[name].astype(np.float32)
    bins = np.arange(FIVE.n_fft // 2 + 1)
    gain = np.exp(1.5 * np.cos(bins / 90) - bins / 700)
    magnitude = np.abs(librosa.stft(y.astype(np.float64), n_fft=FIVE.n_fft, hop_length=FIVE.hop_length))
    basis = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=128, htk=True, norm=None, dtype=np.float64)
    extract = LogMel(FIVE)
    assert_same(extract(y, gain), basis @ (gain[:, None] * magnitude) ** 2, FIVE)
    np.testing.assert_array_equal(extract(y, np.ones(len(bins))), extract(y))
    with pytest.raises(ValueError, match=r"gain must have shape \(1025,\)"):
        extract(y, gain[1:])


@pytest.mark.skipif("ASC_ESC10" not in os.environ, reason="ASC_ESC10 does not name a copy of ESC-10 in TAU's layout")
def test_log_mel_agrees_with_librosa_on_recordings():
    """Every tenth clip of ESC-10 agrees with librosa on float64 audio."""
    corpus = read_corpus(Path(os.environ["ASC_ESC10"]))
    extract = LogMel(FIVE)
    for clip in corpus.clips[::10]:
        y = read_clip(corpus.root / clip.filename, FIVE)
        assert_agrees(extract(y), y, FIVE)


@pytest.mark.parametrize("options", [{"htk": True, "norm": None}, {"htk": False, "norm": "slaney"}])
def test_mel_filters_are_librosas(options):
    """The filters equal `librosa.filters.mel` in float64."""
    import librosa

    expected = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=128, dtype=np.float64, **options)
    np.testing.assert_allclose(mel_filters(FeatureSpec(**options)), expected, atol=1e-12)


def test_one_extractor_keeps_nothing_of_the_clip_before():
    """A clip's log-mel is the same whatever was extracted before it: buffers are shared, contents are not."""
    extract = LogMel(FIVE)
    first = extract(MADE["sweep"].astype(np.float32))
    extract(MADE["pure tone"].astype(np.float32))
    np.testing.assert_array_equal(extract(MADE["sweep"].astype(np.float32)), first)


def test_deltas_of_an_impulse_are_the_formulas_weights():
    """By hand: an impulse at t = 4 gives 1/5 and 1/10 before it, −1/10 and −1/5 after it, valid frames only."""
    x = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0], dtype=np.float32)
    np.testing.assert_allclose(deltas(x), [0.2, 0.1, 0.0, -0.1, -0.2], atol=1e-7)


def test_deltas_of_a_parabola_are_its_slope():
    """By hand: x = t² gives d = 2t exactly, and deltas of those give 2."""
    t = np.arange(12, dtype=np.float32)
    np.testing.assert_allclose(deltas(t**2), 2 * t[2:-2], rtol=1e-6)
    np.testing.assert_allclose(deltas(deltas(t**2)), np.full(4, 2.0), rtol=1e-5)


def test_default_input_is_the_seeds_128_by_423_by_3():
    """10 s at 44.1 kHz are stored as 128 × 431 and read as 128 × 423 × 3."""
    spec, reader = FeatureSpec(), ReaderSpec()
    log_mel = LogMel(spec)(np.zeros(441_000, dtype=np.float32))
    assert log_mel.shape == (128, 431)
    assert to_inputs(log_mel[None], reader).shape == (1, 128, 423, 3)
    assert reader.input_shape(spec) == (128, 423, 3)


def test_channels_are_the_cropped_log_mel_and_its_deltas():
    """The stack is [x[4:−4], d[2:−2], dd] of the clip scaled to [0, 1], written out frame by frame."""
    stored = np.random.default_rng(0).normal(-3, 2, (2, 5, 20)).astype(np.float16)
    got = to_inputs(stored, ReaderSpec())
    for clip, stack in zip(stored.astype(np.float64), got, strict=True):
        x = (clip - clip.min()) / (clip.max() - clip.min())
        d = np.array([(x[:, t + 1] - x[:, t - 1]) / 10 + (x[:, t + 2] - x[:, t - 2]) / 5 for t in range(2, 18)]).T
        dd = np.array([(d[:, t + 1] - d[:, t - 1]) / 10 + (d[:, t + 2] - d[:, t - 2]) / 5 for t in range(2, 14)]).T
        np.testing.assert_allclose(stack, np.stack([x[:, 4:-4], d[:, 2:-2], dd], axis=-1), atol=1e-6)


def test_scaling_reaches_0_and_1_before_the_crop():
    """Per clip, not per batch: each clip's minimum is 0 and maximum 1 over all of its frames."""
    stored = np.stack([np.linspace(-18, 9, 60), np.linspace(2, 3, 60)]).reshape(2, 3, 20).astype(np.float16)
    x = to_inputs(stored, ReaderSpec(deltas=0))
    assert x.min(axis=(1, 2, 3)).tolist() == [0, 0]
    assert x.max(axis=(1, 2, 3)).tolist() == [1, 1]
    raw = to_inputs(stored, ReaderSpec(deltas=0, scaling="none"))
    np.testing.assert_array_equal(raw[..., 0], stored)


def test_a_constant_clip_becomes_zeros():
    """A clip that is the same everywhere gives zeros in all channels, not NaN; its neighbour is untouched."""
    stored = np.random.default_rng(0).normal(size=(2, 4, 30)).astype(np.float16)
    stored[0] = -18.42
    got = to_inputs(stored, ReaderSpec())
    assert not got[0].any()
    np.testing.assert_array_equal(got[1], to_inputs(stored[1:], ReaderSpec())[0])


def test_padded_edges_keep_all_frames():
    """With edges="pad" all frames stay, and the inner ones are those of "crop"."""
    stored = np.random.default_rng(0).normal(size=(1, 4, 30)).astype(np.float16)
    padded = to_inputs(stored, ReaderSpec(edges="pad"))
    assert padded.shape == (1, 4, 30, 3)
    np.testing.assert_array_equal(padded[:, :, 4:-4], to_inputs(stored, ReaderSpec()))


@given(
    st.integers(1, 12), st.sampled_from([0, 1, 2]), st.sampled_from(["crop", "pad"]), st.floats(0.2, 2), st.booleans()
)
def test_the_declared_shape_is_the_real_one(n, n_deltas, edges, seconds, scaled):
    """`ReaderSpec.input_shape` tells the shape that `to_inputs` gives, for all orders, edges and lengths."""
    spec = FeatureSpec(sample_rate=8000, n_fft=256, hop_length=128, n_mels=8, clip_seconds=seconds)
    reader = ReaderSpec(deltas=n_deltas, edges=edges, scaling="minmax" if scaled else "none")
    stored = np.random.default_rng(n).normal(size=(n, spec.n_mels, spec.n_frames)).astype(np.float16)
    before = stored.copy()
    got = to_inputs(stored, reader)
    assert got.shape == (n, *reader.input_shape(spec))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(stored, before)


def test_too_few_frames_for_the_deltas_are_refused():
    """Eight frames have no second delta: the message names the key and the way out."""
    with pytest.raises(ConfigError, match=r"reader.deltas: 2 orders of deltas need more than 8 frames, clips have 8"):
        to_inputs(np.zeros((1, 4, 8), dtype=np.float16), ReaderSpec())
