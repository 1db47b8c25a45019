"""A candidate opened from Python: recordings in, probabilities out."""

from __future__ import annotations

import zipfile
from contextlib import suppress

import keras
import numpy as np
import pytest
import soundfile
import yaml
from damage_support import KILLER, mutated
from results_support import write_dense_tflite

from asc_models.candidate import CandidateConfig
from asc_models.classifier import Classifier
from asc_models.config import TrainConfig
from asc_models.errors import ExportError
from asc_models.networks.families import BlockConfig, ModelConfig
from asc_models.tflite.export import export
from asc_models.training.builder import build
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import AscError, DataError

pytestmark = pytest.mark.system

SPEC = FeatureSpec(sample_rate=8000, clip_seconds=1.0, n_fft=512, hop_length=256, n_mels=16)
CLASSES = ("bus", "airport", "park")


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    """A candidate's folder with a network of random weights."""
    folder = tmp_path_factory.mktemp("candidate") / "t0000-s0"
    model = ModelConfig(stem_filters=4, blocks=(BlockConfig(filters=4, stride=2),), activation="leaky_relu")
    reader = ReaderSpec(deltas=1)
    config = CandidateConfig(
        name="t0000", trial_id="t0000", model=model, train=TrainConfig(), features=SPEC, reader=reader, classes=CLASSES,
        mode="float32", checkpoint="log_loss", seed=0, fold=1, data_hash="0" * 12,
    )  # fmt: skip
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    shape = reader.input_shape(SPEC)
    keras.utils.set_random_seed(0)
    export(build(model, shape, len(CLASSES)), shape, folder / "model.tflite", "float32")
    return folder


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


def test_another_sample_rate_is_resampled(candidate):
    """A tone at 16 kHz is heard as the same tone at the network's 8 kHz."""
    classifier = Classifier(candidate)
    slow, fast = (np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2 for rate in (8000, 16000))
    np.testing.assert_allclose(classifier.predict(slow, 8000), classifier.predict(fast, 16000), atol=0.02)


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


def test_a_model_that_kills_its_process_is_refused(candidate, recordings, tmp_path):
    """A file on which the interpreter dies (SIGSEGV), one cut short, one that is no classifier: one sentence each."""
    kernel = np.random.default_rng(0).standard_normal((10, 8)).astype(np.float32)
    write_dense_tflite(tmp_path / "dense.tflite", kernel, kernel[:, 0])
    sound, dense = (candidate / "model.tflite").read_bytes(), (tmp_path / "dense.tflite").read_bytes()
    for content in (mutated(dense, KILLER), sound[: len(sound) // 2], dense, b""):
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
    assert 0 < mutations(candidate, recordings, tmp_path, 8) < 8


@pytest.mark.full
def test_no_damaged_model_ends_the_process_often(candidate, recordings, tmp_path):
    """500 mutations: probabilities or one sentence."""
    assert 0 < mutations(candidate, recordings, tmp_path, 500) < 500
