"""Shards → features in memory → batches of network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.copies import RECORDED
from data_prep.corpus import file_clip_id
from data_prep.errors import DataError
from data_prep.extract import extract
from data_prep.inputs import to_inputs
from data_prep.manifest import Manifest, read_manifest
from data_prep.shards import CLIP_COLUMNS, log_mels_of, read_shard
from data_prep.splits import SPLITS
from data_prep.store import Location, open_store

Indices = npt.NDArray[np.integer] | slice


@dataclass(frozen=True)
class FeatureSet:
    """Clips with their stored features in memory, and the reader's view of them."""

    log_mel: npt.NDArray[np.float16]
    """(n_clips, n_mels, n_frames), unscaled."""
    labels: npt.NDArray[np.int64]
    """(n_clips,): index into `classes`, −1 where unlabelled."""
    clips: pd.DataFrame
    """One row per clip: clip_id, filename, scene, device, city, location, segment, augmentation (`none`: as recorded).
    """
    classes: tuple[str, ...]
    reader: ReaderSpec
    spec: FeatureSpec = field(default_factory=FeatureSpec)
    """The stored feature."""

    @property
    def n_clips(self) -> int:
        """Number of clips."""
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(n_mels, n_frames, n_channels) of what `inputs` gives."""
        shape = to_inputs(np.zeros((1, *self.log_mel.shape[1:]), dtype=np.float16), self.reader).shape
        return shape[1], shape[2], shape[3]

    def inputs(self, indices: Indices) -> npt.NDArray[np.float32]:
        """Return the network input (b, n_mels, n_frames, n_channels) of the clips at `indices`, full length."""
        return self.inputs_of(self.log_mel[indices])

    def inputs_of(self, log_mel: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return the network input of log-mels (b, n_mels, n_frames) such as these, augmented ones for instance."""
        return to_inputs(log_mel, self.reader)

    def take(self, indices: Indices) -> FeatureSet:
        """Return the clips at `indices` as a set of their own."""
        rows = self.clips.iloc[indices].reset_index(drop=True)
        return FeatureSet(self.log_mel[indices], self.labels[indices], rows, self.classes, self.reader, self.spec)


def read_split(shards: Location, split: str, *, fold: int, reader: ReaderSpec) -> FeatureSet:
    """Return the clips of one split of one fold, in the order of the data set's lists.

    Raises:
        DataError: if the fold or split is unknown or empty, or a shard is missing or damaged.
    """
    manifest = read_manifest(shards)
    store = open_store(shards)
    chosen = _chosen(manifest, split, fold, shards)
    tables, parts = [], []
    for entry in manifest.shards:
        table = read_shard(store, entry)
        table = table.filter(pc.is_in(table["clip_id"], pa.array(chosen, pa.string())))
        if table.num_rows:
            tables.append(table.select([*CLIP_COLUMNS, "augmentation"]))
            parts.append(log_mels_of(table, manifest.spec, store.place(entry.file)))
    clips = pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=list(CLIP_COLUMNS))
    if len(clips) != len(chosen):
        raise DataError(
            f"{shards}: the manifest has {len(chosen):,} clips in {split} of fold {fold}, the shards {len(clips):,}. "
            "Empty the folder and give `asc prepare` again."
        )
    numbers = {scene: i for i, scene in enumerate(manifest.classes)}
    labels = np.array([numbers.get(scene, -1) for scene in clips["scene"]], dtype=np.int64)
    return FeatureSet(np.concatenate(parts), labels, clips, manifest.classes, reader, manifest.spec)


def _chosen(manifest: Manifest, split: str, fold: int, shards: Location) -> list[str]:
    if fold not in manifest.folds:
        raise DataError(f"{shards}: has no fold {fold}; it has {', '.join(map(str, manifest.folds))}.")
    if split not in SPLITS:
        raise DataError(f"{shards}: there is no split {split!r}; splits are {', '.join(SPLITS)}.")
    chosen = [clip_id for clip_id, name in manifest.folds[fold].items() if name == split]
    if not chosen:
        raise DataError(
            f"{shards}: fold {fold} has no clips in {split}; it has "
            f"{', '.join(f'{n:,} in {name}' for name, n in manifest.counts[fold].items()) or 'none at all'}."
        )
    return chosen


def extract_files(files: Sequence[Path], spec: FeatureSpec, reader: ReaderSpec, classes: tuple[str, ...]) -> FeatureSet:
    """Return the features of single audio files, unlabelled, as `prepare` would store them.

    Raises:
        DataError: if there are none, or one can't be read.
    """
    if not files:
        raise DataError("no audio files were given. Name at least one.")
    log_mels = []
    for path in files:
        result = extract(path, spec)
        if result.log_mel is None:
            raise DataError(f"{path}: {result.reason}")
        log_mels.append(result.log_mel)
    clips = pd.DataFrame({name: pd.Series([None] * len(files), dtype="object") for name in CLIP_COLUMNS})
    clips["clip_id"] = [file_clip_id(path.name) for path in files]
    clips["filename"] = [str(path) for path in files]
    clips["device"] = "a"
    clips["augmentation"] = RECORDED
    return FeatureSet(np.stack(log_mels), np.full(len(files), -1, dtype=np.int64), clips, classes, reader, spec)
