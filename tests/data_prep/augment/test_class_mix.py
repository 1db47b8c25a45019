"""Between-class mixing: its statistics, its loudness, its labels, and gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from librosa import A_weighting
from scipy import stats

from data_prep.augment.class_mix import (
    ClassMix,
    a_weighting,
    band_weights,
    loudness_db,
    mix_classes,
    share_of_first,
)
from data_prep.augment.logmel import to_power
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import DataError
from data_prep.features.log_mel import LogMel
from data_prep.reader.reader import FeatureSet

CHANCE = 1e-4
DB = 10 / np.log(10)
SPEC = FeatureSpec(sample_rate=8000, clip_seconds=0.5, n_fft=512, hop_length=256, n_mels=16)
FLOOR = np.log(SPEC.log_offset)
N_CLASSES = 3


def made_set(n_clips: int = 12, n_classes: int = N_CLASSES, level: float = -6.0) -> FeatureSet:
    """Return clips that are constant, each class at a level 1 higher than the one before."""
    labels = np.arange(n_clips) % n_classes
    log_mel = np.broadcast_to((level + labels)[:, None, None], (n_clips, 16, 8)).astype(np.float16)
    clips = pd.DataFrame({"clip_id": [str(i) for i in range(n_clips)], "augmentation": "none", "device": "a"})
    classes = tuple(f"scene{i}" for i in range(n_classes))
    return FeatureSet(log_mel, labels.astype(np.int64), clips, classes, ReaderSpec(scaling="none"), SPEC)


def drawing(features: FeatureSet):
    """Return the draw of whole stored clips with one-hot labels."""
    return lambda rows, rng: (features.log_mel[rows], np.eye(N_CLASSES, dtype=np.float32)[features.labels[rows]])


def test_the_weighting_is_a_weighting():
    """In dB it is librosa's A_weighting within 0.1 dB from 20 Hz to 20 kHz, and 0 at 0 Hz."""
    hz = np.geomspace(20, 20_000, 100)
    np.testing.assert_allclose(20 * np.log10(a_weighting(hz)), A_weighting(hz), atol=0.1)
    assert a_weighting(np.zeros(1))[0] == 0


def test_loudness_is_that_of_the_loudest_frame():
    """A tone of 1 kHz is as loud as its power, one of 100 Hz 19 dB less; a pause takes nothing off; silence is 0 dB."""
    spec = FeatureSpec(clip_seconds=1.0)
    time = np.arange(spec.n_samples) / spec.sample_rate
    weights = band_weights(spec)

    def level(y: np.ndarray) -> float:
        """Return the loudness of a waveform."""
        return loudness_db(to_power(LogMel(spec)(y.astype(np.float32)), spec), weights)

    high, low = (0.1 * np.sin(2 * np.pi * hz * time) for hz in (1000, 100))
    plain = 10 * np.log10(to_power(LogMel(spec)(high.astype(np.float32)), spec).sum(axis=0).max())
    assert level(high) == pytest.approx(plain, abs=0.5)
    assert level(high) - level(low) == pytest.approx(19.1, abs=1.0)
    assert level(10 * high) - level(high) == pytest.approx(20.0, abs=1e-2)
    assert level(np.where(time < 0.5, high, 0)) == pytest.approx(level(high), abs=0.5)
    assert level(np.zeros_like(high)) == 0


@pytest.mark.parametrize(("r", "level", "expected"), [(0.5, 0, 0.5), (0.5, 20, 1 / 11), (0.2, -20, 5 / 7), (1, 9, 1)])
def test_the_louder_sound_gets_the_smaller_share(r, level, expected):
    """t is the paper's formula by hand: a sound 20 dB over the other is scaled down to a tenth of it at r = ½."""
    assert share_of_first(r, level, 0) == pytest.approx(expected)
    assert share_of_first(0, level, 0) == 0


def test_mixed_sounds_are_heard_at_the_ratio():
    """Whatever their levels, the mixed parts' amplitudes are as r to 1 − r; equally loud ones keep their level."""
    rng = np.random.default_rng(0)
    weights = band_weights(SPEC)
    for _ in range(20):
        first, second = (rng.uniform(1, 1e4) * rng.random((16, 8), np.float32) for _ in range(2))
        r = rng.uniform(0.1, 0.9)
        t = share_of_first(r, loudness_db(first, weights), loudness_db(second, weights))
        nothing = np.zeros_like(first)
        heard = [loudness_db(mix_classes(*pair, t), weights) for pair in ((first, nothing), (nothing, second))]
        assert heard[0] - heard[1] == pytest.approx(20 * np.log10(r / (1 - r)), abs=1e-3)
    np.testing.assert_allclose(mix_classes(first, first, 0.3), first, rtol=1e-5)


def test_every_mix_is_of_two_classes_and_labelled_by_its_ratio():
    """With probability 1 each label is r and 1 − r of two classes, r uniform, the partner's class as likely as its
    clips."""
    features = made_set(9)
    rows = np.zeros(6000, dtype=np.int64)
    _, labels = ClassMix(features, class_mix_p=1.0)(rows, drawing(features), np.random.default_rng(0))
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert ((labels > 0).sum(axis=1) == 2).all()
    assert stats.kstest(labels[:, 0], "uniform").pvalue > CHANCE
    counts = (labels[:, 1:] > 0).sum(axis=0)
    assert stats.chisquare(counts).pvalue > CHANCE


def test_mixed_log_mels_lie_where_powers_add():
    """Of two constant clips the mix is the formula's power, by hand, for the ratio that its label says."""
    features = made_set(9)
    rows = np.zeros(200, dtype=np.int64)
    log_mel, labels = ClassMix(features, class_mix_p=1.0)(rows, drawing(features), np.random.default_rng(1))
    partner = labels[:, 1:].argmax(axis=1) + 1
    power, power2 = (np.exp(level - FLOOR) - 1 for level in (-6.0, -6.0 + partner))
    r = labels[:, 0].astype(np.float64)
    t = 1 / (1 + np.sqrt(power / power2) * (1 - r) / r)
    expected = np.log((t**2 * power + (1 - t) ** 2 * power2) / (t**2 + (1 - t) ** 2) + 1) + FLOOR
    assert np.ptp(log_mel, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(log_mel[:, 0, 0], expected, atol=1e-3)


def test_as_many_are_mixed_as_asked_for():
    """Of 4,000 examples 30 % are mixed; the others are as stored, with their own labels."""
    features = made_set()
    rows = np.arange(4000) % 12
    log_mel, labels = ClassMix(features, class_mix_p=0.3)(rows, drawing(features), np.random.default_rng(2))
    is_plain = labels.max(axis=1) == 1
    assert stats.binomtest(int((~is_plain).sum()), 4000, 0.3).pvalue > CHANCE
    np.testing.assert_allclose(log_mel[is_plain], features.log_mel[rows[is_plain]], atol=1e-4)
    assert (labels[is_plain].argmax(axis=1) == features.labels[rows[is_plain]]).all()


def test_gains_are_uniform_in_db_and_leave_silence():
    """With 6 dB levels move uniformly between −6 and +6 dB, over a whole clip alike; the floor stays the floor."""
    features = made_set(2, 2)
    features.log_mel[1] = np.float16(FLOOR)
    rows = np.arange(4000) % 2
    log_mel, labels = ClassMix(features, gain_db=6.0)(rows, drawing(features), np.random.default_rng(3))
    moved_db = DB * (log_mel[::2] - features.log_mel[0].astype(np.float32))
    assert np.ptp(moved_db, axis=(1, 2)).max() < 1e-3
    assert stats.kstest(moved_db[:, 0, 0], "uniform", args=(-6, 12)).pvalue > CHANCE
    np.testing.assert_allclose(log_mel[1::2], FLOOR, atol=1e-4)
    assert (labels.max(axis=1) == 1).all()


def test_equal_generators_give_equal_mixes():
    """The draws come from the generator alone, and the stored features stay as they are."""
    features = made_set()
    before = features.log_mel.copy()
    mixing = ClassMix(features, class_mix_p=0.5, gain_db=6.0)
    one, two, other = (mixing(np.arange(12), drawing(features), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    np.testing.assert_array_equal(features.log_mel, before)


def test_one_class_alone_is_an_error_with_a_way_out():
    """Asked for among clips of one class it says so; gains alone need no second class."""
    with pytest.raises(DataError, match=r"train.class_mix_p mixes clips of different classes.*Set it to 0"):
        ClassMix(made_set(4, 1), class_mix_p=0.5)
    ClassMix(made_set(4, 1), gain_db=6.0)
