"""One candidate trained at full length, in a process of its own: network, exported file, predictions, metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field

from asc_models.config import BaselineConfig, CheckpointMetric, ExportMode, ModelConfig, TrainConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.files import write_text, written_whole
from data_prep.manifest import read_manifest
from data_prep.reader import FeatureSet, read_split
from data_prep.schema import Config, parse_config
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
    model: ModelConfig | BaselineConfig = Field(discriminator="family")
    """The network."""
    train: TrainConfig
    """The recipe, with the length of this training."""
    features: FeatureSpec
    """What is extracted from audio."""
    reader: ReaderSpec
    """How features become network input."""
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


OnEpoch = Callable[[int], None]
OnRead = Callable[[str], None]


def train_candidate(
    config: CandidateConfig, shards: Path, files: CandidateFiles, *, on_epoch: OnEpoch, on_read: OnRead
) -> None:
    """Train, export and score a candidate; `metrics.json` is written last.

    Goes on where a killed call stopped. The test split is read once, after everything is chosen.

    Args:
        config: what to train.
        shards: folder of the prepared features.
        files: where the candidate's files go.
        on_epoch: called with the number of finished epochs.
        on_read: called with the name of a split just before its labels are looked at for scoring.

    Raises:
        TrainingError: if the training diverges.
        ExportError: if the network cannot be exported or its file not run.
    """
    from asc_models.export import export
    from asc_models.fitting import fit
    from asc_models.training import Trainer

    train, validation = (
        read_split(shards, split, fold=config.fold, reader=config.reader) for split in ("train", "validation")
    )
    trainer = Trainer(config.model, config.train, train, seed=config.seed)
    checkpoint = files.root / "checkpoint.npz"
    result = fit(
        trainer,
        validation,
        epochs=config.train.epochs,
        checkpoint=checkpoint,
        metric=config.checkpoint,
        on_epoch=lambda record: on_epoch(record.epoch),
    )
    write_text(files.config_path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    with written_whole(files.keras_path) as temporary:
        keras_file = temporary.with_suffix(".keras")
        trainer.model.save(keras_file)
        keras_file.replace(temporary)
    export(trainer.model, train.input_shape, files.tflite_path, config.mode)
    float_choice = trainer.predict(validation).argmax(axis=1)
    score_candidate(config, shards, files, float_choice, best_epoch=result.best.epoch, on_read=on_read)
    checkpoint.unlink(missing_ok=True)


def score_candidate(
    config: CandidateConfig,
    shards: Path,
    files: CandidateFiles,
    float_choice: np.ndarray[tuple[int], np.dtype[np.int64]],
    *,
    best_epoch: int,
    on_read: OnRead,
) -> None:
    """Write the predictions of the exported file on every split there is but training, and its metrics."""
    from asc_models.artifact import Artifact
    from asc_models.estimate import estimate
    from asc_models.measure import measure

    artifact = Artifact(files.tflite_path)
    present = set(read_manifest(shards).folds[config.fold].values())
    summaries: dict[str, dict[str, Any]] = {}
    agreement = None
    for split in ("validation", "test", "evaluation"):
        if split not in present:
            continue
        on_read(split)
        features = read_split(shards, split, fold=config.fold, reader=config.reader)
        predictions = _predictions(artifact.predict(features), features)
        write_predictions(files.predictions_path(split), predictions)
        if predictions.is_labelled:
            summaries[split] = predictions.summarize()
        if split == "validation":
            agreement = float((predictions.probabilities.argmax(axis=1) == float_choice).mean())
    sizes = measure(files.tflite_path)
    cost = estimate(config.model, artifact.input_shape, len(config.classes))
    write_metrics(
        files.metrics_path,
        CandidateMetrics(
            splits=summaries,
            **sizes.quantities(),
            n_params=cost.n_params,
            macs=cost.macs,
            agreement=agreement,
            mode=config.mode,
            best_epoch=best_epoch,
            epochs=config.train.epochs,
            seed=config.seed,
            trial_id=config.trial_id,
        ),
    )


def _predictions(probabilities: np.ndarray, features: FeatureSet) -> Predictions:
    return Predictions(features.clips, probabilities, features.classes)
