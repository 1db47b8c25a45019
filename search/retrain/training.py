"""Training, export and scoring of one candidate at full length."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asc_models.candidate import KERAS, CandidateConfig, read_candidate_config
from asc_models.metrics import log_loss, macro_accuracy
from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.files.files import file_digest, read_json, write_json, write_text, written_whole
from data_prep.files.yaml_file import to_yaml
from data_prep.reader.reader import read_split, read_splits
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import CandidateMetrics, write_metrics
from results.candidates.package import write_package
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.rundir import CandidateFiles
from search.retrain.curve import curve_on_test
from search.retrain.hooks import NO_HOOKS, Hooks
from search.retrain.inner import join_parts
from search.retrain.teaching import Teaching, teacher_of

if TYPE_CHECKING:
    from asc_models.tflite.artifact import Artifact
    from asc_models.training.fit import Fit
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet

N_TIMED_CLIPS = 20
"""Clips on which an exported file is timed."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Results of a training that are not in its other files."""

    best_epoch: int
    """Epoch whose weights were kept."""
    agreement: float
    """Share of validation clips on which the exported file and the network predict the same scene."""
    agreement_beyond_chance: float
    """Cohen's κ of the two over validation and calibration clips, excluding near-ties; the acceptance criterion."""
    export_seconds: float
    """Duration of the export in seconds."""


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
    """Train and export a candidate; what it learns and which epoch is kept depends on training and validation alone.

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
    config = config.updated(statistics=train.statistics)
    validation = read_split(shards, "validation", fold=config.fold, reader=config.reader, statistics=config.statistics)
    teacher = teacher_of(config, teaching, train)
    trainer = Trainer(config.model, config.train, train, seed=config.seed, teacher=teacher)
    if test_every:
        curve = curve_on_test(config, shards, trainer, files.test_curve_path, test_every)
        hooks = hooks.also(curve.note)
    result = fit(
        trainer,
        validation if config.checkpoint else None,
        epochs=config.train.epochs,
        checkpoint=files.checkpoint_path,
        metric=config.checkpoint or "macro_accuracy",
        on_start=hooks.on_start,
        on_epoch=lambda record: hooks.on_epoch(record.epoch),
        on_save=hooks.on_save,
    )
    return _exported(config, files, trainer, train, validation, result)


def _exported(
    config: CandidateConfig,
    files: CandidateFiles,
    trainer: Trainer,
    train: FeatureSet,
    validation: FeatureSet,
    result: Fit,
) -> Trained:
    """Write the files of a finished training, those that say so last."""
    from search.retrain.export import export_candidate, write_network

    write_text(files.config_path, to_yaml(config.model_dump(mode="json")))
    write_network(trainer, files.keras_path)
    _remove_predictions(files)
    exported = export_candidate(
        trainer, train, validation, files.tflite_path, config.mode, seed=config.seed, float_path=files.float_path
    )
    _write_history(files, result)
    trained = Trained(
        best_epoch=result.best.epoch,
        agreement=exported.agreement,
        agreement_beyond_chance=exported.agreement_beyond_chance,
        export_seconds=round(exported.seconds, 2),
    )
    _write_trained(files, trained)
    return trained


def _write_history(files: CandidateFiles, result: Fit) -> None:
    """Write one row per epoch: fields of `EpochRecord`."""
    import pandas as pd

    with written_whole(files.history_path) as temporary:
        pd.DataFrame([asdict(record) for record in result.history]).to_parquet(temporary, index=False)


def _remove_predictions(files: CandidateFiles) -> None:
    """Delete the predictions of an earlier export."""
    for split in SPLITS:
        files.predictions_path(split).unlink(missing_ok=True)
        files.float_predictions_path(split).unlink(missing_ok=True)


def _write_trained(files: CandidateFiles, trained: Trained) -> None:
    """Write what `read_trained` returns, with the digest of the file that it is about."""
    write_json(files.trained_path, {"tflite_sha256": file_digest(files.tflite_path), **asdict(trained)})


def read_trained(files: CandidateFiles) -> Trained | None:
    """Return the results of a training that is finished but not yet scored; None if there are no usable ones."""
    if not files.float_path.is_file():
        return None
    try:
        record = read_json(files.trained_path)
        digest = file_digest(files.tflite_path)
        return Trained(**record) if record.pop("tflite_sha256") == digest else None
    except (DataError, OSError, TypeError, KeyError, AttributeError):
        return None  # the candidate is then exported again


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
    predictions. Splits already scored by a killed call are not read again.

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
    from asc_models.tflite.measure import measure

    artifact = Artifact(files.tflite_path)
    manifest = read_manifest(shards)
    require_same_data(config, manifest, config.name)
    present = set(manifest.folds[config.fold].values()) - set(config.splits)
    if config.inner_folds:
        present.add("validation")
        write_predictions(files.predictions_path("validation"), join_parts(config, manifest, files))
    splits = [name for name in SPLITS if name in present]
    summaries = _score_splits(config, shards, files, artifact, splits, on_read)
    windows = config.reader.windows(config.features)
    cost = estimate(config.model, artifact.input_shape, len(config.classes), windows)
    metrics = CandidateMetrics(
        splits=summaries,
        **measure(files.tflite_path).quantities(),
        n_params=cost.n_params,
        macs=cost.macs,
        peak_activation_bytes=cost.peak_activation_bytes,
        ms_per_clip=round(artifact.ms_per_clip(N_TIMED_CLIPS), 3),
        float_scores=_float_scores(config, files, splits),
        mode=config.mode,
        **asdict(trained),
        epochs=config.train.epochs,
        seed=config.seed,
        trial_id=config.trial_id,
        trained_on=config.splits,
        inner_folds=config.inner_folds,
        sha256={path.relative_to(files.root).as_posix(): file_digest(path) for path in _measured(files)},
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
    from asc_models.tflite.artifact import Artifact

    statistics = read_candidate_config(files.config_path).statistics
    summaries: dict[str, dict[str, Any]] = {}
    for split in splits:
        path = files.predictions_path(split)
        if not path.exists():
            on_read(split)
            features = read_split(shards, split, fold=config.fold, reader=config.reader, statistics=statistics)
            of_network = files.float_predictions_path(split), Artifact(files.float_path)
            for to, predictor in (of_network, (path, artifact)):
                write_predictions(to, Predictions(features.clips, predictor.predict(features), features.classes))
        predictions = read_predictions(path, config.classes)
        if predictions.is_labelled:
            summaries[split] = predictions.summarize()
    return summaries


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


def _measured(files: CandidateFiles) -> list[Path]:
    """Return the files that a finished candidate's scores depend on."""
    predicted = [files.predictions_path(split) for split in SPLITS]
    return [files.config_path, files.keras_path, files.tflite_path, *(path for path in predicted if path.exists())]


def remove_leftovers(files: CandidateFiles) -> None:
    """Delete the files that only an unfinished candidate needs."""
    for path in files.inner_dir.glob("*/*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != KERAS:
            path.unlink(missing_ok=True)
    for split in SPLITS:
        files.float_predictions_path(split).unlink(missing_ok=True)
    for path in (files.checkpoint_path, files.float_path, files.trained_path):
        path.unlink(missing_ok=True)
