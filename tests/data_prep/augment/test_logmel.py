"""Augmentation of stored log-mels: how near it comes to the same on audio, and what it must never do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import signal, stats

from data_prep.audio.decode import read_clip
from data_prep.augment.logmel import band_offsets, estimate_offsets, mix_scenes, scale_bands, to_log_mel, to_power
from data_prep.augment.onthefly import OnTheFly
from data_prep.config import FeatureSpec, ReaderSpec, SynthConfig
from data_prep.copies.correction import estimate_correction, mean_log_spectrum, pairs
from data_prep.copies.waveforms import device_response, mix
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.features.log_mel import LogMel
from data_prep.reader.reader import FeatureSet
from data_prep.synth import synthesize

CHANCE = 1e-4
DB = 10 / np.log(10)
SPEC = FeatureSpec(clip_seconds=2.0)
FILTERS = {"b": ([0.8, -0.5], [1.0]), "c": ([0.3], [1.0, -0.6])}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[np.ndarray]:
    """Sixteen clips of the synthesized corpus, two each from eight scenes."""
    root = tmp_path_factory.mktemp("corpus")
    synthesize(root, SynthConfig(clip_seconds=2.0, n_locations=3, n_segments=1, n_cities=2))
    files = sorted((root / "audio").glob("*-a.wav"))  # three a scene
    return [read_clip(path, SPEC) for i, path in enumerate(files) if i % 3][:16]


def rms_db(x: np.ndarray, exact: np.ndarray) -> float:
    """Return the rms difference in dB where `exact` is within 80 dB of its maximum."""
    heard = exact > exact.max() - 80 / DB
    return float(DB * np.sqrt(np.mean(np.square((x - exact)[heard]))))


def on_log_mel(y: np.ndarray, offsets: np.ndarray, spec: FeatureSpec = SPEC) -> np.ndarray:
    return to_log_mel(scale_bands(to_power(LogMel(spec)(y), spec), offsets), spec)


@pytest.mark.parametrize("power", [1, 2])
def test_power_and_log_mel_are_inverses(power):
    """There and back is the identity within float32's rounding; silence is 0 and stays silence under any gain."""
    spec = SPEC.updated(power=power)
    x = np.linspace(np.log(1e-8), 8, 200, dtype=np.float32).reshape(10, 20)
    np.testing.assert_allclose(to_log_mel(to_power(x, spec), spec), x, atol=2e-3)
    silent = np.full((10, 20), np.log(1e-8), dtype=np.float16).astype(np.float32)
    loud = scale_bands(to_power(silent, spec), np.linspace(-5, 5, 10, dtype=np.float32))
    assert np.ptp(to_log_mel(loud, spec).astype(np.float16)) == 0


@pytest.mark.system
@pytest.mark.parametrize("power", [1, 2])
def test_a_mix_of_log_mels_is_near_the_mix_of_audio(clips, power):
    """Summed powers are within 1.5 dB rms of the log-mel of the summed audio (2 dB for magnitudes), bias under 0.3."""
    spec = SPEC.updated(power=power)
    model = LogMel(spec)
    errors, biases = [], []
    for y, y2 in zip(clips[::2], clips[1::2], strict=True):
        exact = model(mix(y, y2, 0.6, 0.9))
        ours = to_log_mel(mix_scenes(to_power(model(y), spec), to_power(model(y2), spec), 0.6, 0.9), spec)
        errors.append(rms_db(ours, exact))
        biases.append(DB * float(np.mean(ours - exact)))
    assert np.sqrt(np.mean(np.square(errors))) < (1.5 if power == 2 else 2.0)
    assert abs(np.mean(biases)) < (0.3 if power == 2 else 0.6)


def test_offsets_are_near_a_gain_on_the_spectrum(clips):
    """A correction's factors as band offsets are within 0.15 dB rms of the same factors on every bin of the audio."""
    hz = np.fft.rfftfreq(SPEC.n_fft, 1 / SPEC.sample_rate)
    gain = np.abs(signal.freqz(*FILTERS["b"], worN=hz, fs=SPEC.sample_rate)[1])
    errors = [rms_db(on_log_mel(y, band_offsets(gain, SPEC)), LogMel(SPEC)(y, gain=gain)) for y in clips]
    assert np.sqrt(np.mean(np.square(errors))) < 0.15


def test_offsets_are_near_a_devices_impulse_response(clips):
    """The response's magnitudes as band offsets are within 1 dB rms of the convolved audio, level aside."""
    response = signal.lfilter(*FILTERS["c"], np.eye(1, 400)[0]).astype(np.float32)
    gain = np.abs(np.fft.rfft(response, SPEC.n_fft))
    errors = []
    for y in clips:
        exact, ours = LogMel(SPEC)(device_response(y, response)), on_log_mel(y, band_offsets(gain, SPEC))
        errors.append(rms_db(ours - np.median(ours - exact), exact))
    assert np.sqrt(np.mean(np.square(errors))) < 1.0


def heard(y: np.ndarray, device: str) -> np.ndarray:
    return y if device == "a" else signal.lfilter(*FILTERS[device], y).astype(np.float32)


@pytest.fixture(scope="module")
def features(clips) -> FeatureSet:
    """Eight moments of two scenes, all heard by a, some by b and c; the last two rows are copies."""
    model, rows, log_mels = LogMel(SPEC), [], []
    for i, y in enumerate(clips[::2]):
        for device in ("a", "b", "c")[: 1 + i % 3]:
            rows.append((f"{i}-{device}", ("park", "bus")[i % 2], device, f"lisbon-{i}", "0", "none"))
            log_mels.append(model(heard(y, device)))
    rows += [("0-a+mix", "park", "a", "lisbon-0", "0", "mix"), ("0-b+mix", "park", "b", "lisbon-0", "0", "mix")]
    log_mels += [log_mels[0] + 3, log_mels[1] - 3]
    table = pd.DataFrame(rows, columns=["clip_id", "scene", "device", "location", "segment", "augmentation"])
    labels = (table["scene"] == "bus").to_numpy().astype(np.int64)
    return FeatureSet(np.stack(log_mels).astype(np.float16), labels, table, ("park", "bus"), ReaderSpec(), SPEC)


def test_estimated_offsets_are_spectrum_corrections(clips, features):
    """Offsets learned from stored log-mels are within 0.3 dB of the band offsets of the factors learned from audio."""
    spectra, recorded = {}, []
    for row in features.clips[features.clips["augmentation"] == "none"].itertuples():
        spectra[row.clip_id] = mean_log_spectrum(heard(clips[2 * int(row.clip_id[0])], row.device), SPEC)
        recorded.append(Clip(row.clip_id, "", row.scene, row.device, None, row.location, row.segment))
    correction = estimate_correction(spectra, pairs(recorded), SPEC)
    rows = np.flatnonzero(features.clips["augmentation"] == "none")
    ours = estimate_offsets(features.log_mel, features.clips, SPEC, rows)
    assert ours.devices == correction.devices == ("b", "c")
    for offsets, factors in zip(ours.offsets, correction.factors, strict=True):
        assert DB * np.sqrt(np.mean(np.square(offsets - band_offsets(factors, SPEC)))) < 0.3
    assert DB * np.sqrt(np.mean(np.square(ours.combined - band_offsets(correction.combined, SPEC)))) < 0.3


def test_a_corrected_example_is_near_the_corrected_copy(features, clips):
    """With probability 1 clips of device a come out as their corrected copies would (0.5 dB rms), others as stored."""
    drawn = OnTheFly(features, spectrum_correction_p=1.0)(np.arange(len(features.labels)), np.random.default_rng(0))
    rows = np.flatnonzero(features.clips["augmentation"] == "none")
    gain = estimate_offsets(features.log_mel, features.clips, SPEC, rows).combined
    is_corrected = ((features.clips["device"] == "a") & (features.clips["augmentation"] == "none")).to_numpy()
    assert is_corrected.any()
    for i in np.flatnonzero(is_corrected):
        number = int(features.clips["clip_id"].iloc[i][0])
        assert rms_db(drawn[i].astype(np.float32), on_log_mel(clips[2 * number], gain)) < 0.5
    np.testing.assert_array_equal(drawn[~is_corrected], features.log_mel[~is_corrected])


def test_a_mix_takes_another_recorded_clip_of_the_scene(features):
    """Each partner is of the example's scene, recorded, another than itself, and all of them are as likely (χ²)."""
    mixing = OnTheFly(features, scene_mix_p=1.0)
    indices = np.zeros(6000, dtype=np.int64)
    partners = mixing._partners(indices, np.random.default_rng(0))
    scene = features.clips["scene"] == "park"
    expected = np.flatnonzero(scene & (features.clips["augmentation"] == "none"))[1:]
    assert set(partners) == set(expected)
    assert stats.chisquare(np.bincount(partners)[expected]).pvalue > CHANCE


def test_a_scene_of_one_clip_is_mixed_with_itself(features):
    """Where there is no other clip the mix is the clip at the sum of the gains' squares: between −3 and +3 dB."""
    alone = features.take(np.array([0]))
    drawn = OnTheFly(alone, scene_mix_p=1.0)(np.zeros(50, dtype=np.int64), np.random.default_rng(0))
    gains_db = DB * np.median(drawn.astype(np.float32) - alone.log_mel, axis=(1, 2))
    assert gains_db.min() > -3.1
    assert gains_db.max() < 3.1
    assert np.ptp(gains_db) > 2


def test_probabilities_are_those_asked_for(features):
    """Of 4,000 clips of device a 30 % are mixed, 20 % corrected and 40 % heard by b or c alike often."""
    changing = OnTheFly(features, spectrum_correction_p=0.2, device_offset_p=0.4)
    heard_by = changing._draw_devices(np.zeros(4000, dtype=np.int64), np.random.default_rng(3))
    counts = [int((heard_by == row).sum()) for row in (-1, 0, 1, 2)]
    assert stats.chisquare(counts, [1600, 800, 800, 800]).pvalue > CHANCE
    small = replace(features, log_mel=features.log_mel[:, :2, :2])
    mixing = OnTheFly(small, scene_mix_p=0.3)
    indices = np.zeros(4000, dtype=np.int64)
    changed = (mixing(indices, np.random.default_rng(4)) != small.log_mel[0]).any(axis=(1, 2))
    assert stats.binomtest(int(changed.sum()), 4000, 0.3).pvalue > CHANCE


def test_equal_generators_give_equal_examples(features):
    """The draws come from the generator alone, and the stored features stay as they are."""
    before = features.log_mel.copy()
    changing = OnTheFly(features, scene_mix_p=0.5, spectrum_correction_p=0.3, device_offset_p=0.3)
    indices = np.arange(16) % len(features.labels)
    one, two, other = (changing(indices, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(features.log_mel, before)
    assert np.isfinite(one).all()


def test_devices_without_pairs_are_an_error_with_a_way_out(features):
    """Asked for among clips of one device it says what is missing; a mix alone needs none."""
    alone = features.take(np.flatnonzero(features.clips["device"] == "a"))
    for switch in ("spectrum_correction_p", "device_offset_p"):
        with pytest.raises(DataError, match=r"device a and another device both recorded.*Set them to 0"):
            OnTheFly(alone, **{switch: 0.5})
    assert OnTheFly(alone, scene_mix_p=1.0)(np.arange(4), np.random.default_rng(0)).shape[0] == 4
