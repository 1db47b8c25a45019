"""Parquet shards: one row per clip, the log-mel as float16 bytes.

Any Parquet reader opens them (pandas, DuckDB, pyarrow). Columns:

===============  ========  ============================================================================================
clip_id          string    identifies the row; for a copy, the source's id, `+` and the augmentation
filename         string    name of the recording in the data set's lists
scene            string    label; null if unlabelled
device           string    recording device; `a` if unknown
city             string    null if unknown
location         string    unique across cities; null if unknown
segment          string    recorded moment, shared by the devices that recorded it; null if unknown
split            string    train, validation, test or evaluation in the lowest fold that uses it; null if none does
fold             int32     that fold; the manifest has all folds
augmentation     string    `none` for a recorded clip, else the augmentation that made the copy
source_clip_id   string    the recorded clip that it was made from
n_mels           int32     mel bands
n_frames         int32     frames
log_mel          binary    float16, little endian, C order, (n_mels, n_frames): natural logarithm, unscaled
===============  ========  ============================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.config import FeatureSpec
from data_prep.copies.rows import ShardRow
from data_prep.errors import DataError
from data_prep.shards.manifest import PREPARE_AGAIN, ShardEntry
from data_prep.store.store import Store

LogMels = npt.NDArray[np.float16]

CLIP_COLUMNS = ("clip_id", "filename", "scene", "device", "city", "location", "segment")
"""Columns that describe a clip; scene, city, location and segment may be null."""

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("filename", pa.string(), nullable=False),
        pa.field("scene", pa.string()),
        pa.field("device", pa.string(), nullable=False),
        pa.field("city", pa.string()),
        pa.field("location", pa.string()),
        pa.field("segment", pa.string()),
        pa.field("split", pa.string()),
        pa.field("fold", pa.int32()),
        pa.field("augmentation", pa.string(), nullable=False),
        pa.field("source_clip_id", pa.string(), nullable=False),
        pa.field("n_mels", pa.int32(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("log_mel", pa.binary(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Columns `fold` and `split` of a clip: its split in the lowest fold that uses it. The manifest has all folds."""

    fold: int | None
    split: str | None


def shard_name(kind: str, index: int) -> str:
    """Return the file name of a shard: `shard-00000.parquet` for recorded clips, `mix-00000.parquet` for copies."""
    return f"{kind}-{index:05d}.parquet"


def write_shard(
    store: Store,
    name: str,
    rows: Sequence[ShardRow],
    assignments: Mapping[str, Assignment],
    log_mels: Sequence[LogMels],
) -> ShardEntry:
    """Write the rows with their log-mels (n_mels, n_frames) float16; return the manifest entry of the file."""
    columns = {column: [getattr(row.clip, column) for row in rows] for column in CLIP_COLUMNS}
    columns["split"] = [assignments[row.clip.clip_id].split for row in rows]
    columns["fold"] = [assignments[row.clip.clip_id].fold for row in rows]
    columns["augmentation"] = [row.augmentation for row in rows]
    columns["source_clip_id"] = [row.source.clip_id for row in rows]
    columns["n_mels"] = [x.shape[0] for x in log_mels]
    columns["n_frames"] = [x.shape[1] for x in log_mels]
    columns["log_mel"] = [np.ascontiguousarray(x, dtype="<f2").tobytes() for x in log_mels]
    sink = pa.BufferOutputStream()
    # Log-mels hardly compress, and plain pages read twice as fast as dictionary-encoded ones.
    pq.write_table(pa.table(columns, schema=SCHEMA), sink, compression="none", use_dictionary=False)
    data = sink.getvalue()
    store.write(name, data)
    return ShardEntry(file=name, rows=len(rows), n_bytes=data.size, sha256=hashlib.sha256(data).hexdigest())


def read_shard(store: Store, entry: ShardEntry) -> pa.Table:
    """Return the rows of a shard.

    Raises:
        DataError: if the file is missing, its checksum differs, or its columns or rows are not those of a shard.
    """
    path = store.path_text(entry.file)
    try:
        data = store.read(entry.file)
    except FileNotFoundError:
        raise DataError(f"{path}: the manifest lists this shard, but it is missing. {PREPARE_AGAIN}") from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DataError(f"{path}: its bytes are not those that were written (checksum differs). {PREPARE_AGAIN}")
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as Parquet: {reason}. {PREPARE_AGAIN}") from None
    if problem := _wrong_table(table, entry):
        raise DataError(f"{path}: {problem}. {PREPARE_AGAIN}")
    return table


def read_clips(folder: Path, entry: ShardEntry) -> pa.Table:
    """Return CLIP_COLUMNS and `augmentation` of a shard, without reading log-mels, so without verifying the checksum.

    Raises:
        DataError: if the file is missing, or its columns are not those of a shard.
    """
    path = folder / entry.file
    try:
        return pq.read_table(path, columns=[*CLIP_COLUMNS, "augmentation"], partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as Parquet: {reason}. {PREPARE_AGAIN}") from None


def _wrong_table(table: pa.Table, entry: ShardEntry) -> str | None:
    """Return what keeps a table from being the shard that the manifest lists; None if nothing does."""
    if table.num_rows != entry.rows:
        return f"has {table.num_rows:,} rows, the manifest says {entry.rows:,}"
    for field in SCHEMA:
        if table.column_names.count(field.name) != 1:
            return f"must have one column {field.name}; has {', '.join(table.column_names)}"
        column = table[field.name]
        if column.type != field.type:
            return f"column {field.name} must be {field.type}, is {column.type}"
        if not field.nullable and column.null_count:
            return f"column {field.name} has {column.null_count:,} empty rows"
    return None


def log_mels_of(table: pa.Table, spec: FeatureSpec, source: str) -> LogMels:
    """Return the log-mels (n_rows, n_mels, n_frames) of a shard.

    Raises:
        DataError: if the shape or the number of bytes of a row does not match `spec`.
    """
    shape = (spec.n_mels, spec.n_frames)
    out = np.empty((table.num_rows, *shape), dtype=np.float16)
    rows = zip(table["n_mels"].to_pylist(), table["n_frames"].to_pylist(), table["log_mel"], strict=True)
    for i, (n_mels, n_frames, stored) in enumerate(rows):
        data = stored.as_buffer()
        if (n_mels, n_frames) != shape or data.size != out[i].nbytes:
            clip_id = table["clip_id"][i].as_py()
            raise DataError(
                f"{source}: {clip_id} is {n_mels} × {n_frames} in {data.size:,} bytes, the manifest says {shape}, "
                f"which takes {out[i].nbytes:,}. {PREPARE_AGAIN}"
            )
        out[i] = np.frombuffer(data, dtype="<f2").reshape(shape)
    return out
