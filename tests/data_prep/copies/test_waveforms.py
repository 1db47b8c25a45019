"""Copies computed from audio: what they do to the sound, how their draws are distributed, and that they repeat."""

from __future__ import annotations

import hashlib
import itertools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import soundfile
from data_prep_support import SMALL
from scipy import stats

from data_prep.config import FeatureSpec, OfflineSpec, PrepareConfig
from data_prep.copies.waveforms import (
    augmented,
    compress,
    device_response,
    draw,
    mix,
    pitch_shift,
    read_responses,
    speed_change,
    stream,
)
from data_prep.errors import ConfigError, DataError
from data_prep.schema import parse_config

CHANCE = 1e-4
RATE = 22_050
SPEC = FeatureSpec(sample_rate=RATE, clip_seconds=1.5)
KINDS = ("pitch_shift", "speed_change", "mix", "device_response")


def tone(hz: float, seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    return np.float32(0.3) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def noise(seed: int = 0, n: int = SPEC.n_samples) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


def pitch_of(y: np.ndarray, rate: int = RATE) -> float:
    """Frequency in Hz of the strongest line, between the bins of one long transform."""
    y = y[len(y) // 5 : -len(y) // 5]
    spectrum = np.log(np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * len(y))) + 1e-12)
    k = int(spectrum.argmax())
    left, peak, right = spectrum[k - 1 : k + 2]
    return (k + 0.5 * (left - right) / (left - 2 * peak + right)) * rate / (8 * len(y))


def copy_of(kind: str, clip_id: str, y: np.ndarray, settings: OfflineSpec) -> np.ndarray:
    rng = stream(settings.seed, clip_id, kind)
    return augmented(kind, y, SPEC, settings, rng, partner=noise(9), response=response())


def response() -> np.ndarray:
    taps = np.zeros(64, dtype=np.float32)
    taps[10], taps[11], taps[30] = 1.0, -0.6, 0.2
    return taps


def digest_of(task: tuple[str, int, OfflineSpec]) -> str:
    kind, seed, settings = task
    return hashlib.sha256(copy_of(kind, f"clip-{seed}", noise(seed), settings).tobytes()).hexdigest()


def test_a_stream_depends_on_seed_clip_and_augmentation_alone():
    """Another seed, clip or augmentation gives another stream; one draw is pinned, so that old copies can be redone."""
    first = stream(0, "airport-lisbon-1-2-a", "mix").random()
    assert first == stream(0, "airport-lisbon-1-2-a", "mix").random()
    others = [
        (1, "airport-lisbon-1-2-a", "mix"),
        (0, "airport-lisbon-1-2-b", "mix"),
        (0, "airport-lisbon-1-2-a", "pitch_shift"),
    ]
    assert len({first, *(stream(*other).random() for other in others)}) == 4
    assert stream(0, "a", "mix").integers(0, 2**63) == 6734154424906161763


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_uniform_over_their_ranges(kind):
    """Each parameter is uniform over its range (Kolmogorov–Smirnov over 2,000 clips) and independent of the others."""
    settings = OfflineSpec()
    draws = [draw(kind, settings, stream(0, f"clip-{i}", kind)) for i in range(2000)]
    ranges = {
        "semitones": settings.semitones,
        "factor": settings.speed,
        "gain": settings.mix_gain,
        "gain2": settings.mix_gain,
        "threshold_db": settings.threshold_db,
        "ratio": settings.ratio,
    }
    names = list(draws[0])
    for name in names:
        low, high = ranges[name]
        assert stats.kstest([d[name] for d in draws], stats.uniform(low, high - low).cdf).pvalue > CHANCE
    for pair in itertools.combinations(names, 2):
        assert stats.pearsonr(*([d[name] for d in draws] for name in pair)).pvalue > CHANCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_what_its_draws_say(kind):
    """`augmented` applies the parameters that `draw` gives from the same stream; the clip stays as it was."""
    y, settings = noise(1), OfflineSpec()
    before = y.copy()
    copy = copy_of(kind, "clip", y, settings)
    np.testing.assert_array_equal(y, before)
    drawn = draw(kind, settings, stream(0, "clip", kind))
    expected = {
        "pitch_shift": lambda: pitch_shift(y, RATE, drawn["semitones"]),
        "speed_change": lambda: speed_change(y, RATE, drawn["factor"], SPEC.n_samples),
        "mix": lambda: mix(y, noise(9), drawn["gain"], drawn["gain2"]),
        "device_response": lambda: compress(
            device_response(y, response()), RATE, drawn["threshold_db"], drawn["ratio"]
        ),
    }[kind]()
    np.testing.assert_array_equal(copy, expected)
    assert (copy.dtype, copy.shape) == (np.float32, (SPEC.n_samples,))
    assert not np.array_equal(copy, y)


@pytest.mark.system
def test_copies_are_the_same_bytes_in_one_process_and_in_several():
    """Two spawned processes give, in any order, the bytes that this one gives; at extreme settings too."""
    settings = (OfflineSpec(), OfflineSpec(speed=(0.25, 0.25), semitones=(-24, -24)))
    tasks = [(kind, seed, chosen) for kind in KINDS for seed in (1, 2) for chosen in settings]
    here = [digest_of(task) for task in tasks]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        there = list(pool.map(digest_of, tasks[::-1]))[::-1]
    assert here == there
    assert len(set(here)) == 12  # mix and device_response know neither speed nor pitch


@pytest.mark.parametrize("kind", KINDS)
def test_silence_stays_silence(kind):
    """A silent clip, and a silent partner, give zeros, not NaN."""
    silent = np.zeros(SPEC.n_samples, dtype=np.float32)
    copy = augmented(kind, silent, SPEC, OfflineSpec(), stream(0, "x", kind), partner=silent, response=response())
    np.testing.assert_array_equal(copy, silent)


@pytest.mark.parametrize("semitones", [-4.0, -0.5, 0.3, 4.0, 12.0])
def test_pitch_shift_moves_a_tone_and_keeps_its_length(semitones):
    """A tone of 440 Hz comes out within 15 cents of its new pitch, at its level and length."""
    y = pitch_shift(tone(440), RATE, semitones)
    assert y.shape == tone(440).shape
    assert abs(1200 * np.log2(pitch_of(y) / 440) - 100 * semitones) < 15
    middle = slice(RATE // 4, -RATE // 4)
    assert abs(20 * np.log10(y[middle].std() / tone(440)[middle].std())) < 1.0


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_speed_change_keeps_pitch_and_moves_events(factor):
    """A burst at 0.5 s comes out at 0.5 s / factor (within 20 ms); a tone keeps its pitch within 4 cents."""
    assert abs(1200 * np.log2(pitch_of(speed_change(tone(440), RATE, factor, SPEC.n_samples)) / 440)) < 4
    burst = np.zeros(SPEC.n_samples, dtype=np.float32)
    burst[RATE // 2 - 200 : RATE // 2 + 200] = noise(3, 400)
    played = (
        speed_change(burst, RATE, factor, SPEC.n_samples)[: round(SPEC.n_samples / factor)] ** 2
    )  # its first playing
    centre = np.average(np.arange(len(played)), weights=played) / RATE
    assert centre == pytest.approx(0.5 / factor, abs=0.02)


def test_a_faster_clip_begins_again_and_a_slower_one_is_cut():
    """At twice the speed the second half is the first again; at half of it n_samples are kept."""
    y = noise(4)
    fast = speed_change(y, RATE, 2.0, SPEC.n_samples)
    half = SPEC.n_samples // 2
    n = -(-SPEC.n_samples // 2)
    np.testing.assert_array_equal(fast[:half], fast[n : n + half])
    assert speed_change(y, RATE, 0.5, SPEC.n_samples).shape == (SPEC.n_samples,)


def test_mix_with_itself_is_the_clip_louder():
    """A clip that is its own partner comes out with the sum of the gains."""
    y = noise(5)
    np.testing.assert_allclose(mix(y, y, 0.5, 0.75), 1.25 * y, rtol=1e-6)


def test_mix_adds_power_of_independent_clips():
    """The mean square of a mix is the gains' squares times the clips' mean squares (within 2 %)."""
    y, y2 = noise(6, 200_000), noise(7, 200_000)
    assert np.mean(mix(y, y2, 0.6, 0.9) ** 2) == pytest.approx(0.01 * (0.36 + 0.81), rel=0.02)


def test_device_response_colours_without_delay_or_gain():
    """The magnitude response is the impulse response's up to one factor; level and place of events are kept."""
    y = noise(8)
    heard = device_response(y, response())
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(y**2)), rel=1e-5)
    assert np.correlate(heard, y, "same").argmax() == len(y) // 2
    gain = np.abs(np.fft.rfft(heard)) / np.abs(np.fft.rfft(y))
    shape = np.abs(np.fft.rfft(response(), len(y)))
    assert np.median(np.abs(np.log(gain / shape) - np.median(np.log(gain / shape)))) < 0.02
    np.testing.assert_allclose(device_response(y, np.float32([0, 0, 1])), y, rtol=1e-5, atol=1e-7)


def test_compression_brings_loud_parts_down_by_the_ratio():
    """A burst 20 dB over the clip's rest loses what the ratio says of its excess; the quiet rest is untouched."""
    y = noise(2, 4 * RATE)
    y[RATE : 2 * RATE] *= 10
    out = compress(y, RATE, 0.0, 2.0)
    level = 10 * np.log10(np.mean(y**2))
    for part, excess in ((slice(RATE + 4000, 2 * RATE - 4000), None), (slice(0, RATE - 4000), 0.0)):
        before, after = (10 * np.log10(np.mean(z[part] ** 2)) for z in (y, out))
        over = before - level if excess is None else 0.0
        assert before - after == pytest.approx(over / 2, abs=0.3)
    np.testing.assert_array_equal(compress(y, RATE, 0.0, 1.0), y)


def test_responses_are_read_from_a_folder(tmp_path):
    """Audio files come sorted by name at the clips' rate; an empty folder and a silent file are refused."""
    with pytest.raises(DataError, match="contains no impulse responses"):
        read_responses(tmp_path, RATE)
    for name in ("b.wav", "a.WAV", "notes.txt"):
        soundfile.write(tmp_path / name, response(), 2 * RATE, format="WAV")
    found = read_responses(tmp_path, RATE)
    assert list(found) == ["a.WAV", "b.wav"]
    assert len(found["b.wav"]) == 32
    soundfile.write(tmp_path / "c.wav", np.zeros(10), RATE)
    with pytest.raises(DataError, match=r"c\.wav: is silent"):
        read_responses(tmp_path, RATE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": [0.1, 2]}, r"prepare: 1 problem\n  offline: speed must be a range \[low, high\] with 0.25 <= low"),
        ({"speed": [2, 0.5]}, "speed must be a range"),
        ({"semitones": [-40, 4]}, "semitones must be a range"),
        ({"mix_gain": [-1, 1]}, "mix_gain must be a range"),
        ({"ratio": [0.5, 2]}, "ratio must be a range"),
        ({"speed": [float("nan"), 1]}, "speed.0: Input should be a finite number"),
        ({"seed": -1}, "offline.seed"),
        ({"tempo": 2}, "offline.tempo: unknown key"),
    ],
)
def test_extreme_settings_are_refused(settings, message):
    """A range that is turned round or past what a stretcher can do is told with its limits."""
    with pytest.raises(ConfigError, match=message):
        parse_config(PrepareConfig, {"offline": settings}, "prepare")


@pytest.mark.parametrize(("semitones", "speed"), [((-24, -24), (0.25, 0.25)), ((24, 24), (4, 4))])
def test_the_limits_themselves_work(semitones, speed):
    """Two octaves and four times the speed, also on the shortest clips that there are, give finite samples."""
    settings = OfflineSpec(semitones=semitones, speed=speed)
    for spec in (SPEC, SMALL, FeatureSpec(sample_rate=8000, clip_seconds=0.101, n_fft=256, hop_length=128, n_mels=8)):
        for kind in ("pitch_shift", "speed_change"):
            copy = augmented(kind, noise(1, spec.n_samples), spec, settings, stream(0, "x", kind))
            assert copy.shape == (spec.n_samples,)
            assert np.isfinite(copy).all()
            assert copy.any()


def test_what_is_missing_is_said():
    """A mix without a partner, a device without a response, and a copy that has no waveform are told apart."""
    for kind, message in (
        ("mix", "mix needs a partner"),
        ("device_response", "needs a response"),
        ("spectrum_correction", "a gain on the spectrum"),
    ):
        with pytest.raises(ValueError, match=message):
            augmented(kind, noise(), SPEC, OfflineSpec(), stream(0, "x", kind))
