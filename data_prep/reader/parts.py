"""Parts of the training side, for scores of trainings that leave one out: inner cross-validation.

Parts are split by location, as folds are, and depend on the recorded clips alone, so that scores of all trainings on a
fold are of the same parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_prep.copies.rows import RECORDED
from data_prep.corpora.corpus import Clip, location_of
from data_prep.corpora.kfold import assign_parts
from data_prep.errors import DataError
from data_prep.reader.reader import FeatureSet
from data_prep.reader.statistics import fit_statistics
from data_prep.shards.manifest import Manifest
from data_prep.shards.parquet import CLIP_COLUMNS

SEED = 0
"""Seed of the assignment of locations to parts."""


def leave_out(side: FeatureSet, n_parts: int, part: int, *, key: str) -> tuple[FeatureSet, FeatureSet]:
    """Return the training clips without `part`, and the recorded clips of that part.

    The reader's statistics are fitted to the training clips. Copies that mix two clips are excluded, since the other
    clip may be in the part.

    Args:
        side: all clips of the training side, including augmented copies.
        n_parts: number of parts.
        part: number of the part, from 1.
        key: key of the configuration that sets `n_parts`, for messages.

    Raises:
        DataError: if there are too few locations for `n_parts`, or a scene has a single one.
    """
    kinds = side.clips["augmentation"].to_numpy(str)
    parts = parts_of(side.clips, n_parts)
    _require_locations(len(np.unique(parts)), n_parts, key)
    is_own = kinds != "mix"
    alone = [label for label in np.unique(side.labels) if len(np.unique(parts[is_own & (side.labels == label)])) < 2]
    if alone:  # whichever part it is in, so that no training starts before this is known
        raise DataError(
            f"{key}: {', '.join(sorted(side.classes[label] for label in alone))} has a single location on the training "
            "side, so a training without that location lacks the scene. Add recordings from another location, or set "
            "it to 0."
        )
    is_held = parts == part
    train = side.take(np.flatnonzero(~is_held & is_own))
    held = side.take(np.flatnonzero(is_held & (kinds == RECORDED)))
    if side.statistics is not None:
        statistics = fit_statistics(train.log_mel)
        train, held = replace(train, statistics=statistics), replace(held, statistics=statistics)
    return train, held


def require_parts(manifest: Manifest, fold: int, n_parts: int, *, key: str) -> None:
    """Check the number of locations without reading any clip; `leave_out` has the same check and others.

    Raises:
        DataError: if there are too few locations for `n_parts`.
    """
    side = {clip_id for clip_id, split in manifest.folds[fold].items() if split in ("train", "validation")}
    locations = {manifest.locations.get(clip_id, clip_id) for clip_id in side - manifest.sources.keys()}
    _require_locations(len(locations), n_parts, key)


def _require_locations(n_locations: int, n_parts: int, key: str) -> None:
    if n_locations < n_parts:
        raise DataError(
            f"{key}: {n_parts} parts need at least {n_parts} locations, the training side has {n_locations}; lower it"
        )


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


def _source(row: dict[Any, Any]) -> Clip:
    """Return the recorded clip of a row of the training side: the row itself, or the source of an augmented copy."""
    known = {name: None if pd.isna(row[name]) else str(row[name]) for name in CLIP_COLUMNS}
    clip_id = str(row["clip_id"])
    if row["augmentation"] != RECORDED:
        clip_id = clip_id.rpartition("+")[0]
    return Clip(**{**known, "clip_id": clip_id})  # type: ignore[arg-type]  # id, file name and device are never null
