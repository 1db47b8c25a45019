"""Parquet shards: one row per clip, the log-mel as float16 bytes; beside each a note of what it was made from."""

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
from data_prep.corpus import Clip
from data_prep.errors import DataError
from data_prep.files import written_whole
from data_prep.manifest import PREPARE_AGAIN, ShardEntry

LogMels = npt.NDArray[np.float16]

CLIP_COLUMNS = ("clip_id", "filename", "scene", "device", "city", "location", "segment")

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


@dataclass(frozen=True)
class Place:
    """Where a clip belongs in the lowest fold that uses it: the shard's own columns; the manifest has every fold."""

    fold: int | None
    split: str | None


def shard_name(index: int) -> str:
    """Return the file name of shard `index`."""
    return f"shard-{index:05d}.parquet"


def write_shard(path: Path, clips: Sequence[Clip], places: Mapping[str, Place], log_mels: Sequence[LogMels]) -> str:
    """Write the clips with their log-mels (n_mels, n_frames) float16; return the SHA-256 of the file's bytes."""
    columns = {name: [getattr(clip, name) for clip in clips] for name in CLIP_COLUMNS}
    columns["split"] = [places[clip.clip_id].split for clip in clips]
    columns["fold"] = [places[clip.clip_id].fold for clip in clips]
    columns["augmentation"] = ["none"] * len(clips)
    columns["source_clip_id"] = [clip.clip_id for clip in clips]
    columns["n_mels"] = [x.shape[0] for x in log_mels]
    columns["n_frames"] = [x.shape[1] for x in log_mels]
    columns["log_mel"] = [np.ascontiguousarray(x, dtype="<f2").tobytes() for x in log_mels]
    sink = pa.BufferOutputStream()
    # Log-mels hardly compress, and plain pages are read twice as fast as dictionary-coded ones.
    pq.write_table(pa.table(columns, schema=SCHEMA), sink, compression="none", use_dictionary=False)
    data = sink.getvalue()
    with written_whole(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_shard(folder: Path, entry: ShardEntry) -> pa.Table:
    """Return the rows of a shard, after its checksum was verified.

    Raises:
        DataError: if the shard is missing or its bytes are not those that were written.
    """
    path = folder / entry.file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the manifest lists this shard, but it is missing. {PREPARE_AGAIN}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DataError(f"{path}: its bytes are not those that were written (checksum differs). {PREPARE_AGAIN}")
    return pq.read_table(pa.BufferReader(data))


def log_mels_of(table: pa.Table, spec: FeatureSpec, source: str) -> LogMels:
    """Return the log-mels (n_rows, n_mels, n_frames) of a shard's rows.

    Raises:
        DataError: if a row has another shape than `spec` gives.
    """
    shape = (spec.n_mels, spec.n_frames)
    out = np.empty((table.num_rows, *shape), dtype=np.float16)
    rows = zip(table["n_mels"].to_pylist(), table["n_frames"].to_pylist(), table["log_mel"], strict=True)
    for i, (n_mels, n_frames, stored) in enumerate(rows):
        if (n_mels, n_frames) != shape:
            clip_id = table["clip_id"][i].as_py()
            raise DataError(f"{source}: {clip_id} is {n_mels} × {n_frames}, the manifest says {shape}. {PREPARE_AGAIN}")
        out[i] = np.frombuffer(stored.as_buffer(), dtype="<f2").reshape(shape)
    return out
