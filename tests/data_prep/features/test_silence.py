"""Digital silence in stored log-mels."""

import numpy as np
import pytest

from data_prep.config import FeatureSpec
from data_prep.features.log_mel import LogMel
from data_prep.features.silence import floor_of, is_silent, kept_frames

SPEC = FeatureSpec(sample_rate=8000, clip_seconds=2.0, n_fft=512, hop_length=256, n_mels=16)


def clip_of(begin_s: float, end_s: float, level: float = 0.1) -> np.ndarray:
    """Return the stored log-mel of noise from one moment to another, with zeros around."""
    y = np.zeros(SPEC.n_samples, dtype=np.float32)
    begin, end = int(begin_s * 8000), int(end_s * 8000)
    y[begin:end] = level * np.random.default_rng(0).standard_normal(end - begin)
    return LogMel(SPEC)(y).astype(np.float16)


def test_zeros_are_silent_and_the_faintest_noise_is_not():
    """Frames of zeros are silent as they are stored, also at other offsets; one step of 16 bits is sound."""
    assert is_silent(clip_of(0, 0), SPEC).all()
    assert not is_silent(clip_of(0, 2, 2.0**-15), SPEC).any()
    for offset in (1e-10, 1e-8, 1e-5, 1e-3):
        spec = SPEC.updated(log_offset=offset)
        silent = LogMel(spec)(np.zeros(spec.n_samples, np.float32)).astype(np.float16)
        assert is_silent(silent, spec).all()
        np.testing.assert_array_equal(silent, floor_of(spec))


def test_a_band_over_the_floor_is_sound():
    """A frame is silent only where all bands are; a step of float16 over the floor is rounding, two are sound."""
    floor = floor_of(SPEC)
    log_mel = np.full((16, 4), floor)
    log_mel[3, 1] = np.nextafter(floor, np.float16(0))
    log_mel[3, 2] = np.nextafter(log_mel[3, 1], np.float16(0))
    assert is_silent(log_mel, SPEC).tolist() == [True, True, False, True]


@pytest.mark.parametrize(("begin_s", "end_s"), [(0.5, 1.5), (0.0, 1.0), (1.2, 2.0), (0.0, 2.0)])
def test_what_sounds_is_kept(begin_s, end_s):
    """Kept is what a frame that touches the sound sees: half a transform around it, no more."""
    ((first, stop),) = kept_frames(clip_of(begin_s, end_s)[None], SPEC)
    half = 256 / 8000
    assert first == max(0, np.floor((begin_s - half) * 8000 / 256) + 1)
    assert stop == min(SPEC.n_frames, np.ceil((end_s + half) * 8000 / 256))


def test_pauses_inside_are_kept():
    """Silence between two sounds stays."""
    both = np.maximum(clip_of(0.3, 0.5), clip_of(1.2, 1.5))
    ((first, stop),) = kept_frames(both[None], SPEC)
    assert is_silent(both[:, first:stop], SPEC).any()
    assert stop - first > 0.9 * 8000 / 256


@pytest.mark.parametrize(("begin_s", "end_s"), [(1.0, 1.001), (0.0, 0.001), (1.999, 2.0)])
def test_a_click_is_kept_with_its_surroundings(begin_s, end_s):
    """However short a sound, 0.2 s are kept, the sound among them, also at a clip's ends."""
    clip = clip_of(begin_s, end_s)
    ((first, stop),) = kept_frames(clip[None], SPEC)
    assert stop - first == 7  # frames of 32 ms in 0.2 s
    sounding = np.flatnonzero(~is_silent(clip, SPEC))
    assert first <= sounding[0] <= sounding[-1] < stop
    assert 0 <= first < stop <= SPEC.n_frames


def test_a_silent_clip_is_kept_whole():
    """Where nothing sounds nothing is cut."""
    assert kept_frames(clip_of(0, 0)[None], SPEC).tolist() == [[0, SPEC.n_frames]]
