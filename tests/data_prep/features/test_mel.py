"""The mel filters beside librosa's."""

import warnings

import numpy as np
import pytest
from librosa.filters import mel

from data_prep.config import FeatureSpec
from data_prep.features.mel import mel_filters


@pytest.mark.parametrize("htk", [True, False])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_mels", "limits"),
    [
        (44_100, 2048, 128, {}),
        (44_100, 2048, 256, {}),
        (22_050, 1024, 40, {"fmin_hz": 50.0}),
        (16_000, 512, 64, {"fmin_hz": 1000.0, "fmax_hz": 7600.0}),
        (8_000, 256, 128, {"fmax_hz": 900.0}),
    ],
)
def test_the_filters_are_librosas(sample_rate, n_fft, n_mels, limits, htk, norm):
    """To the last bit, on both scales and with both norms, below and above where Slaney's scale bends, bands without
    a bin among them."""
    spec = FeatureSpec(
        sample_rate=sample_rate, n_fft=n_fft, hop_length=n_fft, n_mels=n_mels, htk=htk, norm=norm, **limits
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected")
        expected = mel(
            **{"sr": sample_rate, "n_fft": n_fft, "n_mels": n_mels, "htk": htk, "norm": norm, "dtype": np.float64},
            **{"fmin": spec.fmin_hz, "fmax": spec.fmax_hz},
        )
    np.testing.assert_array_equal(mel_filters(spec), expected)


def test_mel_filters_follow_every_setting():
    """Rate, transform, bands and edges reach the filters: triangles, evenly spaced in mel, that add up to 1 between."""
    spec = FeatureSpec(sample_rate=32_000, n_fft=8192, n_mels=40, fmin_hz=300.0, fmax_hz=9_000.0)
    filters = mel_filters(spec)
    hz = np.arange(4097) * 32_000 / 8192
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (300.0, 9_000.0))  # HTK's formula
    edges = 700 * (10 ** (np.linspace(low, high, 42) / 2595) - 1)
    assert filters.shape == (40, 4097)
    assert np.abs(hz[filters.argmax(axis=1)] - edges[1:-1]).max() <= 32_000 / 8192
    np.testing.assert_allclose(filters[:, (hz >= edges[1]) & (hz <= edges[-2])].sum(axis=0), 1, atol=1e-12)
    assert not filters[:, (hz <= edges[0]) | (hz >= edges[-1])].any()


def test_mel_filters_are_made_once_and_without_warnings(recwarn):
    """One array per setting serves everyone, so nobody may write into it; bands without a bin are no warning."""
    filters = mel_filters(FeatureSpec(n_fft=512, n_mels=256, hop_length=256))
    assert (filters.max(axis=1) == 0).any()
    assert not recwarn.list
    assert mel_filters(FeatureSpec(n_fft=512, n_mels=256, hop_length=256)) is filters
    assert not filters.flags.writeable
