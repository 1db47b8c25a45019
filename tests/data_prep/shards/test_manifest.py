"""The manifest: what it identifies and what it refuses."""

import json
from pathlib import Path

import pytest

from data_prep.config import FeatureSpec, ReaderSpec, ValidationSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import FORMAT_VERSION, Manifest, ShardEntry, read_manifest, write_manifest
from data_prep.shards.summary import summarize
from data_prep.store.store import LocalStore


def manifest(**changes) -> Manifest:
    spec = FeatureSpec()
    base = Manifest(
        format_version=FORMAT_VERSION,
        name="made",
        spec=spec,
        spec_hash=spec.hash(),
        validation=ValidationSpec(),
        classes=("bus", "park"),
        copies=(),
        offline=None,
        n_clips=3,
        bytes_per_clip=100,
        n_unlisted=0,
        counts={1: {"train": 2, "validation": 1}},
        folds={1: {"x": "train", "y": "train", "z": "validation"}},
        sources={},
        locations={"x": "here", "y": "here", "z": "there"},
        shards=(ShardEntry(file="shard-00000.parquet", rows=3, n_bytes=300, sha256="0" * 64),),
        missing=(),
        quarantine=(),
        silent=(),
        warnings=(),
    )
    return base.updated(**changes)


def test_what_is_written_is_read(tmp_path):
    """Writing and reading gives the same manifest with the same hash; folds are numbers again."""
    write_manifest(LocalStore(tmp_path), manifest())
    assert read_manifest(tmp_path) == manifest()
    assert read_manifest(tmp_path).hash() == manifest().hash()


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "other"}, True),
        ({"warnings": ("odd",)}, True),
        ({"spec": FeatureSpec(n_mels=64)}, False),
        ({"classes": ("park", "bus")}, False),
        ({"folds": {1: {"x": "train", "y": "train", "z": "test"}}}, False),
        ({"shards": (ShardEntry(file="shard-00000.parquet", rows=3, n_bytes=300, sha256="1" * 64),)}, False),
    ],
)
def test_the_hash_identifies_the_data_alone(changes, same):
    """Spec, class order, folds and the shards' bytes change the hash; the data set's name and remarks do not."""
    assert (manifest(**changes).hash() == manifest().hash()) is same


def test_a_location_on_both_sides_is_refused(tmp_path):
    """Neither written nor read: a location in training and validation is named, with its fold."""
    leaky = manifest(locations={"x": "here", "y": "there", "z": "there"})
    with pytest.raises(DataError, match="fold 1 has clips of location there in both training and validation"):
        write_manifest(LocalStore(tmp_path), leaky)
    assert not (tmp_path / "manifest.json").exists()
    (tmp_path / "manifest.json").write_text(leaky.model_dump_json())
    with pytest.raises(DataError, match="fold 1 has clips of location there"):
        read_manifest(tmp_path)


def test_unfinished_foreign_and_damaged_folders_are_told_apart(tmp_path):
    """No manifest, another format version, a missing key, an edited spec, no JSON: each with its way out."""
    path: Path = tmp_path / "manifest.json"
    with pytest.raises(DataError, match="the folder was not prepared"):
        read_manifest(tmp_path)
    whole = manifest().model_dump(mode="json")
    path.write_text(json.dumps({**whole, "format_version": 99}))
    with pytest.raises(DataError, match=rf"has format version 99, this program reads {FORMAT_VERSION}"):
        read_manifest(tmp_path)
    path.write_text(json.dumps([1]))
    with pytest.raises(DataError, match="has format version None"):
        read_manifest(tmp_path)
    path.write_text(json.dumps({**whole, "folds": {"1": {"x": "training"}}}))
    with pytest.raises(DataError, match=r"damaged at folds\.1\.x"):
        read_manifest(tmp_path)
    path.write_text(json.dumps({**whole, "spec": {**whole["spec"], "n_mels": 64}}))
    with pytest.raises(DataError, match="spec and spec_hash disagree"):
        read_manifest(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_manifest(tmp_path)


def test_a_copy_outside_its_sources_training_is_refused(tmp_path):
    """Neither written nor read: an augmented copy in validation, or one whose source is a test clip in that fold."""
    sources = {"x+mix": ("x", "y")}
    good = manifest(folds={1: {"x": "train", "y": "train", "z": "validation", "x+mix": "train"}}, sources=sources)
    write_manifest(LocalStore(tmp_path), good)
    for folds in (
        {1: {"x": "train", "y": "train", "x+mix": "validation"}},
        {1: {"x": "train", "y": "test", "x+mix": "train"}},
        {1: {"x": "train", "x+mix": "train"}},
    ):
        with pytest.raises(DataError, match=r"fold 1 has the augmented copy x\+mix in (train|validation), made from x"):
            write_manifest(LocalStore(tmp_path), good.updated(folds=folds))
        path = tmp_path / "manifest.json"
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "folds": folds}))
        with pytest.raises(DataError, match="must be training clips"):
            read_manifest(tmp_path)
        write_manifest(LocalStore(tmp_path), good)


def test_a_manifest_that_was_tampered_with_is_refused_by_every_reader(make_corpus, small_config, tmp_path):
    """A validation clip moved into training on disk: the reader, the summary and the search's way in all refuse."""
    shards = tmp_path / "shards"
    prepare(make_corpus(), shards, small_config)
    path = shards / "manifest.json"
    data = json.loads(path.read_text())
    moved = next(clip_id for clip_id, split in data["folds"]["1"].items() if split == "validation")
    data["folds"]["1"][moved] = "train"
    path.write_text(json.dumps(data))
    message = r"fold 1 has clips of location .* in both training and validation"
    for read in (
        lambda: read_manifest(shards),
        lambda: summarize(shards),
        lambda: read_split(shards, "test", fold=1, reader=ReaderSpec()),
    ):
        with pytest.raises(DataError, match=message):
            read()
