"""Shards → features in memory → batches of network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.copies.rows import RECORDED
from data_prep.corpora.corpus import file_clip_id
from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.prepare.extract import extract
from data_prep.reader.clips import Indices, ReadableClips
from data_prep.reader.statistics import BandStatistics, fit_statistics
from data_prep.shards.manifest import PREPARE_AGAIN, Manifest, read_manifest
from data_prep.shards.parquet import CLIP_COLUMNS, log_mels_of, read_shard
from data_prep.store.store import Location, open_store


@dataclass(frozen=True)
class FeatureSet(ReadableClips):
    """Clips with their stored features in memory, and how they become network input."""

    log_mel: npt.NDArray[np.float16]
    """(n_clips, n_mels, n_frames), unscaled."""
    labels: npt.NDArray[np.int64]
    """(n_clips,), index into `classes`; −1 if unlabelled."""
    clips: pd.DataFrame
    """One row per clip: clip_id, filename, scene, device, city, location, segment, augmentation (`none` if recorded).
    """
    classes: tuple[str, ...]
    reader: ReaderSpec
    spec: FeatureSpec = field(default_factory=FeatureSpec)
    """The stored feature."""
    statistics: BandStatistics | None = None
    """Statistics of the training clips; None unless the reader standardizes."""

    def take(self, indices: Indices) -> FeatureSet:
        """Return a new set with the clips at `indices`."""
        rows = self.clips.iloc[indices].reset_index(drop=True)
        return replace(self, log_mel=self.log_mel[indices], labels=self.labels[indices], clips=rows)


def read_split(
    shards: Location, split: str, *, fold: int, reader: ReaderSpec, statistics: BandStatistics | None = None
) -> FeatureSet:
    """Return the clips of one split of one fold; arguments and errors as `read_splits`."""
    return read_splits(shards, (split,), fold=fold, reader=reader, statistics=statistics)


def read_splits(
    shards: Location,
    splits: Sequence[str],
    *,
    fold: int,
    reader: ReaderSpec,
    statistics: BandStatistics | None = None,
) -> FeatureSet:
    """Return the clips of one or more splits of a fold, in the order of the data set's lists.

    Args:
        shards: folder or URI of the shards.
        splits: names of the splits. Training for a final submission reads train and validation; with train, clips of
            held-out devices are left out of all splits.
        fold: number of the fold.
        reader: how the clips become network input.
        statistics: statistics for a reader that standardizes. None fits them to the clips that are read if these
            include the training split, else to the training split of the fold.

    Raises:
        DataError: if the fold or a split is unknown or empty, or a shard is missing or damaged.
    """
    manifest = read_manifest(shards)
    chosen = [clip_id for split in splits for clip_id in _chosen(manifest, split, fold, shards)]
    clips, log_mel = _read_clips(shards, manifest, chosen)
    if len(clips) != len(chosen) or set(clips["clip_id"]) != set(chosen):
        raise DataError(
            f"{shards}: the manifest has {len(chosen):,} clips in {' and '.join(splits)} of fold {fold}, the shards "
            f"{len(set(chosen) & set(clips['clip_id'])):,} of them, in {len(clips):,} rows. Empty the folder and rerun "
            "`asc prepare`."
        )
    if "train" in splits:  # all splits read with train are trained on: leave out held-out devices
        kept = ~clips["device"].isin(manifest.validation.holdout_devices).to_numpy()
        if not kept.all():
            clips, log_mel = clips[kept].reset_index(drop=True), log_mel[kept]
    _require_known_scenes(clips, splits, manifest, shards)
    numbers = {scene: i for i, scene in enumerate(manifest.classes)}
    labels = np.array([numbers.get(scene, -1) for scene in clips["scene"]], dtype=np.int64)
    if reader.scaling != "standardize":
        statistics = None
    elif statistics is None:
        statistics = fit_statistics(log_mel) if "train" in splits else training_statistics(shards, fold=fold)
    return FeatureSet(log_mel, labels, clips, manifest.classes, reader, manifest.spec, statistics)


def _read_clips(
    shards: Location, manifest: Manifest, chosen: Sequence[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.float16]]:
    """Return rows and log-mels, shape (n_clips, n_mels, n_frames), of all clips in the shards that are `chosen`.

    Raises:
        DataError: if the shards are too small for the clips, or one is missing or damaged.
    """
    store = open_store(shards)
    n_bytes = 2 * len(chosen) * manifest.spec.n_mels * manifest.spec.n_frames
    n_stored = sum(entry.n_bytes for entry in manifest.shards)
    if n_bytes > n_stored:
        raise DataError(
            f"{shards}: {len(chosen):,} clips of {manifest.spec.n_mels} × {manifest.spec.n_frames} take {n_bytes:,} "
            f"bytes, the shards have {n_stored:,}. {PREPARE_AGAIN}"
        )
    # All clips as float16: 110 kB for 128 × 431, 1.54 GB for the 13,962 clips of TAU 2020's fold.
    log_mel = np.empty((len(chosen), manifest.spec.n_mels, manifest.spec.n_frames), dtype=np.float16)
    tables, n = [], 0
    for entry in manifest.shards:
        table = read_shard(store, entry)
        table = table.filter(pc.is_in(table["clip_id"], pa.array(chosen, pa.string())))
        if table.num_rows:
            tables.append(table.select([*CLIP_COLUMNS, "augmentation"]))
            # Surplus rows are reported by the caller.
            log_mel[n : n + table.num_rows] = log_mels_of(table, manifest.spec, store.path_text(entry.file))[
                : len(log_mel) - n
            ]
            n += table.num_rows
    clips = pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=list(CLIP_COLUMNS))
    return clips, log_mel


def _require_known_scenes(clips: pd.DataFrame, splits: Sequence[str], manifest: Manifest, shards: Location) -> None:
    """Raise DataError if a clip has a scene that is no class, or a clip of training or validation has none."""
    is_wrong = ~clips["scene"].isin(manifest.classes)
    if not {"train", "validation"} & {*splits}:
        is_wrong &= clips["scene"].notna()
    if is_wrong.any():
        clip = clips[is_wrong].iloc[0]
        scene = "no scene" if pd.isna(clip["scene"]) else f"the scene {clip['scene']!r}"
        raise DataError(
            f"{shards}: {clip['clip_id']} has {scene}; the manifest's classes are "
            f"{', '.join(manifest.classes)}. {PREPARE_AGAIN}"
        )


def training_statistics(shards: Location, *, fold: int) -> BandStatistics:
    """Return the statistics of a fold's training split only, augmented copies included.

    Raises:
        DataError: as `read_split`.
    """
    return fit_statistics(read_split(shards, "train", fold=fold, reader=ReaderSpec(scaling="none")).log_mel)


def _chosen(manifest: Manifest, split: str, fold: int, shards: Location) -> list[str]:
    if fold not in manifest.folds:
        raise DataError(f"{shards}: no fold {fold}; folds: {', '.join(map(str, manifest.folds))}.")
    if split not in SPLITS:
        raise DataError(f"{shards}: no split {split!r}; splits: {', '.join(SPLITS)}.")
    chosen = [clip_id for clip_id, name in manifest.folds[fold].items() if name == split]
    if not chosen:
        raise DataError(
            f"{shards}: fold {fold} has no clips in {split}; it has "
            f"{', '.join(f'{n:,} in {name}' for name, n in manifest.counts[fold].items()) or 'none'}."
        )
    return chosen


def extract_files(
    files: Sequence[Path],
    spec: FeatureSpec,
    reader: ReaderSpec,
    classes: tuple[str, ...],
    statistics: BandStatistics | None = None,
) -> FeatureSet:
    """Return the unlabelled features of audio files, as `asc prepare` would store them.

    Args:
        files: audio files.
        spec: the stored feature.
        reader: how it becomes network input.
        classes: scenes in the order of the network's outputs.
        statistics: statistics of the training clips, for a reader that standardizes.

    Raises:
        DataError: if `files` is empty or a file can't be read.
    """
    if not files:
        raise DataError("no audio files were given. Name at least one.")
    log_mels = []
    for path in files:
        result = extract(path, spec)
        if result.log_mel is None:
            raise DataError(f"{path}: {result.reason}")
        log_mels.append(result.log_mel)
    ids = [file_clip_id(path.name) for path in files]
    clips = _unlisted_clips(ids, [str(path) for path in files])
    return FeatureSet(np.stack(log_mels), _unlabelled(len(clips)), clips, classes, reader, spec, statistics)


def _unlisted_clips(ids: Sequence[str], filenames: Sequence[str]) -> pd.DataFrame:
    """Return the rows of clips that no data set describes."""
    clips = pd.DataFrame({name: pd.Series([None] * len(ids), dtype="object") for name in CLIP_COLUMNS})
    return clips.assign(clip_id=ids, filename=filenames, device="a", augmentation=RECORDED)


def _unlabelled(n_clips: int) -> npt.NDArray[np.int64]:
    return np.full(n_clips, -1, dtype=np.int64)
