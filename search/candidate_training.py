"""One candidate trained at full length, in a process of its own: network, exported file, predictions, metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from asc_models.config import CheckpointMetric, ExportMode, TrainConfig
from asc_models.families import AnyModelConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.files import write_text, written_whole
from data_prep.manifest import read_manifest
from data_prep.reader import read_split
from data_prep.schema import Config, parse_config
from data_prep.statistics import BandStatistics
from data_prep.store import Location
from results.candidates import CandidateMetrics, write_metrics
from results.predictions import Predictions, write_predictions
from results.rundir import CandidateFiles
from search.config import parse_yaml


class CandidateConfig(Config):
    """`config.yaml` of a candidate: all that is needed to train it again, and to run its file on new audio."""

    name: str
    """Candidate, without its seed."""
    trial_id: str | None
    """The trial that proposed it; null for a system given by name."""
    model: AnyModelConfig
    """The network."""
    train: TrainConfig
    """The recipe, with the length of this training."""
    features: FeatureSpec
    """What is extracted from audio."""
    reader: ReaderSpec
    """How features become network input."""
    statistics: BandStatistics | None = None
    """Of the training clips, if the reader standardizes by them: fitted by the training."""
    classes: tuple[str, ...]
    """Scenes in the order of the network's outputs."""
    mode: ExportMode
    """Export of the file."""
    checkpoint: CheckpointMetric
    """What the kept epoch is best in."""
    seed: int
    """Seed of the training."""
    fold: int
    """Fold that was trained on."""
    data_hash: str
    """Identity of the prepared data."""


def read_candidate_config(path: Path) -> CandidateConfig:
    """Return a candidate's configuration.

    Raises:
        ConfigError: if the file is missing or is no candidate's configuration.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_config(CandidateConfig, parse_yaml(text, str(path)), str(path))


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training knows that its files don't tell."""

    best_epoch: int
    """The epoch whose weights were kept."""
    agreement: float
    """Share of validation clips on which the exported file chooses the scene that the network chose."""


def train_candidate(
    config: CandidateConfig, shards: Location, files: CandidateFiles, *, on_epoch: Callable[[int], None]
) -> Trained:
    """Train and export a candidate on the training and validation splits; the test split is not touched.

    Goes on where a killed call stopped; called again when all is trained, it only exports anew.

    Args:
        config: what to train.
        shards: folder of the prepared features.
        files: where the candidate's files go.
        on_epoch: called with the number of finished epochs.

    Raises:
        TrainingError: if the training diverges.
        ExportError: if the network cannot be exported or its file not run.
    """
    from asc_models.artifact import Artifact
    from asc_models.export import export
    from asc_models.fitting import fit
    from asc_models.training import Trainer

    train = read_split(shards, "train", fold=config.fold, reader=config.reader)
    config = config.updated(statistics=train.statistics)
    validation = read_split(shards, "validation", fold=config.fold, reader=config.reader, statistics=config.statistics)
    trainer = Trainer(config.model, config.train, train, seed=config.seed)
    result = fit(
        trainer,
        validation,
        epochs=config.train.epochs,
        checkpoint=checkpoint_path(files),
        metric=config.checkpoint,
        on_epoch=lambda record: on_epoch(record.epoch),
    )
    write_text(files.config_path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    with written_whole(files.keras_path) as temporary:
        keras_file = temporary.with_suffix(".keras")  # Keras takes no other ending
        trainer.model.save(keras_file)
        keras_file.replace(temporary)
    export(trainer.model, train.input_shape, files.tflite_path, config.mode)
    chosen = trainer.predict(validation).argmax(axis=1)
    exported = Artifact(files.tflite_path).predict(validation).argmax(axis=1)
    return Trained(result.best.epoch, float((chosen == exported).mean()))


def score_candidate(
    config: CandidateConfig,
    shards: Location,
    files: CandidateFiles,
    trained: Trained,
    *,
    on_read: Callable[[str], None],
) -> None:
    """Score the exported file on validation, test and evaluation, whichever there are; `metrics.json` is written last.

    Args:
        config: what was trained.
        shards: folder of the prepared features.
        files: the candidate's files.
        trained: what the training told.
        on_read: called with a split's name before it is read.

    Raises:
        ExportError: if the file cannot be run.
    """
    from asc_models.artifact import Artifact
    from asc_models.estimate import estimate
    from asc_models.measure import measure

    artifact = Artifact(files.tflite_path)
    statistics = read_candidate_config(files.config_path).statistics
    present = set(read_manifest(shards).folds[config.fold].values())
    summaries: dict[str, dict[str, Any]] = {}
    for split in [name for name in ("validation", "test", "evaluation") if name in present]:
        on_read(split)
        features = read_split(shards, split, fold=config.fold, reader=config.reader, statistics=statistics)
        predictions = Predictions(features.clips, artifact.predict(features), features.classes)
        write_predictions(files.predictions_path(split), predictions)
        if predictions.is_labelled:
            summaries[split] = predictions.summarize()
    cost = estimate(config.model, artifact.input_shape, len(config.classes))
    metrics = CandidateMetrics(
        splits=summaries,
        **measure(files.tflite_path).quantities(),
        n_params=cost.n_params,
        macs=cost.macs,
        agreement=trained.agreement,
        mode=config.mode,
        best_epoch=trained.best_epoch,
        epochs=config.train.epochs,
        seed=config.seed,
        trial_id=config.trial_id,
    )
    write_metrics(files.metrics_path, metrics)
    checkpoint_path(files).unlink(missing_ok=True)


def checkpoint_path(files: CandidateFiles) -> Path:
    """Return where the state of an unfinished training is."""
    return files.root / "checkpoint.npz"
