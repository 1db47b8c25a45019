"""Fine-tuning per device: what is trained from what, who answers which clips, and what a kill costs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_support import asc
from results_support import write_dense_tflite
from retrain_support import TINY, begin, run_config
from search_support import SPEC, settings, write_shards

from asc_models.candidate import CandidateConfig, read_candidate_config
from asc_models.classifier import Classifier
from asc_models.config import FineTuning
from asc_models.ensemble import opened_system
from asc_models.exports.tflite import tflite_export
from asc_models.rules import RulesConfig
from asc_models.tflite.artifact import Artifact
from asc_models.training.trainer import Trainer
from data_prep.config import PrepareConfig
from data_prep.errors import DataError
from data_prep.files.folders import write_folder
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import FeatureSet, read_split
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import CandidateMetrics, read_candidates, read_metrics
from results.candidates.limits import Limits
from results.candidates.predictions import read_predictions
from results.ensembles.package import pack_ensemble
from results.rundir import CandidateFiles, RunDirectory
from results.storage.storage import open_ledger, taken
from search.retrain.devices import devices_of, has_known_devices, require_devices
from search.retrain.evaluation import predict_evaluation
from search.retrain.hooks import Hooks
from search.retrain.inner import train_part
from search.retrain.retrain import retrain
from search.retrain.trained import read_trained
from search.retrain.training import largest_sizes, score_candidate, train_candidate

pytestmark = pytest.mark.system

FINE_TUNING = FineTuning(epochs=3, min_clips=10, learning_rate=0.02)


@pytest.fixture(scope="module")
def device_shards(tmp_path_factory) -> Path:
    """Devices a and b, and s4 among the test clips alone."""
    return write_shards(tmp_path_factory.mktemp("devices"), n_locations=4, devices="ab", unseen=("s4",))


def config_for(shards: Path, **changes: object) -> CandidateConfig:
    asked, manifest = settings(), read_manifest(shards)
    config = CandidateConfig(
        name="t0001", trial_id="t0001", model=TINY, train=asked.train.updated(epochs=2), features=SPEC,
        reader=asked.reader.updated(scaling="none"), classes=manifest.classes, mode="int8_weights",
        checkpoint="log_loss", seed=0, fold=1, data_hash=manifest.hash(), fine_tuning=FINE_TUNING,
    )  # fmt: skip
    return config.updated(**changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, device_shards) -> RunDirectory:
    """A run with one scored candidate that has networks of a and b."""
    run = RunDirectory(tmp_path_factory.mktemp("finished") / "run")
    config, files = config_for(device_shards), run.candidate("t0001", 0)
    trained = train_candidate(config, device_shards, files)
    score_candidate(config, device_shards, files, trained, on_read=lambda split: None)
    return run


def read(shards: Path, split: str, config: CandidateConfig) -> FeatureSet:
    return read_split(shards, split, fold=1, reader=config.reader)


def of_device(clips: FeatureSet, device: str) -> FeatureSet:
    return clips.take(np.flatnonzero(clips.clips["device"] == device))


def test_the_network_of_a_device_starts_as_the_general_one(device_shards):
    """`start_from` gives the same answers, with a moving average as well; the first epoch changes them."""
    config = config_for(device_shards)
    train = read(device_shards, "train", config)
    general = Trainer(TINY, config.train, train, seed=0)
    general.train_to(1)
    for ema_decay in (0.0, 0.9):
        recipe = config.of_device("b").train.updated(ema_decay=ema_decay)
        own = Trainer(TINY, recipe, of_device(train, "b"), seed=1)
        own.start_from(general.model)
        np.testing.assert_array_equal(own.predict(train), general.predict(train))
        own.train_to(1)
        assert np.abs(own.predict(train) - general.predict(train)).max() > 1e-3


def test_clips_are_answered_by_the_network_of_their_device(finished, device_shards):
    """The stored predictions are those of the device's file; of a device without one, those of the general file."""
    files = finished.candidate("t0001", 0)
    config = read_candidate_config(files.config_path)
    assert config.devices == ("a", "b")
    for split, devices in (("validation", {"a", "b"}), ("test", {"a", "b", "s4"})):
        clips, stored = read(device_shards, split, config), read_predictions(files.predictions_path(split))
        assert set(clips.clips["device"]) == devices
        for device in devices:
            own = files.device(device) if device in config.devices else files
            rows = (stored.clips["device"] == device).to_numpy()
            found = Artifact(own.tflite_path).predict(of_device(clips, device))
            np.testing.assert_allclose(stored.probabilities[rows], found, atol=1e-6)
            if own is not files:
                general = Artifact(files.tflite_path).predict(of_device(clips, device))
                assert np.abs(found - general).max() > 1e-3


def test_the_metrics_have_both(finished, device_shards):
    """`general` is of the general file alone, the splits with the devices' files; each file is measured and kept."""
    (candidate,) = read_candidates(finished)  # checks every file's SHA-256
    files, metrics = candidate.files, candidate.metrics
    config = read_candidate_config(files.config_path)
    test = read(device_shards, "test", config)
    general = Artifact(files.tflite_path).predict(test)
    losses = -np.log(general[np.arange(len(general)), test.labels])
    assert metrics.general["test"]["log_loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert metrics.general["test"]["log_loss"] != metrics.value("test", "log_loss")
    by_device = [scores["test"]["by_device"] for scores in (metrics.general, metrics.splits)]
    assert by_device[0]["s4"] == by_device[1]["s4"]
    assert by_device[0]["b"] != by_device[1]["b"]
    assert {*metrics.devices} == {"a", "b"}
    for device, facts in metrics.devices.items():
        assert facts["file_bytes"] == files.device(device).tflite_path.stat().st_size
        assert f"devices/{device}/model.tflite" in metrics.sha256
        kept = {path.name for path in files.device(device).root.iterdir()}
        assert kept == {"config.yaml", "history.parquet", "model.keras", "model.tflite"}
    assert {path.name for path in (files.root / "predictions").iterdir()} == {"test.parquet", "validation.parquet"}
    assert "| test, general network alone |" in files.card_path.read_text()


def test_predict_takes_the_device(finished, device_shards, tmp_path):
    """`--device` and `Classifier(device=...)` answer as was evaluated, from the folder, its zip and an ensemble; the
    folder of a device is a candidate itself; a device without a network is answered by the general one, and said."""
    files = finished.candidate("t0001", 0)
    stored = pd.read_parquet(files.predictions_path("test"))
    for device in ("b", "s4"):
        rows = stored[stored["device"] == device]
        audio = [device_shards.parent / "corpus" / name for name in rows["filename"]]
        expected = rows.filter(regex="^p_").to_numpy()
        told = asc("predict", files.root, *audio, "--device", device, "--csv", tmp_path / f"{device}.csv")
        assert ("has no network of this device; it has networks of a, b" in told.stderr) == (device == "s4")
        answers = [pd.read_csv(tmp_path / f"{device}.csv").filter(regex="^p_").to_numpy()]
        answers.append(Classifier(files.package_path, device=device).predict(audio).to_numpy())
        assert pack_ensemble(finished, {files.name: 1.0}, 1.0)
        answers.append(Classifier(finished.ensemble_package_path, device=device).predict(audio).to_numpy())
        with opened_system(files.root) as system:
            write_folder(tmp_path / f"export-{device}", tflite_export(system).files)
        answers.append(Classifier(tmp_path / f"export-{device}", device=device).predict(audio).to_numpy())
        own = files.device("b").root if device == "b" else files.root
        answers.append(Classifier(own).predict(audio).to_numpy())
        for answer in answers:
            np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert Classifier(files.root).devices == ("a", "b")


def test_a_missing_or_changed_network_is_no_general_one(finished, tmp_path):
    """Without the file of a device that it should have, a candidate does not answer for that device."""
    root = tmp_path / "t0001-s0"
    shutil.copytree(finished.candidate("t0001", 0).root, root)
    path = CandidateFiles(root).device("b").tflite_path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"devices/b/model\.tflite: has other bytes"):
        Classifier(root, device="b")
    path.unlink()
    with pytest.raises(DataError, match=r"lacks devices/b/model\.tflite, of the network of device b"):
        Classifier(root, device="b")
    assert Classifier(root, device="a")


def test_a_killed_fine_tuning_resumes(finished, device_shards, tmp_path):
    """Killed in the second device's training, the next call trains neither the general network nor the first device
    again, and ends as an undisturbed training does."""
    config, files, epochs = config_for(device_shards), CandidateFiles(tmp_path / "t0001-s0"), []
    last = config.n_epochs

    def kill(epoch: int) -> None:
        """Kill before the last epoch of the second device is reported."""
        if epoch == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_candidate(config, device_shards, files, hooks=Hooks(on_epoch=kill))
    assert read_trained(files) is None
    first = files.device("a").trained_path.stat().st_mtime_ns
    trained = train_candidate(config, device_shards, files, hooks=Hooks(on_epoch=epochs.append))
    assert len(epochs) < FINE_TUNING.epochs
    assert files.device("a").trained_path.stat().st_mtime_ns == first
    score_candidate(config, device_shards, files, trained, on_read=lambda split: None)
    whole = finished.candidate("t0001", 0)
    for split in ("validation", "test"):
        ours, theirs = (read_predictions(one.predictions_path(split)) for one in (files, whole))
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert read_metrics(files.metrics_path).general == read_metrics(whole.metrics_path).general


def test_each_file_is_within_the_limit_by_itself(finished, tmp_path):
    """A candidate's size is that of its largest file, not the sum: over the limit if one file is."""
    files = CandidateFiles(tmp_path)
    for one, n in ((files, 10), (files.device("a"), 30), (files.device("b"), 20)):
        one.root.mkdir(parents=True, exist_ok=True)
        write_dense_tflite(one.tflite_path, np.ones((n, 5), np.float32), np.ones(n, np.float32))
    sizes = largest_sizes([files, files.device("a"), files.device("b")])
    assert sizes["weight_bytes"] == 4 * 30 * 6
    metrics: CandidateMetrics = replace(read_candidates(finished)[0].metrics, weight_bytes=sizes["weight_bytes"])
    for limit, fits in ((719, False), (720, True)):
        limits = Limits(RulesConfig(name="custom", limits={"weight_bytes": limit}))
        assert limits.verdict([metrics]).feasible == fits


def test_too_few_clips_are_an_error(device_shards):
    """A device needs `min_clips` recorded clips; if none has as many, that is said before anything is trained."""
    config = config_for(device_shards)
    train = read(device_shards, "train", config)
    n = int((train.clips["device"] == "a").sum())
    fewer = train.take(np.flatnonzero((train.clips["device"] == "a") | (np.arange(len(train.labels)) % 2 == 0)))
    asked = config.updated(fine_tuning=FINE_TUNING.updated(min_clips=n))
    assert devices_of(asked, fewer) == ("a",)
    none = config.updated(fine_tuning=FINE_TUNING.updated(min_clips=n + 1))
    with pytest.raises(DataError, match=rf"no device has min_clips, {n + 1}, recorded training clips \({n} of a, "):
        require_devices(none, train)
    require_devices(config.updated(fine_tuning=None), train)


def test_devices_of_a_set_without_them_are_not_taken_for_a():
    """Clips of unknown devices are stored as of a: if all are, the general network answers."""
    clips = pd.DataFrame({"device": ["a", "a"]})
    assert not has_known_devices(clips, ("a", "b"))
    assert has_known_devices(clips, ("a",))
    assert has_known_devices(pd.DataFrame({"device": ["a", "s4"]}), ("a", "b"))


def test_an_evaluation_set_is_answered_by_device(finished, tmp_path):
    """With a list of devices the clips of b are answered by its file; without one by the general file, with a note."""
    (candidate,) = read_candidates(finished)
    answers, warnings = {}, []
    source = tmp_path / "source"
    write_shards(source, n_locations=4, devices="ab")
    audio = sorted((source / "corpus" / "audio").glob("low*-b.wav"))[:2]
    audio += sorted((source / "corpus" / "audio").glob("low*-a.wav"))[:1]
    for header in ("filename\tsource_label", "filename"):
        corpus = tmp_path / header.replace("\t", "-")
        (corpus / "audio").mkdir(parents=True)
        rows = []
        for number, path in enumerate(audio):
            shutil.copy(path, corpus / "audio" / f"{number}.wav")
            device = path.stem.rpartition("-")[2]
            rows.append(f"audio/{number}.wav\t{device}" if "source_label" in header else f"audio/{number}.wav")
        (corpus / "meta.csv").write_text("\n".join([header, *rows]) + "\n")
        prepare(corpus, corpus / "shards", PrepareConfig(features=SPEC))
        answers |= predict_evaluation([candidate], corpus / "shards", warn=warnings.append)
        found = answers[candidate.name].probabilities
        system = [Classifier(candidate.files.root, device=device) for device in ("b", "b", "a")]
        if header == "filename":
            system = [Classifier(candidate.files.root)] * 3
        expected = [one.predict(corpus / "audio" / f"{n}.wav").to_numpy()[0] for n, one in enumerate(system)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(warnings) == 1
    assert "all clips of the evaluation set are of device a" in warnings[0]


def test_parts_of_the_inner_cross_validation_are_fine_tuned(device_shards, tmp_path):
    """Clips of a part are predicted by networks that were fine-tuned without the part."""
    config = config_for(
        device_shards, splits=("train", "validation"), checkpoint=None, inner_folds=2,
        fine_tuning=FINE_TUNING.updated(epochs=1, min_clips=5),
    )  # fmt: skip
    files = CandidateFiles(tmp_path / "part")
    found = train_part(config, 1, device_shards, files)
    held = pd.concat([read(device_shards, split, config).clips for split in ("train", "validation")])
    assert set(found.clips["clip_id"]) < set(held["clip_id"])
    sides = [read(device_shards, split, config) for split in ("train", "validation")]
    for device in ("a", "b"):
        artifact = Artifact(files.device(device).tflite_path)
        answers = [artifact.predict(of_device(side, device)) for side in sides]
        ids = [clip_id for side in sides for clip_id in of_device(side, device).clips["clip_id"]]
        of_clip = dict(zip(ids, np.concatenate(answers), strict=True))
        rows = np.flatnonzero(found.clips["device"] == device)
        assert len(rows)
        expected = [of_clip[found.clips["clip_id"].iloc[row]] for row in rows]
        np.testing.assert_allclose(found.probabilities[rows], expected, atol=1e-6)


def test_a_retraining_through_shared_storage_has_all_files(device_shards, tmp_path, ray_here):
    """The storage and the run end with the same files, those of devices among them; a repeated call trains nothing."""
    config = run_config(fine_tuning=FINE_TUNING.model_dump())
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    with taken(run, tmp_path / "storage") as storage, open_ledger(run, storage) as ledger:
        done = [retrain(run, config, shards=device_shards, ledger=ledger, storage=storage) for _ in range(2)]
    assert [outcome.n_new for outcome in done] == [1, 0]
    assert done[0].failures == ()
    assert "a network each for device a, b" in done[0].exports[0]
    (candidate,) = read_candidates(run)
    there = tmp_path / "storage" / "candidates" / candidate.name
    ours, theirs = (
        {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        for root in (candidate.files.root, there)
    )
    assert ours == theirs
    assert "devices/b/model.tflite" in ours
    assert not any(name.endswith(("trained.json", "float32.tflite", "checkpoint.npz")) for name in ours)
