"""Log-mels against librosa."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from process_support import ROOT

from data_prep.audio.decode import read_clip
from data_prep.config import FeatureSpec, SynthConfig
from data_prep.corpora import read_corpus
from data_prep.features.compiled import CompiledMelPower, is_compilable
from data_prep.features.log_mel import LogMel, mel_filters, window_of
from data_prep.features.plain import PlainMelPower
from data_prep.presets import FEATURE_PRESETS
from data_prep.synth import synthesize

GOLDEN = Path(__file__).parent / "golden" / "log_mel.npz"
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


PRESETS = tuple(FEATURE_PRESETS)


def librosa_mel(y: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """What librosa gives, called the plain way: mel power, or magnitude where `spec` says so."""
    import librosa

    y = y.astype(np.float64)
    if spec.preemphasis:
        y = librosa.effects.preemphasis(y, coef=spec.preemphasis, zi=[0.0])
    return librosa.feature.melspectrogram(
        y=y,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        win_length=spec.win_length,
        hop_length=spec.hop_length,
        window=spec.window,
        power=spec.power,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        htk=spec.htk,
        norm=spec.norm,
    )


def assert_agrees(log_mel: np.ndarray, y: np.ndarray, spec: FeatureSpec) -> None:
    """|Δ| ≤ 1e-3 within 80 dB of the clip's maximum, rms ≤ 5e-3 over all bins."""
    assert_same(log_mel, librosa_mel(y, spec), spec)


def assert_same(log_mel: np.ndarray, mel: np.ndarray, spec: FeatureSpec) -> None:
    """|Δ| ≤ 1e-3 within 80 dB of the clip's maximum, rms ≤ 5e-3 over all bins."""
    off = np.abs(log_mel - np.log(mel + spec.log_offset))
    assert off[mel >= mel.max() * 10 ** (-4 * spec.power)].max() <= 1e-3
    assert np.sqrt(np.mean(off**2)) <= 5e-3


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", MADE)
def test_log_mel_agrees_with_librosa_on_made_sounds(name, preset):
    """The float32 log-mel agrees with librosa on float64 audio, on sounds with full, empty and mixed spectra."""
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 5.0})
    y = MADE[name].astype(np.float32)[: spec.n_samples]
    assert_agrees(LogMel(spec)(y), y, spec)


@pytest.mark.parametrize("preset", PRESETS)
def test_log_mel_is_what_another_implementation_computed(preset):
    """The golden file's numbers, from Hugging Face's transformers in float64 (golden/make_log_mel.py), within 1e-3."""
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 1.0})
    with np.load(GOLDEN, allow_pickle=False) as file:
        expected = file[preset]
    got = LogMel(spec)(made_clip(spec.sample_rate))[:, ::8]
    np.testing.assert_allclose(got, expected, atol=1e-3)


def made_clip(sample_rate: int) -> np.ndarray:
    """The clip of golden/make_log_mel.py: a sweep, two tones and steady noise, from integers and sines alone."""
    n = np.arange(sample_rate)
    t = n / sample_rate
    sweep = 0.3 * np.sin(2 * np.pi * (40 * t + 0.2 * sample_rate * t**2))
    tones = 0.2 * np.sin(2 * np.pi * 440 * t) + 0.05 * np.sin(2 * np.pi * 5_000 * t)
    noise = 0.02 * ((n * n % 65_537 * 7_919 % 65_537) / 65_537 - 0.5)
    return (sweep + tones + noise).astype(np.float32)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    synthesize(folder, SynthConfig(clip_seconds=2.0, n_locations=3, n_segments=1, n_cities=1))
    return read_corpus(folder)


@pytest.mark.system
@pytest.mark.parametrize("preset", PRESETS)
def test_log_mel_agrees_with_librosa_on_the_embedded_corpus(preset, embedded):
    """Clips of the synthesized corpus, one of every scene, agree with librosa on float64 audio."""
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 2.0})
    extract = LogMel(spec)
    first_of_scene = {clip.scene: clip for clip in reversed(embedded.clips)}
    assert len(first_of_scene) == 10
    for clip in first_of_scene.values():
        y = read_clip(embedded.root / clip.filename, spec)
        assert_agrees(extract(y), y, spec)


@pytest.mark.parametrize("preset", PRESETS)
def test_compiled_and_plain_code_agree(preset):
    """The compiled transform and SciPy's give the same mel bands and the same power in all."""
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 1.0})
    y, window, filters = made_clip(spec.sample_rate), window_of(spec), mel_filters(spec)
    gain = np.linspace(0.5, 2.0, spec.n_fft // 2 + 1)
    plain, compiled = PlainMelPower(spec, window, filters), CompiledMelPower(spec, window, filters)
    for factors in (None, gain):
        for one, other in zip(plain(y, factors), compiled(y, factors), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6 * other.max())


@pytest.mark.system
def test_log_mel_works_without_the_compiler(tmp_path):
    """Where numba's inner parts have moved, SciPy's transform takes over: the same log-mel to 1e-4."""
    np.save(tmp_path / "y.npy", made_clip(44_100))
    code = """
import sys
import numba.extending
del numba.extending.intrinsic
import numpy as np
from data_prep.config import FeatureSpec
from data_prep.features.log_mel import LogMel
np.save("x.npy", LogMel(FeatureSpec(clip_seconds=1.0))(np.load("y.npy")))
assert "data_prep.features.compiled" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    ours = LogMel(FeatureSpec(clip_seconds=1.0))(made_clip(44_100))
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), ours, atol=1e-4)


def test_only_powers_of_two_are_compiled():
    """Other lengths of transform take SciPy's."""
    assert [n for n in range(2, 5000) if is_compilable(n)] == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize(
    "changes",
    [
        {"htk": False, "norm": "slaney"},
        {"fmin_hz": 50.0, "fmax_hz": 14_000.0, "n_mels": 40},
        {"sample_rate": 16_000, "n_fft": 1024, "hop_length": 320},
        {"n_fft": 8192, "hop_length": 1364, "n_mels": 256},
        {"n_fft": 4096, "win_length": 1500, "hop_length": 441, "window": "hamming"},
        {"n_fft": 2000, "hop_length": 800},
        {"power": 1, "preemphasis": 0.9},
        {"sample_rate": 8_000, "n_fft": 64, "hop_length": 17, "n_mels": 8},
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


@pytest.mark.full
@pytest.mark.skipif("ASC_ESC10" not in os.environ, reason="ASC_ESC10 does not name a copy of ESC-10 in TAU's layout")
@pytest.mark.parametrize("preset", PRESETS)
def test_log_mel_agrees_with_librosa_on_recordings(preset):
    """Every clip of ESC-10 agrees with librosa on float64 audio."""
    corpus = read_corpus(Path(os.environ["ASC_ESC10"]))
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 5.0})
    extract = LogMel(spec)
    for clip in corpus.clips:
        y = read_clip(corpus.root / clip.filename, spec)
        assert_agrees(extract(y), y, spec)


@pytest.mark.parametrize("options", [{"htk": True, "norm": None}, {"htk": False, "norm": "slaney"}])
def test_mel_filters_are_librosas(options):
    """The filters equal `librosa.filters.mel` in float64."""
    import librosa

    expected = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=128, dtype=np.float64, **options)
    np.testing.assert_allclose(mel_filters(FeatureSpec(**options)), expected, atol=1e-12)


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


def test_one_extractor_keeps_nothing_of_the_clip_before():
    """A clip's log-mel is the same whatever was extracted before it: buffers are shared, contents are not."""
    extract = LogMel(FIVE)
    first = extract(MADE["sweep"].astype(np.float32))
    extract(MADE["pure tone"].astype(np.float32))
    np.testing.assert_array_equal(extract(MADE["sweep"].astype(np.float32)), first)


@pytest.mark.parametrize("preset", PRESETS)
def test_threads_share_an_extractor(preset):
    """Four threads at once get what each gets alone, from compiled and from plain code."""
    spec = FeatureSpec.model_validate({"preset": preset, "clip_seconds": 0.5})
    window, filters = window_of(spec), mel_filters(spec)
    clips = np.random.default_rng(0).normal(size=(64, spec.n_samples)).astype(np.float32)
    for mel_power in (CompiledMelPower(spec, window, filters), PlainMelPower(spec, window, filters)):
        expected = [mel_power(y, None)[0] for y in clips]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda y, mel_power=mel_power: mel_power(y, None)[0], clips))
        np.testing.assert_array_equal(found, expected)
