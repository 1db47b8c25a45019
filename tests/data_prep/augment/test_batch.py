"""Augmentation on batches: what it does to the numbers, and how its draws are distributed."""

import numpy as np
import pytest
from augmentation_support import ON
from scipy import stats

from asc_models.config import TrainConfig
from data_prep.augment.batch import (
    BATCHES,
    composed,
    cut_mix,
    freq_mixstyle,
    frequency_shift,
    mixup,
    on_both,
    on_inputs,
    random_crop,
    spec_augment,
    time_roll,
    time_stretch,
)

CHANCE = 1e-4
"""Below this a distribution is called wrong: draws are seeded, and a wrong one gives far less at these sample sizes."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20210)


def batch(n=8, n_mels=16, n_frames=40, n_channels=3) -> np.ndarray:
    return np.random.default_rng(1).normal(1, 2, (n, n_mels, n_frames, n_channels)).astype(np.float32)


def applied(entry, **recipe):
    """Return (x, rng) → the batch after the step of the registry's entry, with a recipe that turns it on."""
    switches = {knob: ON[knob] for knob in entry.switches}
    arguments = entry.arguments_of(TrainConfig(**switches, **recipe).model_dump())
    return lambda x, rng: entry.step(**arguments)(x, np.eye(len(x), dtype=np.float32), rng)[0]


ENTRIES = {entry.name: entry for entry in BATCHES}
ALL = {name: applied(entry) for name, entry in ENTRIES.items()}
ALL["spec_augment, per channel"] = applied(ENTRIES["spec_augment"], mask_per_channel=True)


@pytest.mark.parametrize("name", ENTRIES)
def test_only_entries_that_say_so_change_the_number_of_frames(name):
    """A network that takes one length only can train with every other augmentation."""
    entry, x = ENTRIES[name], batch()
    assert (ALL[name](x, np.random.default_rng(3)).shape[2] != x.shape[2]) == entry.changes_length


@pytest.mark.parametrize("name", ALL)
def test_augmentations_are_pure_float32_and_repeatable(name):
    """The argument stays as it was, float32 comes back, equal generators give equal batches, others other ones."""
    x = batch()
    before = x.copy()
    first = ALL[name](x, np.random.default_rng(3))
    np.testing.assert_array_equal(x, before)
    assert first.dtype == np.float32
    assert not np.shares_memory(first, x)
    np.testing.assert_array_equal(first, ALL[name](x, np.random.default_rng(3)))
    assert not np.array_equal(first, ALL[name](x, np.random.default_rng(4)))


@pytest.mark.parametrize("name", ALL)
def test_the_layout_in_memory_does_not_matter(name):
    """A view of a larger array, or one with its axes stored in another order, gives what its copy gives."""
    whole = np.random.default_rng(5).normal(size=(10, 3, 44, 18)).astype(np.float32)
    view = whole[1:9, :, 2:42, 1:17].transpose(0, 3, 2, 1)
    expected = ALL[name](np.ascontiguousarray(view), np.random.default_rng(3))
    np.testing.assert_allclose(ALL[name](view, np.random.default_rng(3)), expected, rtol=1e-4, atol=1e-5)


def test_mixup_draws_a_share_per_example_from_beta(rng):
    """λ follows Beta(0.4, 0.4) (Kolmogorov–Smirnov on 4,000 examples), and data and labels share it."""
    n = 4000
    x2 = np.concatenate([np.ones((n, 1, 1, 1)), np.zeros((n, 1, 1, 1))]).astype(np.float32)
    y2 = np.repeat(np.eye(2, dtype=np.float32), n, axis=0)
    x, y = mixup(x2, y2, 0.4, rng)
    lam = x[:, 0, 0, 0]
    assert stats.kstest(lam, stats.beta(0.4, 0.4).cdf).pvalue > CHANCE
    np.testing.assert_allclose(y, np.stack([lam, 1 - lam], axis=1), atol=1e-6)


def test_mixup_pairs_the_halves_of_the_slice(rng):
    """Example i is mixed with example b + i and no other: 2b examples give b."""
    x2 = np.zeros((6, 2, 2, 1), dtype=np.float32)
    y2 = np.eye(6, dtype=np.float32)
    x, y = mixup(x2, y2, 0.4, rng)
    assert x.shape == (3, 2, 2, 1)
    for i in range(3):
        assert np.flatnonzero(y[i]).tolist() in ([i, 3 + i], [i], [3 + i])
        assert y[i].sum() == pytest.approx(1)


def test_mixup_without_alpha_is_the_first_half(rng):
    """α = 0 mixes nothing; an odd number of examples is refused."""
    x2, y2 = batch(4), np.eye(4, dtype=np.float32)
    x, y = mixup(x2, y2, 0.0, rng)
    np.testing.assert_array_equal(x, x2[:2])
    np.testing.assert_array_equal(y, y2[:2])
    with pytest.raises(ValueError, match="two batches of equal size"):
        mixup(batch(3), np.eye(3, dtype=np.float32), 0.4, rng)


def test_cut_mix_takes_a_range_from_another_example(rng):
    """Bands or frames, half and half; the share of the area is uniform, and data and labels have the same."""
    n, bands, frames = 2000, 20, 30
    x = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, bands, frames, 2))
    out, y = cut_mix(x, np.eye(n, dtype=np.float32), 1.0, rng)
    shares, along = [], []
    for i in range(n):
        foreign = out[i, :, :, 0] != i
        np.testing.assert_array_equal(foreign, out[i, :, :, 1] != i)
        share = foreign.mean()
        (others,) = np.nonzero(np.delete(y[i], i))
        assert len(others) <= 1
        assert y[i].sum() == pytest.approx(1, abs=1e-6)
        assert y[i, i] == pytest.approx(1 - share, abs=1e-6)
        if 0 < share < 1:
            rows, columns = foreign.any(axis=1), foreign.any(axis=0)
            assert foreign.sum() == rows.sum() * columns.sum()  # one block
            assert rows.all() != columns.all()
            inside = np.flatnonzero(columns if rows.all() else rows)
            assert np.array_equal(inside, np.arange(inside[0], inside[-1] + 1))
            along.append(rows.all())
            shares.append(share)
    assert stats.binomtest(sum(along), len(along)).pvalue > CHANCE
    smoothed = np.array(shares) + rng.uniform(-0.5, 0.5, len(shares)) / np.where(along, frames, bands)
    inner = (smoothed > 0.05) & (smoothed < 0.95)
    assert stats.kstest(smoothed[inner], stats.uniform(0.05, 0.9).cdf).pvalue > CHANCE


def test_cut_mix_happens_with_its_probability(rng):
    """About p of the examples change; with 0 none does, and its argument never does."""
    x, y = np.arange(400, dtype=np.float32)[:, None, None, None] * np.ones((1, 50, 50, 1), np.float32), np.eye(400)
    before = x.copy()
    out, _ = cut_mix(x, y, 0.3, rng)
    assert stats.binomtest(int((out != x).any(axis=(1, 2, 3)).sum()), 400, 0.3 * 0.98).pvalue > CHANCE
    np.testing.assert_array_equal(x, before)
    out, labels = cut_mix(x, y, 0.0, rng)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(labels, y)


def numbered_frames(n: int, n_frames: int) -> np.ndarray:
    return np.broadcast_to(np.arange(n_frames, dtype=np.float32)[None, None, :, None], (n, 2, n_frames, 1)).copy()


def test_random_crop_keeps_neighbouring_frames_from_anywhere(rng):
    """400 of 423 frames, in one piece, from each of the 24 places about equally often (χ² over 4,800 examples)."""
    starts = []
    for _ in range(20):
        crop = random_crop(numbered_frames(240, 423), 400 / 423, rng)
        assert crop.shape == (240, 2, 400, 1)
        assert (np.diff(crop, axis=2) == 1).all()
        starts += crop[:, 0, 0, 0].astype(int).tolist()
    assert stats.chisquare(np.bincount(starts, minlength=24)).pvalue > CHANCE


def test_random_crop_takes_a_fraction_not_a_count(rng):
    """Shorter clips lose the same share; the whole clip is itself; nonsense is refused."""
    assert random_crop(numbered_frames(2, 208), 400 / 423, rng).shape[2] == 197
    np.testing.assert_array_equal(random_crop(numbered_frames(2, 50), 1.0, rng), numbered_frames(2, 50))
    with pytest.raises(ValueError, match=r"must be in \(0, 1\], got 400"):
        random_crop(numbered_frames(2, 423), 400, rng)


def test_time_roll_is_uniform_and_loses_nothing(rng):
    """Each example is its own frames in a turned order; all shifts are equally likely (χ²)."""
    x = time_roll(numbered_frames(4000, 20), rng)
    assert ((np.diff(x[:, 0, :, 0], axis=1) % 20) == 1).all()
    np.testing.assert_array_equal(x[:, 0], x[:, 1])
    assert stats.chisquare(np.bincount(x[:, 0, 0, 0].astype(int), minlength=20)).pvalue > CHANCE


@pytest.mark.system
def test_spec_augment_masks_one_band_and_one_stretch(rng):
    """Masks are whole bands and whole frames of all channels; widths are uniform below 13 and 40; the rest stays."""
    n, n_mels, n_frames = 3000, 64, 100
    x = np.ones((n, n_mels, n_frames, 2), dtype=np.float32)
    out = spec_augment(x, 13, 40, rng)
    masked = out[..., 0] == 0
    np.testing.assert_array_equal(masked, out[..., 1] == 0)
    bands, frames = masked.all(axis=2), masked.all(axis=1)
    np.testing.assert_array_equal(masked, bands[:, :, None] | frames[:, None, :])
    for lines, limit in ((bands, 13), (frames, 40)):
        widths = lines.sum(axis=1)
        assert (np.abs(np.diff(lines.astype(int), axis=1)).sum(axis=1) <= 2).all()  # in one piece
        assert stats.chisquare(np.bincount(widths, minlength=limit)).pvalue > CHANCE
        assert len(np.bincount(widths)) == limit
    assert (masked | (out[..., 0] == 1)).all()
    assert (masked | (out[..., 1] == 1)).all()


def test_spec_augment_without_masks_changes_nothing_and_large_ones_fit(rng):
    """Masks of 0 and 1 cover nothing; a mask larger than the picture stays inside it."""
    x = batch()
    np.testing.assert_array_equal(spec_augment(x, 0, 1, rng), x)
    assert spec_augment(x, 1000, 1000, rng).shape == x.shape


def test_spec_augment_per_channel_masks_each_on_its_own(rng):
    """Each channel has one band and one stretch; widths are uniform in each, and channels are independent."""
    n, n_mels, n_frames, n_channels = 1500, 32, 50, 3
    out = spec_augment(np.ones((n, n_mels, n_frames, n_channels), np.float32), 9, 20, rng, per_channel=True)
    widths = np.empty((2, n, n_channels), dtype=int)
    for channel in range(n_channels):
        masked = out[..., channel] == 0
        bands, frames = masked.all(axis=2), masked.all(axis=1)
        np.testing.assert_array_equal(masked, bands[:, :, None] | frames[:, None, :])
        for axis, (lines, limit) in enumerate(((bands, 9), (frames, 20))):
            assert (np.abs(np.diff(lines.astype(int), axis=1)).sum(axis=1) <= 2).all()  # in one piece
            widths[axis, :, channel] = lines.sum(axis=1)
            assert stats.chisquare(np.bincount(widths[axis, :, channel], minlength=limit)).pvalue > CHANCE
    for axis in (0, 1):
        for one, other in ((0, 1), (1, 2), (0, 2)):
            assert stats.pearsonr(widths[axis, :, one], widths[axis, :, other]).pvalue > CHANCE


def test_masks_start_anywhere(rng):
    """A band of a given width starts at every place that it fits in, alike often (χ²), shared or per channel."""
    for per_channel in (False, True):
        out = spec_augment(np.ones((6000, 12, 3, 1), np.float32), 4, 0, rng, per_channel=per_channel)
        bands = out[:, :, 0, 0] == 0
        starts = bands[bands.sum(axis=1) == 3].argmax(axis=1)
        assert stats.chisquare(np.bincount(starts, minlength=10)).pvalue > CHANCE


def test_steps_compose_in_order(rng):
    """Composed steps draw one after the other from one generator, as plain calls do; none at all is the identity."""
    x2, y2 = batch(), np.eye(8, dtype=np.float32)
    step = composed(
        [on_inputs(time_roll), on_inputs(random_crop, fraction=0.5), on_both(mixup, alpha=0.4), on_inputs(time_roll)]
    )
    x, y = step(x2, y2, np.random.default_rng(5))
    plain = np.random.default_rng(5)
    expected, labels = mixup(random_crop(time_roll(x2, plain), 0.5, plain), y2, 0.4, plain)
    np.testing.assert_array_equal(x, time_roll(expected, plain))
    np.testing.assert_array_equal(y, labels)
    same = composed([])(x2, y2, rng)
    assert same[0] is x2
    assert same[1] is y2


def test_freq_mixstyle_mixes_the_statistics_of_each_band(rng):
    """Means per band lie between those of the two partners, at λ ~ Beta; the normalized pattern stays the same."""
    n, n_mels = 400, 8
    x = np.random.default_rng(2).normal(size=(n, n_mels, 60, 1)).astype(np.float32)
    x = (x - x.mean(axis=(2, 3), keepdims=True)) / x.std(axis=(2, 3), keepdims=True)
    levels = np.arange(n, dtype=np.float32)[:, None, None, None]
    out = freq_mixstyle(x + levels, 1.0, 0.3, rng)
    mean = out.mean(axis=(2, 3))
    assert np.ptp(mean, axis=1).max() < 1e-2  # one λ and one partner for all bands of an example
    assert mean.min() >= -1e-2
    assert mean.max() <= n - 1 + 1e-2
    assert mean.mean() == pytest.approx((n - 1) / 2, rel=0.1)  # mixing moves examples, not the batch
    pattern = (out - out.mean(axis=(2, 3), keepdims=True)) / out.std(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(pattern, x, atol=1e-2)


def test_freq_mixstyle_draws_its_share_from_beta(rng):
    """Of two kinds of clips, those whose partner is of the other kind lie between them as Beta(0.3, 0.3) says."""
    n = 4000
    x = np.random.default_rng(2).normal(size=(n, 2, 30, 1)).astype(np.float32)
    x -= x.mean(axis=(2, 3), keepdims=True)
    x[n // 2 :] += 1
    mean = freq_mixstyle(x, 1.0, 0.3, rng).mean(axis=(2, 3))[:, 0]
    n_middle = int(((mean > 0.2) & (mean < 0.8)).sum())
    share = 0.5 * (stats.beta(0.3, 0.3).cdf(0.8) - stats.beta(0.3, 0.3).cdf(0.2))
    assert stats.binomtest(n_middle, n, share).pvalue > CHANCE


def test_freq_mixstyle_happens_with_its_probability(rng):
    """p = 0.4 changes about 40 % of 1,000 batches, p = 0 none."""
    x = batch(4, 4, 10, 1)
    n_changed = sum(not np.array_equal(freq_mixstyle(x, 0.4, 0.3, rng), x) for _ in range(1000))
    assert 340 < n_changed < 460  # partners may come out as identity, 1 in 24
    np.testing.assert_array_equal(freq_mixstyle(x, 0.0, 0.3, rng), x)


def test_shifts_move_bands_and_are_uniform(rng):
    """A line in band 8 lands in bands 5 … 11 alike often for shifts of at most 3, and nowhere else."""
    x = np.zeros((7000, 16, 2, 1), np.float32)
    x[:, 8] = 1
    bands = frequency_shift(x, 3, rng)[:, :, 0, 0].argmax(axis=1)
    assert set(bands) == set(range(5, 12))
    assert stats.chisquare(np.bincount(bands - 5)).pvalue > CHANCE


def test_a_shift_repeats_the_edge_band():
    """What a shift uncovers is filled with the edge band, so that no band is invented or left empty."""
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 16, 1, 1).repeat(50, axis=0)
    for shifted in frequency_shift(x, 5, np.random.default_rng(0))[:, :, 0, 0]:
        steps = np.diff(shifted)
        assert set(steps) <= {0.0, 1.0}
        assert shifted.min() >= 1
        assert shifted.max() <= 16


def test_a_stretch_changes_the_rate_of_what_moves(rng):
    """A ramp in time becomes speed times as steep; speeds lie between 1/2 and 2, uniform in the logarithm."""
    n_frames = 400
    ramp = np.arange(n_frames, dtype=np.float32)
    x = np.broadcast_to(ramp[None, None, :, None], (2000, 1, n_frames, 1)).astype(np.float32)
    speeds = time_stretch(x, 2.0, rng)[:, 0, 10, 0] / 10  # a ramp's value is the place that was played
    assert speeds.min() >= 0.5 - 1e-4
    assert speeds.max() <= 2 + 1e-4
    assert stats.kstest(np.log2(speeds), stats.uniform(-1, 2).cdf).pvalue > CHANCE


def test_a_stretch_scales_deltas_with_the_speed(rng):
    """Channel k, a slope of order k, is multiplied by speed^k."""
    x = np.ones((20, 2, 30, 3), np.float32)
    stretched = time_stretch(x, 1.5, rng)
    np.testing.assert_allclose(stretched[..., 0], 1, rtol=1e-6)
    np.testing.assert_allclose(stretched[..., 2], stretched[..., 1] ** 2, rtol=1e-5)
    with pytest.raises(ValueError, match="at least 1"):
        time_stretch(x, 0.5, rng)
