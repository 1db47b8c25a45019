"""Inner cross-validation: validation scores of candidates that are trained on train and validation together.

No clips are left to validate such a candidate. The same configuration is therefore trained once per part without the
clips of that part, and predicts them: these out-of-fold predictions cover every recorded clip of the training side
once. Parts are split by location, as folds are, and are the same for every candidate and seed, so that scores are
comparable.
"""

from __future__ import annotations

import numpy as np

from asc_models.candidate import MODEL, CandidateConfig
from data_prep.files.files import write_text
from data_prep.files.scratch import scratch_folder
from data_prep.files.yaml_file import to_yaml
from data_prep.reader.parts import leave_out
from data_prep.reader.reader import read_splits
from data_prep.shards.manifest import Manifest
from data_prep.shards.parquet import CLIP_COLUMNS
from data_prep.store.store import Location
from results.candidates.inner import joined_parts
from results.candidates.predictions import Predictions, write_predictions
from results.rundir import CandidateFiles
from search.retrain.devices import answered_by_device, devices_of, fine_tune, own_artifacts
from search.retrain.hooks import NO_HOOKS, Hooks
from search.retrain.teaching import Teaching, teacher_of

KEY = "retrain.inner_folds"
"""Key of the number of parts."""


def train_part(
    config: CandidateConfig,
    part: int,
    shards: Location,
    files: CandidateFiles,
    *,
    teaching: Teaching | None = None,
    hooks: Hooks = NO_HOOKS,
) -> Predictions:
    """Train a candidate's configuration without `part`, and return its exported file's predictions for that part.

    Resumes a killed call from its checkpoint. With fine-tuning, clips of devices that have enough clips in the other
    parts are predicted by networks of these devices.

    Args:
        config: configuration of the candidate.
        part: number of the part, from 1 to `config.inner_folds`.
        shards: folder of the prepared features.
        files: files of this training, including its checkpoint.
        teaching: its teachers, which were trained without the part as well; None without any.
        hooks: called while it trains.

    Raises:
        DataError: if the clips cannot be split into the parts.
        TrainingError: if the training diverges.
        ExportError: if the network cannot be exported, or the file cannot be run or disagrees with the network.
    """
    from asc_models.tflite.artifact import Artifact
    from asc_models.training.fit import fit
    from asc_models.training.trainer import Trainer
    from search.retrain.export import export_candidate, write_network

    # No variable keeps the whole training side, which would hold its clips in memory twice during the training.
    train, held = leave_out(
        read_splits(shards, config.splits, fold=config.fold, reader=config.reader), config.inner_folds, part, key=KEY
    )
    teacher = teacher_of(config, teaching, train)
    trainer = Trainer(config.model, config.train, train, seed=config.seed, teacher=teacher, mode=config.mode)
    fit(
        trainer,
        None,
        epochs=config.train.epochs,
        checkpoint=files.checkpoint_path,
        on_start=hooks.on_start,
        on_epoch=lambda record: hooks.on_epoch(record.epoch),
        on_save=hooks.on_save,
    )
    write_network(trainer, files.keras_path)
    config = config.updated(statistics=train.statistics, devices=devices_of(config, train))
    fine_tune(config, trainer, train, held, files, teaching=teaching, hooks=hooks)
    with scratch_folder("asc-inner-") as folder:
        path = folder / MODEL
        limits = config.int4_limits
        export_candidate(trainer, train, held, path, config.mode, seed=config.seed, int4_limits=limits)
        answer = answered_by_device(held, Artifact(path).predict(held), own_artifacts(files, config.devices))
        return Predictions(held.clips[list(CLIP_COLUMNS)], answer, held.classes)


def keep_part(config: CandidateConfig, files: CandidateFiles, predictions: Predictions) -> None:
    """Write what a part was trained with, then its predictions, which mark it as done; delete its checkpoint.

    Args:
        config: configuration of the candidate.
        files: files of this training.
        predictions: of the part.
    """
    write_text(files.config_path, to_yaml(config.model_dump(mode="json")))
    write_predictions(files.predictions_path("validation"), predictions)
    files.checkpoint_path.unlink(missing_ok=True)


def join_parts(config: CandidateConfig, manifest: Manifest, files: CandidateFiles) -> Predictions:
    """Return the out-of-fold predictions of a candidate: those of all parts, in the order of the data set's lists.

    Raises:
        DataError: if a part's predictions are missing, or two parts contain the same clip.
    """
    joined = joined_parts(files, range(1, config.inner_folds + 1), config.classes)
    order_of = {clip_id: index for index, clip_id in enumerate(manifest.folds[config.fold])}
    order = np.argsort([order_of[clip_id] for clip_id in joined.clips["clip_id"]])
    clips = joined.clips.iloc[order].reset_index(drop=True)
    return Predictions(clips, joined.probabilities[order], config.classes)
