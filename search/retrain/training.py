"""Training, export and scoring of one candidate at full length."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asc_models.candidate import KERAS, CandidateConfig, read_candidate_config
from asc_models.metrics import log_loss, macro_accuracy
from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.files.files import file_digest
from data_prep.reader.reader import read_split, read_splits
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import CandidateMetrics, write_metrics
from results.candidates.package import write_package
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.rundir import CandidateFiles
from search.retrain.curve import curve_on_test
from search.retrain.devices import (
    answered_by_device,
    devices_of,
    fine_tune,
    has_known_devices,
    own_artifacts,
    require_devices,
)
from search.retrain.hooks import NO_HOOKS, Hooks
from search.retrain.inner import join_parts
from search.retrain.teaching import Teaching, teacher_of
from search.retrain.trained import Trained, mark_trained, read_trained, write_trained

if TYPE_CHECKING:
    from asc_models.tflite.artifact import Artifact
    from data_prep.reader.reader import FeatureSet

N_TIMED_CLIPS = 20
"""Clips on which an exported file is timed."""
AGREEMENT = ("agreement", "agreement_beyond_chance")
"""What is kept of the training of a device's network."""


def require_same_data(config: CandidateConfig, manifest: Manifest, model: str) -> None:
    """Check that prepared data match a model.

    Args:
        config: configuration of the model.
        manifest: manifest of the data.
        model: name of the model in messages.

    Raises:
        DataError: if the features or the order of classes differ.
    """
    if config.classes != manifest.classes:
        raise DataError(
            f"{model}: was trained on the scenes {', '.join(config.classes)}, in this order; the prepared data "
            f"{manifest.name!r} have {', '.join(manifest.classes)}. Use the shards that it was trained on, or retrain "
            "it on these."
        )
    prepared, configured = manifest.spec.model_dump(), config.features.model_dump()
    different = [
        f"{key} {value} against {prepared[key]}" for key, value in configured.items() if value != prepared.get(key)
    ]
    if different:
        raise DataError(
            f"{model}: was trained with another feature than the prepared data {manifest.name!r} have (model against "
            f"data): {', '.join(different)}. Prepare the data with the model's feature, or retrain it."
        )


def train_candidate(
    config: CandidateConfig,
    shards: Location,
    files: CandidateFiles,
    *,
    teaching: Teaching | None = None,
    test_every: int = 0,
    hooks: Hooks = NO_HOOKS,
) -> Trained:
    """Train and export a candidate, and its networks of devices if it has any; what it learns and which epoch is kept
    depends on training and validation alone.

    Resumes a killed call from its checkpoint; if the training is finished, only the export is repeated.

    Args:
        config: configuration of the candidate.
        shards: folder of the prepared features.
        files: files of the candidate.
        teaching: its teachers; None without any.
        test_every: epochs between scores on the test split (`CurveOnTest`); 0 does not read it.
        hooks: called while it trains.

    Raises:
        DataError: if the shards have other features or classes than the candidate.
        TrainingError: if the training diverges.
        ExportError: if the network cannot be exported, or the file cannot be run or disagrees with the network.
    """
    from asc_models.training.fit import fit
    from asc_models.training.trainer import Trainer

    require_same_data(config, read_manifest(shards), config.name)
    train = read_splits(shards, config.splits, fold=config.fold, reader=config.reader)
    require_devices(config, train)
    config = config.updated(statistics=train.statistics, devices=devices_of(config, train))
    validation = read_split(shards, "validation", fold=config.fold, reader=config.reader, statistics=config.statistics)
    teacher = teacher_of(config, teaching, train)
    trainer = Trainer(config.model, config.train, train, seed=config.seed, teacher=teacher, mode=config.mode)
    noting = hooks
    if test_every:
        curve = curve_on_test(config, shards, trainer, files.test_curve_path, test_every)
        noting = hooks.also(curve.note)
    result = fit(
        trainer,
        validation if config.checkpoint else None,
        epochs=config.train.epochs,
        checkpoint=files.checkpoint_path,
        metric=config.checkpoint or "macro_accuracy",
        on_start=noting.on_start,
        on_epoch=lambda record: noting.on_epoch(record.epoch),
        on_save=noting.on_save,
    )
    trained = write_trained(config, files, trainer, train, validation, result)
    fine_tune(config, trainer, train, validation, files, teaching=teaching, hooks=hooks)
    mark_trained(files, trained)
    return trained


def score_candidate(
    config: CandidateConfig,
    shards: Location,
    files: CandidateFiles,
    trained: Trained,
    *,
    on_read: Callable[[str], None],
) -> None:
    """Score the exported file on the validation, test and evaluation splits, if present; write `metrics.json` last.

    Splits used for training are not scored. With inner cross-validation, its out-of-fold predictions are the validation
    predictions. Splits already scored by a killed call are not read again. With networks of devices, each clip is
    answered by that of its device; sizes are those of the largest file, so that each is within the limits by itself.

    Args:
        config: configuration of the candidate.
        shards: folder of the prepared features.
        files: files of the candidate.
        trained: results of the training.
        on_read: called with the name of a split before it is read.

    Raises:
        ExportError: if the file cannot be run.
    """
    from asc_models.networks.estimate import estimate
    from asc_models.tflite.artifact import Artifact

    artifact = Artifact(files.tflite_path)
    devices = read_candidate_config(files.config_path).devices
    manifest = read_manifest(shards)
    require_same_data(config, manifest, config.name)
    present = set(manifest.folds[config.fold].values()) - set(config.splits)
    if config.inner_folds:
        present.add("validation")
        write_predictions(files.predictions_path("validation"), join_parts(config, manifest, files))
    splits = [name for name in SPLITS if name in present]
    summaries = _score_splits(config, shards, files, artifact, splits, on_read)
    cost = estimate(config.model, artifact.input_shape, len(config.classes), config.reader.windows(config.features))
    metrics = CandidateMetrics(
        splits=summaries,
        **largest_sizes([files, *map(files.device, devices)]),
        n_params=cost.n_params,
        macs=cost.macs,
        peak_activation_bytes=cost.peak_activation_bytes,
        ms_per_clip=round(artifact.ms_per_clip(N_TIMED_CLIPS), 3),
        float_scores=_float_scores(config, files, splits),
        general=_general_scores(config, files, splits),
        devices={device: _device_facts(files.device(device)) for device in devices},
        mode=config.mode,
        **asdict(trained),
        epochs=config.train.epochs,
        seed=config.seed,
        trial_id=config.trial_id,
        trained_on=config.splits,
        inner_folds=config.inner_folds,
        sha256={path.relative_to(files.root).as_posix(): file_digest(path) for path in _measured(files, devices)},
    )
    write_package(files, config, metrics)
    write_metrics(files.metrics_path, metrics)
    remove_leftovers(files)


def _score_splits(
    config: CandidateConfig,
    shards: Location,
    files: CandidateFiles,
    artifact: Artifact,
    splits: Sequence[str],
    on_read: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Return {split: scores} of the labelled splits; those without predictions are read, and predicted.

    What they read is predicted by the float32 network as well.
    """
    own = read_candidate_config(files.config_path)
    summaries: dict[str, dict[str, Any]] = {}
    for split in splits:
        path = files.predictions_path(split)
        if not path.exists():
            on_read(split)
            features = read_split(shards, split, fold=config.fold, reader=config.reader, statistics=own.statistics)
            _predict(files, split, features, artifact, own.devices)
        predictions = read_predictions(path, config.classes)
        if predictions.is_labelled:
            summaries[split] = predictions.summarize()
    return summaries


def _predict(
    files: CandidateFiles, split: str, features: FeatureSet, artifact: Artifact, devices: tuple[str, ...]
) -> None:
    """Write the predictions of a split: of the float32 network, of the general network alone, and last of the file."""
    from asc_models.tflite.artifact import Artifact

    def write(path: Path, probabilities: npt.NDArray[np.float32]) -> None:
        """Write predictions of the split."""
        write_predictions(path, Predictions(features.clips, probabilities, features.classes))

    if split == "evaluation" and not has_known_devices(features.clips, devices):
        devices = ()
    in_float = Artifact(files.float_path).predict(features)
    own = own_artifacts(files, devices, in_float=True)
    write(files.float_predictions_path(split), answered_by_device(features, in_float, own))
    general = artifact.predict(features)
    if devices:
        write(files.general_predictions_path(split), general)
    write(files.predictions_path(split), answered_by_device(features, general, own_artifacts(files, devices)))


def _float_scores(config: CandidateConfig, files: CandidateFiles, splits: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return {split: scores} of the float32 network, without splits that it has not predicted or that lack labels."""
    found = {
        split: read_predictions(files.float_predictions_path(split), config.classes)
        for split in splits
        if files.float_predictions_path(split).exists()
    }
    return {
        split: {
            "macro_accuracy": macro_accuracy(one.labels, one.probabilities),
            "log_loss": log_loss(one.labels, one.probabilities),
        }
        for split, one in found.items()
        if one.is_labelled
    }


def _general_scores(config: CandidateConfig, files: CandidateFiles, splits: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return {split: scores} of the general network alone; {} without networks of devices."""
    paths = {split: files.general_predictions_path(split) for split in splits}
    found = {split: read_predictions(path, config.classes) for split, path in paths.items() if path.exists()}
    return {split: one.summarize() for split, one in found.items() if one.is_labelled}


def _device_facts(files: CandidateFiles) -> dict[str, Any]:
    """Return sizes of a device's file, and its agreement with the network."""
    trained = read_trained(files)
    agreement = {} if trained is None else {name: getattr(trained, name) for name in AGREEMENT}
    return {**largest_sizes([files]), **agreement}


def largest_sizes(systems: Sequence[CandidateFiles]) -> dict[str, int]:
    """Return {quantity: its largest value over the exported files}, for limits that apply to each file by itself."""
    from asc_models.tflite.measure import measure

    sizes = [measure(files.tflite_path).quantities() for files in systems]
    return {quantity: max(one[quantity] for one in sizes) for quantity in sizes[0]}


def _measured(files: CandidateFiles, devices: tuple[str, ...]) -> list[Path]:
    """Return the files that a finished candidate's scores depend on."""
    of_networks = [
        path
        for one in (files, *map(files.device, devices))
        for path in (one.config_path, one.keras_path, one.tflite_path)
    ]
    predicted = [files.predictions_path(split) for split in SPLITS]
    return [*of_networks, *(path for path in predicted if path.exists())]


def remove_leftovers(files: CandidateFiles) -> None:
    """Delete the files that only an unfinished candidate needs."""
    for path in files.inner_dir.glob("*/*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != KERAS:
            path.unlink(missing_ok=True)
    for split in SPLITS:
        files.float_predictions_path(split).unlink(missing_ok=True)
        files.general_predictions_path(split).unlink(missing_ok=True)
    for one in (files, *map(CandidateFiles, files.devices_dir.glob("*"))):
        for path in (one.checkpoint_path, one.float_path, one.trained_path):
            path.unlink(missing_ok=True)
