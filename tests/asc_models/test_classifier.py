"""A candidate opened from Python: recordings in, probabilities out."""

from __future__ import annotations

import shutil
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from candidate_support import CLASSES, write_candidate
from damage_support import KILLER, memory_bomb, mutated
from results_support import write_dense_tflite

from asc_models.candidate import CONFIG, ENSEMBLE, MODEL, read_candidate_config
from asc_models.classifier import Classifier
from asc_models.ensemble import combined
from asc_models.errors import ExportError
from data_prep.errors import AscError, DataError
from data_prep.files.files import file_digest
from data_prep.files.yaml_file import to_yaml

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    """A candidate's folder with a network of random weights."""
    return write_candidate(tmp_path_factory.mktemp("candidate") / "t0000-s0")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Three recordings of other lengths than a clip's, as {path: samples}."""
    folder, waves = tmp_path_factory.mktemp("audio"), {}
    for n, frequency in ((7000, 300), (8000, 1500), (9000, 3000)):
        noise = 0.01 * np.random.default_rng(n).standard_normal(n)
        waves[folder / f"{n}.wav"] = (np.sin(2 * np.pi * frequency * np.arange(n) / 8000) / 2 + noise).astype("float32")
    for path, wave in waves.items():
        soundfile.write(path, wave, 8000, subtype="FLOAT")
    return waves


def test_files_and_their_samples_give_the_same_probabilities(candidate, recordings):
    """A waveform has the probabilities of the file it was read from; rows are named by path, or numbered."""
    classifier = Classifier(candidate)
    assert classifier.classes == CLASSES
    by_file = classifier.predict(list(recordings))
    by_wave = classifier.predict(list(recordings.values()), sample_rate=8000)
    assert list(by_file.columns) == list(CLASSES)
    assert by_file.index.tolist() == [str(path) for path in recordings]
    assert by_wave.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(by_file, by_wave)
    np.testing.assert_allclose(by_file.sum(axis=1), 1.0, atol=1e-5)
    assert by_file.nunique().min() == 3


def test_one_recording_is_a_table_of_one_row(candidate, recordings):
    """A single path, as text or Path, and a single waveform need no list around them."""
    classifier = Classifier(str(candidate))
    path, wave = next(iter(recordings.items()))
    several = classifier.predict([path])
    for one in (classifier.predict(path), classifier.predict(str(path)), classifier.predict(wave, 8000)):
        np.testing.assert_array_equal(one, several)


def test_a_zip_answers_as_its_folder(candidate, recordings, tmp_path):
    """The zip of a candidate is opened as the folder is, and outlives its unpacked files."""
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        for path in candidate.iterdir():
            archive.write(path, path.name)
    files = list(recordings)
    np.testing.assert_array_equal(Classifier(tmp_path / "one.zip").predict(files), Classifier(candidate).predict(files))


def test_an_ensemble_answers_with_the_tempered_mean_of_its_members(candidate, recordings, tmp_path):
    """Members with different readers are given the same recordings; the probabilities are combined and tempered."""
    config, digest = read_candidate_config(candidate / CONFIG), file_digest(candidate / MODEL)
    other = config.updated(reader=config.reader.updated(scaling="none"))
    members = []
    for name, weight, changed in (("a", 0.75, config), ("b", 0.25, other)):
        folder = tmp_path / "ensemble" / "members" / name
        shutil.copytree(candidate, folder)
        (folder / CONFIG).write_text(to_yaml(changed.model_dump(mode="json")))
        sha256 = {CONFIG: file_digest(folder / CONFIG), MODEL: digest}
        members.append({"name": name, "weight": weight, "sha256": sha256})
    (tmp_path / "ensemble" / ENSEMBLE).write_text(to_yaml({"temperature": 1.5, "members": members}))
    shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path, "ensemble")
    first, second = (Classifier(tmp_path / "ensemble/members" / name).predict(list(recordings)) for name in "ab")
    assert np.abs(first - second).to_numpy().max() > 0.01
    classifier = Classifier(tmp_path / "one.zip")
    assert classifier.classes == CLASSES
    found = classifier.predict(list(recordings))
    expected = combined([first.to_numpy(), second.to_numpy()], (0.75, 0.25), 1.5)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # logarithms differ in the last bit between array lengths


def test_a_long_recording_is_answered_by_the_mean_of_windows_that_cover_it(candidate):
    """2.5 clips are three windows, the last at the end; what is hardly longer than a clip is one."""
    classifier, rng = Classifier(candidate), np.random.default_rng(0)
    wave = rng.uniform(-0.5, 0.5, 20_000) * np.repeat([0.1, 1.0], 10_000)
    answer = classifier.answer(wave, 8000)
    assert answer.starts == (0.0, 0.75, 1.5)
    parts = [wave[:8000], wave[6000:14_000], wave[12_000:]]
    np.testing.assert_array_equal(answer.windows, classifier.predict(parts, 8000))
    np.testing.assert_array_equal(classifier.predict(wave, 8000).to_numpy()[0], answer.windows.mean(axis=0))
    assert len(np.unique(answer.windows[:, 0])) == 3
    assert answer.warnings == ()
    assert classifier.answer(wave[:8400], 8000).starts == (0.0,)
    assert classifier.answer(wave[:8401], 8000).starts == (0.0, 401 / 8000)


def test_recordings_unlike_those_of_the_training_are_told(candidate):
    """Shorter than a clip, of a lower sample rate, without high frequencies, silent: a warning each."""
    classifier, wave = Classifier(candidate), np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    low = np.fft.irfft(np.fft.rfft(wave) * (np.arange(4001) < 2000), 8000)
    for recording, rate, warning in (
        (wave[:4000], 8000, "is 0.50 s long, shorter than the clips of 1 s: padded with zeros"),
        (wave[:4000], 4000, "has 4,000 samples a second, fewer than the 8,000 of the network"),
        (low, 8000, "of 16 bands, as after strong compression"),
        (np.zeros(8000), 8000, "is silent"),
    ):
        (found,) = classifier.answer(recording, rate).warnings
        assert warning in found


def test_another_sample_rate_is_resampled(candidate):
    """A tone at 16 kHz is heard as the same tone at the network's 8 kHz."""
    classifier = Classifier(candidate)
    slow, fast = (np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2 for rate in (8000, 16000))
    np.testing.assert_allclose(classifier.predict(slow, 8000), classifier.predict(fast, 16000), atol=0.02)
    half = classifier.predict(fast.astype(np.float16), 16000)
    np.testing.assert_allclose(half, classifier.predict(fast, 16000), atol=0.02)


def test_what_is_no_waveform_is_refused(candidate):
    """Two channels, 16-bit integers, nothing and what is not finite are errors that name the way out."""
    classifier = Classifier(candidate)
    wave = np.zeros(8000, np.float32)
    for bad in (np.zeros((8000, 2)), np.zeros(8000, np.int16), np.zeros(0), np.full(8000, np.nan)):
        with pytest.raises(DataError, match=r"waveform 1: must be finite .+ Average the channels; divide 16-bit"):
            classifier.predict([wave, bad], 8000)
    with pytest.raises(DataError, match="no audio files were given"):
        classifier.predict([])


def test_a_sample_rate_belongs_to_waveforms(candidate, recordings):
    """Waveforms need one, files must not be given another, and the two are not mixed."""
    classifier = Classifier(candidate)
    path, wave = next(iter(recordings.items()))
    for given, rate in ((wave, None), (path, 8000)):
        with pytest.raises(ValueError, match="give a sample rate with waveforms"):
            classifier.predict(given, rate)
    with pytest.raises(ValueError, match="files or waveforms, not both"):
        classifier.predict([wave, path])
    with pytest.raises(DataError, match="must be at least 1 Hz, got 0"):
        classifier.predict(wave, 0)


def test_a_model_that_kills_its_process_is_refused(candidate, recordings, tmp_path):
    """A file on which the interpreter dies (SIGSEGV), one cut short, one that is no classifier, one of 324 bytes that
    asks for 51 GB: one sentence each."""
    kernel = np.random.default_rng(0).standard_normal((10, 8)).astype(np.float32)
    write_dense_tflite(tmp_path / "dense.tflite", kernel, kernel[:, 0])
    sound, dense = (candidate / "model.tflite").read_bytes(), (tmp_path / "dense.tflite").read_bytes()
    for content in (mutated(dense, KILLER), sound[: len(sound) // 2], dense, memory_bomb(), b""):
        with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
            archive.write(candidate / "config.yaml", "config.yaml")
            archive.writestr("model.tflite", content)
        with pytest.raises(ExportError, match=r"one\.zip: its model file cannot be run"):
            Classifier(tmp_path / "one.zip")


def mutations(candidate, recordings, tmp_path, n):
    """Return how many of `n` damaged models answer, each opened and asked as by `asc predict`."""
    source, n_answered = (candidate / "model.tflite").read_bytes(), 0
    for seed in range(n):
        with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
            archive.write(candidate / "config.yaml", "config.yaml")
            archive.writestr("model.tflite", mutated(source, seed))
        with suppress(AscError):
            n_answered += len(Classifier(tmp_path / "one.zip").predict(next(iter(recordings))))
    return n_answered


def test_no_damaged_model_ends_the_process(candidate, recordings, tmp_path):
    """Some mutations: probabilities or one sentence."""
    assert 0 < mutations(candidate, recordings, tmp_path, 16) < 16


@pytest.mark.full
def test_no_damaged_model_ends_the_process_often(candidate, recordings, tmp_path):
    """500 mutations: probabilities or one sentence."""
    assert 0 < mutations(candidate, recordings, tmp_path, 500) < 500
