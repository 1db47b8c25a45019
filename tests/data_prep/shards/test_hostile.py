"""Shards and manifests from strangers: their checksums agree, and what they hold is refused all the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_prep_support import SMALL, scene_rows, write_audio, write_lists

from data_prep.config import PrepareConfig, ReaderSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import read_manifest
from data_prep.shards.summary import summarize


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    write_lists(root / "corpus", rows := scene_rows())
    write_audio(root / "corpus", rows)
    prepare(root / "corpus", root / "shards", PrepareConfig(features=SMALL, clips_per_shard=5))
    return root / "shards"


@pytest.fixture
def shards(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "shards"))


def edited(shards: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = shards / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def forged(shards: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace every shard by a changed one, with its checksum and size in the manifest."""

    def enter(manifest: dict[str, Any]) -> None:
        for entry in manifest["shards"]:
            path = shards / entry["file"]
            pq.write_table(change(pq.read_table(path)), path, compression="none", use_dictionary=False)
            data = path.read_bytes()
            entry |= {"sha256": hashlib.sha256(data).hexdigest(), "n_bytes": len(data)}

    edited(shards, enter)


def replaced(name: str, values: Callable[[list[Any]], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(
        table.column_names.index(name), name, pa.array(values(table[name].to_pylist()))
    )


def readers(shards: Path) -> tuple[Callable[[], Any], ...]:
    return (
        lambda: summarize(shards),
        lambda: read_split(shards, "train", fold=1, reader=ReaderSpec()),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.drop_columns(["log_mel"]), "one column log_mel"),
        (lambda table: table.append_column("scene", table["scene"]), "Parquet: Multiple matches"),
        (lambda table: table.slice(1), "rows, the manifest says"),
        (replaced("n_mels", lambda column: [float(n) for n in column]), "column n_mels must be int32, is double"),
        (replaced("log_mel", lambda column: [x.hex() for x in column]), "column log_mel must be binary, is string"),
        (replaced("log_mel", lambda column: [None, *column[1:]]), "column log_mel has 1 empty rows"),
        (replaced("log_mel", lambda column: [x[:-2] for x in column]), "the manifest says"),
        (replaced("log_mel", lambda column: [x + b"12" for x in column]), "the manifest says"),
        (lambda table: pa.table({"x": [1] * table.num_rows}), "one column clip_id"),
    ],
)
def test_a_shard_of_another_schema_is_refused(shards: Path, change: Callable[[pa.Table], pa.Table], told: str) -> None:
    """Columns missing, doubled, of another type, empty or of another length: every reader names shard and column."""
    forged(shards, change)
    for read in readers(shards):
        with pytest.raises(DataError, match=rf"shards.*: .*({told}|clips of .* take).*Rerun `asc prepare`"):
            read()


def test_a_shard_that_is_no_parquet_is_refused(shards: Path) -> None:
    """Random bytes with the right checksum."""
    data = os.urandom(2000)

    def enter(manifest: dict[str, Any]) -> None:
        for entry in manifest["shards"]:
            (shards / entry["file"]).write_bytes(data)
            entry["sha256"] = hashlib.sha256(data).hexdigest()

    edited(shards, enter)
    for read in readers(shards):
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            read()


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../x.parquet", "a/../../b.parquet", ".hidden.parquet", "x\0.parquet", ""]
)
def test_a_manifest_names_plain_files_in_its_folder(shards: Path, name: str) -> None:
    """A name that is absolute, climbs out, or is no shard's is refused before it is opened."""
    edited(shards, lambda manifest: manifest["shards"][0].update(file=name))
    with pytest.raises(DataError, match=r"damaged at shards\.0\.file"):
        read_manifest(shards)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_a_shard_that_is_no_regular_file_is_refused(shards: Path, make: Callable[[Path], Any]) -> None:
    """A pipe, a device behind a link, a folder: refused instead of read without end."""
    path = shards / "shard-00000.parquet"
    path.unlink()
    make(path)
    for read in readers(shards):
        with pytest.raises(DataError, match=r"shard-00000\.parquet: must be a regular file"):
            read()


def test_a_flipped_shard_is_found_by_inspecting(shards: Path) -> None:
    """One byte of one shard: the summary names it."""
    path = shards / "shard-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00001\.parquet: .*checksum differs"):
        summarize(shards)


def test_a_clip_that_no_shard_holds_is_named(shards: Path) -> None:
    """Listed in the manifest alone, in place of another or beside the others."""
    clip = next(clip for clip, split in read_manifest(shards).folds[1].items() if split == "train")
    for change in (
        lambda folds: folds.update({"ghost": "train"}),
        lambda folds: folds.pop(clip),
    ):
        edited(shards, lambda manifest, change=change: change(manifest["folds"]["1"]))
        with pytest.raises(DataError, match="lists 1 clips that are in no shard, such as ghost"):
            summarize(shards)
        with pytest.raises(DataError, match=r"the manifest has .* clips in train"):
            read_split(shards, "train", fold=1, reader=ReaderSpec())


def test_a_training_clip_of_an_unknown_scene_is_refused(shards: Path) -> None:
    """A scene that is no class, or none at all, never becomes a label of its own."""
    for scene, told in (("moon", "the scene 'moon'"), (None, "no scene")):
        forged(shards, replaced("scene", lambda column, scene=scene: pa.array([scene, *column[1:]], pa.string())))
        with pytest.raises(DataError, match=rf"has {told}; the manifest's classes are bus, park"):
            read_split(shards, "train", fold=1, reader=ReaderSpec())


def test_a_huge_declared_size_is_refused_before_memory_is_taken(shards: Path) -> None:
    """A feature of a million bands, with its hash: refused by the size of the shards."""

    def enlarge(manifest: dict[str, Any]) -> None:
        spec = read_manifest(shards).spec.model_copy(update={"n_mels": 1_000_000})
        manifest |= {"spec": spec.model_dump(mode="json"), "spec_hash": spec.hash()}

    edited(shards, enlarge)
    with pytest.raises(DataError, match=r"(1000000|damaged|take [\d,]+ bytes)"):
        read_split(shards, "train", fold=1, reader=ReaderSpec())


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format_version": ' + "9" * 5000 + "}"])
def test_a_manifest_of_absurd_json_is_refused(shards: Path, text: str) -> None:
    """Nested without end, a number of thousands of digits: one sentence."""
    (shards / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_manifest(shards)
