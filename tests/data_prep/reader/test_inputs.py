"""Stored log-mels as network input: deltas and stacking against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.reader import inputs
from data_prep.reader.clips import ExtractedClips
from data_prep.reader.inputs import deltas, to_channels, with_frequency
from data_prep.reader.statistics import BandStatistics, fit_statistics


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
    log_mels = np.zeros((1, spec.n_mels, spec.n_frames), dtype=np.float16)
    assert log_mels.shape == (1, 128, 431)
    assert to_channels(log_mels, reader).shape == (1, 128, 423, 3)
    assert reader.input_shape(spec) == (128, 423, 3)


def test_channels_are_the_cropped_log_mel_and_its_deltas():
    """The stack is [x[4:−4], d[2:−2], dd] of the clip scaled to [0, 1], written out frame by frame."""
    stored = np.random.default_rng(0).normal(-3, 2, (2, 5, 20)).astype(np.float16)
    got = to_channels(stored, ReaderSpec())
    for clip, stack in zip(stored.astype(np.float64), got, strict=True):
        x = (clip - clip.min()) / (clip.max() - clip.min())
        d = np.array([(x[:, t + 1] - x[:, t - 1]) / 10 + (x[:, t + 2] - x[:, t - 2]) / 5 for t in range(2, 18)]).T
        dd = np.array([(d[:, t + 1] - d[:, t - 1]) / 10 + (d[:, t + 2] - d[:, t - 2]) / 5 for t in range(2, 14)]).T
        np.testing.assert_allclose(stack, np.stack([x[:, 4:-4], d[:, 2:-2], dd], axis=-1), atol=1e-6)


def test_scaling_reaches_0_and_1_before_the_crop():
    """Per clip, not per batch: each clip's minimum is 0 and maximum 1 over all of its frames."""
    stored = np.stack([np.linspace(-18, 9, 60), np.linspace(2, 3, 60)]).reshape(2, 3, 20).astype(np.float16)
    x = to_channels(stored, ReaderSpec(deltas=0))
    assert x.min(axis=(1, 2, 3)).tolist() == [0, 0]
    assert x.max(axis=(1, 2, 3)).tolist() == [1, 1]
    raw = to_channels(stored, ReaderSpec(deltas=0, scaling="none"))
    np.testing.assert_array_equal(raw[..., 0], stored)


def test_a_constant_clip_becomes_zeros():
    """A clip that is the same everywhere gives zeros in all channels, not NaN; its neighbour is untouched."""
    stored = np.random.default_rng(0).normal(size=(2, 4, 30)).astype(np.float16)
    stored[0] = -18.42
    got = to_channels(stored, ReaderSpec())
    assert not got[0].any()
    np.testing.assert_array_equal(got[1], to_channels(stored[1:], ReaderSpec())[0])


def test_padded_edges_keep_all_frames():
    """With edges="pad" all frames stay, and the inner ones are those of "crop"."""
    stored = np.random.default_rng(0).normal(size=(1, 4, 30)).astype(np.float16)
    padded = to_channels(stored, ReaderSpec(edges="pad"))
    assert padded.shape == (1, 4, 30, 3)
    np.testing.assert_array_equal(padded[:, :, 4:-4], to_channels(stored, ReaderSpec()))


@given(
    st.integers(1, 12),
    st.sampled_from([0, 1, 2]),
    st.sampled_from(["crop", "pad"]),
    st.floats(0.2, 2),
    st.booleans(),
    st.booleans(),
)
def test_the_declared_shape_is_the_real_one(n, n_deltas, edges, seconds, scaled, frequency):
    """`ReaderSpec.input_shape` tells the shape of the input, for all orders, edges and lengths."""
    spec = FeatureSpec(sample_rate=8000, n_fft=256, hop_length=128, n_mels=8, clip_seconds=seconds)
    scaling = "minmax" if scaled else "none"
    reader = ReaderSpec(deltas=n_deltas, edges=edges, scaling=scaling, frequency_channel=frequency)
    stored = np.random.default_rng(n).normal(size=(n, spec.n_mels, spec.n_frames)).astype(np.float16)
    before = stored.copy()
    got = to_channels(stored, reader)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(stored, before)
    clips = ExtractedClips(stored, ("park",), reader, spec)
    assert clips.input_shape == reader.input_shape(spec)
    whole = clips.inputs(slice(None))
    assert whole.shape == (n, *reader.input_shape(spec))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole[..., : 1 + n_deltas], got)


def test_the_frequency_channel_is_the_position_of_a_band():
    """Evenly spaced from −1 to 1, the same in every clip and frame; the other channels are as they were."""
    channels = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    whole = with_frequency(channels)
    np.testing.assert_array_equal(whole[..., :3], channels)
    positions = np.array([-1, -0.5, 0, 0.5, 1], np.float32)
    np.testing.assert_array_equal(whole[..., 3], np.broadcast_to(positions[:, None], (2, 5, 4)))


def test_too_few_frames_for_the_deltas_are_refused():
    """Eight frames have no second delta: the message names the key and the way out."""
    with pytest.raises(ConfigError, match=r"reader.deltas: 2 orders of deltas need more than 8 frames, clips have 8"):
        to_channels(np.zeros((1, 4, 8), dtype=np.float16), ReaderSpec())


def test_standardizing_subtracts_and_divides_band_by_band():
    """Each band becomes (x − mean) / deviation with the given statistics, before the deltas; none given is an error."""
    stored = np.random.default_rng(0).normal(-3, 2, (2, 3, 20)).astype(np.float16)
    statistics = BandStatistics(mean=(1.0, -2.0, 0.5), deviation=(2.0, 4.0, 0.25))
    reader = ReaderSpec(scaling="standardize", deltas=1)
    got = to_channels(stored, reader, statistics)
    x = (stored.astype(np.float32) - np.array([[1], [-2], [0.5]])) / np.array([[2], [4], [0.25]])
    np.testing.assert_allclose(got[..., 0], x[..., 2:-2], atol=1e-5)
    np.testing.assert_allclose(got[..., 1], deltas(x), atol=1e-5)
    with pytest.raises(ConfigError, match=r"standardize needs .* statistics of 3 mel bands, and none were given"):
        to_channels(stored, reader)
    with pytest.raises(ConfigError, match="these are of 2"):
        to_channels(stored, reader, BandStatistics(mean=(0.0, 0.0), deviation=(1.0, 1.0)))


def test_centering_removes_the_response_of_a_device():
    """A filter, a constant per band on log-mels, leaves the input unchanged; a band's mean over the clip is 0."""
    stored = np.random.default_rng(0).normal(-3, 2, (2, 5, 40)).astype(np.float32)
    response = np.array([3.0, -2.0, 0.5, 0.0, -6.0], np.float32)[:, None]
    reader = ReaderSpec(scaling="center", edges="pad")
    got = to_channels(stored, reader)
    np.testing.assert_allclose(to_channels(stored + response, reader), got, atol=1e-5)
    np.testing.assert_allclose(got[..., 0].mean(axis=2), 0.0, atol=1e-6)
    np.testing.assert_allclose(
        got[..., 1:], to_channels(stored, ReaderSpec(scaling="none", edges="pad"))[..., 1:], atol=1e-5
    )


def test_fitted_statistics_are_numpys():
    """Mean and deviation are those of all frames of all clips, per band; a band that never changes is divided by 1."""
    stored = np.random.default_rng(0).normal(-8, 3, (5, 4, 30)).astype(np.float16)
    stored[:, 2] = -18.42
    got = fit_statistics(stored)
    np.testing.assert_allclose(got.mean, stored.astype(np.float64).mean(axis=(0, 2)))
    expected = stored.astype(np.float64).std(axis=(0, 2))
    np.testing.assert_allclose(got.deviation, np.where(np.arange(4) == 2, 1.0, expected))


@given(
    hnp.arrays(np.float16, (2, 5, 24), elements=st.floats(-60000, 60000, width=16)),
    st.sampled_from([0, 1, 2]),
    st.sampled_from(["crop", "pad"]),
    st.sampled_from(["none", "minmax", "standardize", "center"]),
)
def test_compiled_and_plain_stacking_are_the_same_to_the_bit(stored, n_deltas, edges, scaling):
    """Any float16 numbers, as such or widened, give the same input through compiled code and through NumPy."""
    reader = ReaderSpec(deltas=n_deltas, edges=edges, scaling=scaling)
    statistics = BandStatistics(mean=(0.1, -7.0, 2.0, 0.0, 1.0), deviation=(0.3, 1.0, 7.0, 2.0, 1e-3))
    compiled = to_channels(stored, reader, statistics)
    plain = np.empty_like(compiled)
    shift, scale = np.zeros(5, np.float32), np.ones(5, np.float32)
    if scaling == "standardize":
        shift, scale = np.float32(statistics.mean), np.float32(statistics.deviation)
    shifts = [shift] * len(stored)
    if scaling == "center":
        shifts = list(stored.mean(axis=2, dtype=np.float64).astype(np.float32))
    inputs._stack(stored, shifts, scale, scaling == "minmax", 2 * n_deltas if edges == "pad" else 0, plain)
    np.testing.assert_array_equal(compiled, plain)
    np.testing.assert_array_equal(to_channels(stored.astype(np.float32), reader, statistics), plain)
