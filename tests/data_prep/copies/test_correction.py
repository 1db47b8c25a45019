"""Spectrum correction: the factors are the devices' own, from pairs of the same moment alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from data_prep.config import FeatureSpec
from data_prep.copies.correction import (
    EPSILON,
    correction_to_csv,
    estimate_correction,
    mean_log_spectrum,
    pairs,
    parse_correction,
)
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError

SPEC = FeatureSpec(sample_rate=16_000, clip_seconds=4.0, n_fft=512, hop_length=256, n_mels=32)


def clip(scene="park", location="lisbon-1", segment="0", device="a", city="lisbon") -> Clip:
    clip_id = f"{scene}-{location}-{segment}-{device}"
    return Clip(clip_id, f"audio/{clip_id}.wav", scene, device, city, location, segment)


def sound(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, SPEC.n_samples).astype(np.float32)


FILTERS = {"b": ([0.9, -0.5], [1.0]), "c": ([0.3], [1.0, -0.6])}


def heard(y: np.ndarray, device: str) -> np.ndarray:
    return signal.lfilter(*FILTERS[device], y).astype(np.float32)


def test_mean_log_spectrum_is_the_mean_of_librosas_frames():
    """The mean over frames of log(|STFT| + ε), as librosa's transform of the same frames gives it in float64."""
    import librosa

    y = sound(0)
    stft = librosa.stft(y.astype(np.float64), n_fft=512, hop_length=256, center=True, pad_mode="constant")
    mean = mean_log_spectrum(y, SPEC)
    assert (mean.dtype, mean.shape) == (np.float64, (257,))
    np.testing.assert_allclose(mean, np.log(np.abs(stft) + EPSILON).mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(mean_log_spectrum(np.zeros_like(y), SPEC), np.log(EPSILON), rtol=1e-6)


def test_pairs_are_of_one_moment():
    """Scene, location and segment must all be the same, and known; device a alone or without a has no pair."""
    clips = [
        clip(device="b"),
        clip(),
        clip(segment="1"),
        clip(segment="2", device="b"),
        clip(scene="bus", device="c"),
        clip(location="lisbon-2", device="s1"),
        clip(segment="1", device="s1"),
        clip(device="s1"),
        replace(clip(segment="7"), segment=None),
        replace(clip(segment="7", device="b"), segment=None),
    ]
    found = pairs(clips)
    assert {device: [(b.clip_id, a.clip_id) for b, a in twins] for device, twins in found.items()} == {
        "b": [("park-lisbon-1-0-b", "park-lisbon-1-0-a")],
        "s1": [
            ("park-lisbon-1-1-s1", "park-lisbon-1-1-a"),
            ("park-lisbon-1-0-s1", "park-lisbon-1-0-a"),
        ],
    }
    assert list(found) == ["b", "s1"]


@pytest.fixture
def corpus() -> tuple[list[Clip], dict[str, np.ndarray]]:
    clips, spectra = [], {}
    for segment in range(6):
        y = sound(segment)
        for device in ("a", "b", "c") if segment < 4 else ("a", "c"):
            one = clip(segment=str(segment), device=device)
            clips.append(one)
            spectra[one.clip_id] = mean_log_spectrum(y if device == "a" else heard(y, device), SPEC)
    return clips, spectra


def test_factors_are_the_devices_filters(corpus):
    """Known filters come back within 3 % over all bins; the combined factors are the devices' mean, whatever n."""
    clips, spectra = corpus
    correction = estimate_correction(spectra, pairs(clips), SPEC)
    assert correction.devices == ("b", "c")
    assert correction.n_pairs == (4, 6)
    for device, factors in zip(correction.devices, correction.factors, strict=True):
        expected = np.abs(signal.freqz(*FILTERS[device], worN=correction.frequency_hz, fs=SPEC.sample_rate)[1])
        np.testing.assert_allclose(factors, expected, rtol=0.03)
    np.testing.assert_array_equal(correction.combined, correction.factors.mean(axis=0))
    np.testing.assert_array_equal(correction.frequency_hz[[0, -1]], [0, 8000])


def test_factors_are_the_mean_over_pairs_and_devices_by_hand():
    """Two bins and made-up logarithms: exp of the mean per device, then the mean; the last device does not rule."""
    spectra = {"a0": [0.0, 0.0], "a1": [1.0, 0.0], "b0": [2.0, 1.0], "b1": [1.0, 1.0], "c1": [0.0, 3.0]}
    twins = {
        "b": [(clip_named("b0"), clip_named("a0")), (clip_named("b1"), clip_named("a1"))],
        "c": [(clip_named("c1"), clip_named("a1"))],
    }
    spec = FeatureSpec(sample_rate=8000, n_fft=64, hop_length=32, n_mels=8)
    correction = estimate_correction({name: np.array(v) for name, v in spectra.items()}, twins, spec)
    np.testing.assert_allclose(correction.factors, np.exp([[1.0, 1.0], [-1.0, 3.0]]))
    np.testing.assert_allclose(correction.combined, [(np.e + 1 / np.e) / 2, (np.e + np.e**3) / 2])


def clip_named(name: str) -> Clip:
    return replace(clip(), clip_id=name)


def test_clips_without_a_spectrum_are_left_out(corpus):
    """A pair with a corrupt clip doesn't count; when no pair is left that is an error with a way out."""
    clips, spectra = corpus
    del spectra["park-lisbon-1-0-b"]
    del spectra["park-lisbon-1-1-a"]
    assert estimate_correction(spectra, pairs(clips), SPEC).n_pairs == (2, 5)
    with pytest.raises(DataError, match=r"device a and another device both recorded .*Remove it"):
        estimate_correction({}, pairs(clips), SPEC)
    with pytest.raises(DataError, match="there are none"):
        estimate_correction(spectra, pairs([c for c in clips if c.device == "a"]), SPEC)


def test_a_correction_is_read_as_it_was_written(corpus):
    """Write → read is the identity to the last bit; the text has one row per device and bin, `mean` last."""
    clips, spectra = corpus
    correction = estimate_correction(spectra, pairs(clips), SPEC)
    text = correction_to_csv(correction)
    again = parse_correction(text, "spectrum_correction-fold1.csv")
    assert (again.devices, again.n_pairs) == (correction.devices, correction.n_pairs)
    for name in ("factors", "combined", "frequency_hz"):
        np.testing.assert_array_equal(getattr(again, name), getattr(correction, name))
    lines = text.splitlines()
    assert lines[0] == "frequency_hz,device,factor,n_pairs"
    assert len(lines) == 1 + 3 * 257
    assert lines[-1].startswith("8000.0,mean,")
    assert correction_to_csv(again) == text


@pytest.mark.parametrize("text", ["", "frequency_hz,device,factor,n_pairs\n1,b,x,2\n", "a,b\n1,2\n", "\x00"])
def test_a_damaged_correction_is_named(text):
    """A file that is empty, cut or of other columns is told by name, without a traceback of NumPy."""
    with pytest.raises(DataError, match=r"fold1\.csv: cannot be read as a spectrum correction"):
        parse_correction(text, "spectrum_correction-fold1.csv")
