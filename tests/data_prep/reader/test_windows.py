"""Windows of clips, and what takes the place of trimmed silence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from data_prep.config import FeatureSpec, ReaderSpec, Windows
from data_prep.errors import ConfigError
from data_prep.features.silence import floor_of, kept_frames
from data_prep.reader.reader import FeatureSet
from data_prep.reader.windows import RandomWindows, repeated
from data_prep.schema import parse_config

CHANCE = 1e-4
SPEC = FeatureSpec(sample_rate=8000, clip_seconds=99 * 0.032, n_fft=512, hop_length=256, n_mels=8)
READER = ReaderSpec(scaling="none", deltas=2, window_seconds=0.64)
FLOOR = floor_of(SPEC)


def made_set(reader: ReaderSpec = READER, n_clips: int = 6) -> FeatureSet:
    """Return clips of 100 frames whose values are all different; clip i is silent before frame 5 i and from 60 on."""
    log_mel = (np.arange(n_clips * 800).reshape(n_clips, 8, 100) / 1000 - 5).astype(np.float16)
    for i, clip in enumerate(log_mel):
        clip[:, : 5 * i] = clip[:, 60:] = FLOOR
    labels = np.zeros(n_clips, dtype=np.int64)
    return FeatureSet(log_mel, labels, pd.DataFrame({"clip_id": range(n_clips)}), ("park",), reader, SPEC)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 300))
def test_windows_reach_from_end_to_end(n_frames, n_windows, n_more):
    """They are within the clip, in order and evenly placed, the first at its start, the last at its end."""
    starts = Windows(n_frames, n_windows).starts(n_frames + n_more)
    assert len(starts) == n_windows
    steps = np.diff(starts)
    assert (steps >= 0).all()
    assert n_windows < 3 or np.ptp(steps) <= 2
    if n_windows > 1:
        assert (starts[0], starts[-1]) == (0, n_more)
    else:
        assert starts == (n_more // 2,)


def test_a_window_is_counted_in_frames():
    """Seconds times rate over hop, rounded; a clip's input keeps its shape, the network's has the window's frames."""
    reader = ReaderSpec(scaling="none", window_seconds=1.5)
    assert reader.windows(FeatureSpec()) == Windows(65, 10)
    assert reader.network_shape(FeatureSpec()) == (128, 65, 3)
    assert reader.input_shape(FeatureSpec()) == ReaderSpec().network_shape(FeatureSpec()) == (128, 423, 3)
    assert ReaderSpec().windows(FeatureSpec()) is None
    features = made_set()
    assert (features.windows, features.input_shape, features.network_shape) == (Windows(20, 10), (8, 92, 3), (8, 20, 3))


def test_windows_that_cannot_be_are_refused_with_a_way_out():
    """Longer than a clip's valid frames, or with a scaling that takes the clip's extremes: both say what to do."""
    with pytest.raises(ConfigError, match=r"reader.window_seconds: 20 s are 861 frames, and must be 1 to 423"):
        ReaderSpec(scaling="none", window_seconds=20.0).windows(FeatureSpec())
    with pytest.raises(ConfigError, match=r"window_seconds 1.5 cannot be combined with scaling minmax.*standardize"):
        parse_config(ReaderSpec, {"window_seconds": 1.5}, "reader")
    with pytest.raises(ConfigError, match=r"combined with scaling center, since a window lacks its clip's means"):
        parse_config(ReaderSpec, {"window_seconds": 1.5, "scaling": "center"}, "reader")


@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("edges", ["crop", "pad"])
def test_training_windows_are_slices_of_the_clips_input(deltas, edges):
    """Every random window's input is, bit for bit, a slice of what the exported file is given, deltas included."""
    noise = np.random.default_rng(5).normal(size=(6, 8, 100)).astype(np.float16)
    features = replace(made_set(READER.updated(deltas=deltas, edges=edges)), log_mel=noise)
    draw = RandomWindows(features.log_mel, features.reader, SPEC)
    clips = features.inputs(slice(None))
    rows = np.arange(300) % 6
    windows = features.channels_of_windows(draw(features.log_mel[rows], np.random.default_rng(0), rows))
    assert windows.shape == (300, *features.network_shape)
    found = {
        next(start for start in range(clips.shape[2] - 19) if (clips[row, :, start : start + 20] == window).all())
        for window, row in zip(windows, rows, strict=True)
    }
    margin = 2 * deltas if edges == "pad" else 0
    assert min(found) == margin
    assert max(found) == clips.shape[2] - 20 - margin


def test_windows_of_trimmed_clips_reach_over_the_ends_by_half():
    """They hold what is kept at every offset from half a window before it to half a window behind, each as likely."""
    features = made_set(READER.updated(deltas=0, trim_silence=True))
    draw = RandomWindows(features.log_mel, features.reader, SPEC)
    rows = np.full(7000, 4)  # frames 20 to 59 are kept
    windows = draw(features.log_mel[rows], np.random.default_rng(1), rows)
    padded = np.full((8, 140), FLOOR)
    padded[:, 20:120] = features.log_mel[4]
    sliding = np.lib.stride_tricks.sliding_window_view(padded, 20, axis=1)  # of padded frames, 20 more than the clip's
    offsets = [next(s for s in range(121) if (sliding[:, s] == window).all()) - 20 for window in windows[:700]]
    assert (min(offsets), max(offsets)) == (10, 50)  # 20 − 10 to 60 + 10 − 20
    firsts = windows[:, 0, 10].astype(np.float64)  # the frame in the middle is of what is kept
    _, counts = np.unique(firsts, return_counts=True)
    assert (firsts > FLOOR).mean() > 0.9
    assert stats.chisquare(counts).pvalue > CHANCE


def test_windows_longer_than_what_is_kept_hold_all_of_it_or_half():
    """A short sound lies in its window with silence around, its middle always inside."""
    reader = READER.updated(deltas=2, trim_silence=True)
    log_mel = np.full((1, 8, 100), FLOOR)
    log_mel[0, :, 40:48] = 1
    draw = RandomWindows(log_mel, reader, SPEC)
    rows = np.zeros(500, dtype=np.int64)
    windows = draw(log_mel[rows], np.random.default_rng(2), rows)
    n_heard = (windows[:, 0] > 0).sum(axis=1)
    assert windows.shape == (500, 8, 28)
    assert n_heard.min() >= 4
    assert n_heard.max() == 8


def test_changed_clips_are_trimmed_as_they_are():
    """Without row numbers what is kept is found anew, for clips that an augmentation made louder somewhere."""
    features = made_set(READER.updated(deltas=0, trim_silence=True))
    draw = RandomWindows(features.log_mel, features.reader, SPEC)
    changed = features.log_mel[[5]].copy()
    changed[0, :, 90:] = 1
    one, two = (
        draw(np.repeat(changed, 200, axis=0), np.random.default_rng(3), rows) for rows in (None, np.full(200, 5))
    )
    assert (one == 1).any()
    assert not (two == 1).any()


def test_what_is_kept_fills_the_clip():
    """Trimmed clips repeat their sound to the end, with windows as without; untrimmed ones stay as they are."""
    features = made_set(READER.updated(trim_silence=True))
    bounds = kept_frames(features.log_mel, SPEC)
    filled = features.filled(features.log_mel)
    np.testing.assert_array_equal(filled, repeated(features.log_mel, bounds))
    for i, clip in enumerate(filled):
        np.testing.assert_array_equal(clip, np.tile(features.log_mel[i, :, 5 * i : 60], 3)[:, :100])
    plain = replace(features, reader=features.reader.updated(window_seconds=None))
    np.testing.assert_array_equal(plain.filled(features.log_mel), filled)
    np.testing.assert_array_equal(plain.inputs(slice(None)), plain.channels_of(plain.filled(plain.log_mel)))
    untrimmed = made_set()
    assert untrimmed.filled(untrimmed.log_mel) is untrimmed.log_mel


def test_equal_generators_give_equal_windows():
    """The draws come from the generator alone, and the stored features stay as they are."""
    features = made_set(READER.updated(trim_silence=True))
    before = features.log_mel.copy()
    draw, rows = RandomWindows(features.log_mel, features.reader, SPEC), np.arange(6)
    one, two, other = (draw(features.log_mel, np.random.default_rng(seed), rows) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(features.log_mel, before)
