"""Inner cross-validation: validation scores of candidates that are trained on train and validation together.

No clips are left to validate such a candidate. The same configuration is therefore trained once per part without the
clips of that part, and predicts them: these out-of-fold predictions cover every recorded clip of the training side
once. Parts are split by location, as folds are, and are the same for every candidate and seed, so that scores are
comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.candidate import MODEL, CandidateConfig
from data_prep.copies.rows import RECORDED
from data_prep.corpora.corpus import Clip, location_of
from data_prep.corpora.kfold import assign_parts
from data_prep.errors import DataError
from data_prep.files.scratch import scratch_folder
from data_prep.reader.reader import FeatureSet, read_splits
from data_prep.reader.statistics import fit_statistics
from data_prep.shards.manifest import Manifest
from data_prep.shards.parquet import CLIP_COLUMNS
from data_prep.store.store import Location
from results.candidates.predictions import Predictions, read_predictions
from results.rundir import CandidateFiles

SEED = 0
"""Seed of the assignment of locations to parts."""


def leave_out(side: FeatureSet, n_parts: int, part: int) -> tuple[FeatureSet, FeatureSet]:
    """Return the training clips without `part`, and the recorded clips of that part.

    The reader's statistics are fitted to the training clips. Copies that mix two clips are excluded, since the other
    clip may be in the part.

    Args:
        side: all clips of the training side, including augmented copies.
        n_parts: number of parts.
        part: number of the part, from 1.

    Raises:
        DataError: if there are too few locations for `n_parts`, or a scene of the part has no other location.
    """
    kinds = side.clips["augmentation"].to_numpy(str)
    parts = parts_of(side.clips, n_parts)
    if len(np.unique(parts)) < n_parts:
        raise DataError(
            f"retrain.inner_folds: {n_parts} parts need at least {n_parts} locations, the training side has "
            f"{len(np.unique(parts))}; lower it"
        )
    is_held = parts == part
    train = side.take(np.flatnonzero(~is_held & (kinds != "mix")))
    held = side.take(np.flatnonzero(is_held & (kinds == RECORDED)))
    if unknown := {side.classes[label] for label in set(held.labels) - set(train.labels)}:
        raise DataError(
            f"retrain.inner_folds: {', '.join(sorted(unknown))} has a single location on the training side, so a "
            "training without that location lacks the scene. Add recordings from another location, or set it to 0."
        )
    if side.statistics is not None:
        statistics = fit_statistics(train.log_mel)
        train, held = replace(train, statistics=statistics), replace(held, statistics=statistics)
    return train, held


def parts_of(clips: pd.DataFrame, n_parts: int) -> npt.NDArray[np.int64]:
    """Return the part, from 1, of each clip of the training side; an augmented copy is in the part of its source.

    With fewer locations than `n_parts`, there are as many parts as locations.

    Args:
        clips: one row per clip, with CLIP_COLUMNS and `augmentation`.
        n_parts: number of parts.
    """
    sources = [_source(row) for row in clips.to_dict("records")]
    kinds = clips["augmentation"].to_numpy(str)
    recorded = [source for source, kind in zip(sources, kinds, strict=True) if kind == RECORDED]
    part_at = assign_parts(recorded, n_parts, SEED)
    return np.array([part_at[location_of(source)] for source in sources], dtype=np.int64)


def train_part(
    config: CandidateConfig,
    part: int,
    shards: Location,
    files: CandidateFiles,
    *,
    on_start: Callable[[int], None] | None = None,
    on_epoch: Callable[[int], None],
    on_save: Callable[[], None] | None = None,
) -> Predictions:
    """Train a candidate's configuration without `part`, and return its exported file's predictions for that part.

    Resumes a killed call from its checkpoint.

    Args:
        config: configuration of the candidate.
        part: number of the part, from 1 to `config.inner_folds`.
        shards: folder of the prepared features.
        files: files of this training, including its checkpoint.
        on_start: called once with the number of epochs finished by an earlier call.
        on_epoch: called with the number of finished epochs.
        on_save: called when the checkpoint has been written.

    Raises:
        DataError: if the clips cannot be split into the parts.
        TrainingError: if the training diverges.
        ExportError: if the network cannot be exported, or the file cannot be run or disagrees with the network.
    """
    from asc_models.tflite.artifact import Artifact
    from asc_models.training.fit import fit
    from asc_models.training.trainer import Trainer
    from search.retrain.export import export_candidate

    # No variable keeps the whole training side, which would hold its clips in memory twice during the training.
    train, held = leave_out(
        read_splits(shards, config.splits, fold=config.fold, reader=config.reader), config.inner_folds, part
    )
    trainer = Trainer(config.model, config.train, train, seed=config.seed)
    fit(
        trainer,
        None,
        epochs=config.train.epochs,
        checkpoint=files.checkpoint_path,
        on_start=on_start,
        on_epoch=lambda record: on_epoch(record.epoch),
        on_save=on_save,
    )
    with scratch_folder("asc-inner-") as folder:
        path = folder / MODEL
        export_candidate(trainer, train, held, path, config.mode, seed=config.seed)
        return Predictions(held.clips[list(CLIP_COLUMNS)], Artifact(path).predict(held), held.classes)


def join_parts(config: CandidateConfig, manifest: Manifest, files: CandidateFiles) -> Predictions:
    """Return the out-of-fold predictions of a candidate: those of all parts, in the order of the data set's lists.

    Raises:
        DataError: if a part's predictions are missing, or two parts contain the same clip.
    """
    parts = [
        read_predictions(files.inner(part).predictions_path("validation"), config.classes)
        for part in range(1, config.inner_folds + 1)
    ]
    clips = pd.concat([part.clips for part in parts], ignore_index=True)
    if twice := sorted(clips["clip_id"][clips["clip_id"].duplicated()]):
        raise DataError(
            f"{files.root}: {twice[0]} is in two parts; delete the folder {files.inner_dir} and rerun the same command"
        )
    order_of = {clip_id: index for index, clip_id in enumerate(manifest.folds[config.fold])}
    order = np.argsort([order_of[clip_id] for clip_id in clips["clip_id"]])
    probabilities = np.concatenate([part.probabilities for part in parts])[order]
    return Predictions(clips.iloc[order].reset_index(drop=True), probabilities, config.classes)


def _source(row: dict[Any, Any]) -> Clip:
    """Return the recorded clip of a row of the training side: the row itself, or the source of an augmented copy."""
    known = {name: None if pd.isna(row[name]) else str(row[name]) for name in CLIP_COLUMNS}
    clip_id = str(row["clip_id"])
    if row["augmentation"] != RECORDED:
        clip_id = clip_id.rpartition("+")[0]
    return Clip(**{**known, "clip_id": clip_id})  # type: ignore[arg-type]  # id, file name and device are never null
