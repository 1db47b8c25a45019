"""Shards in a local folder and in an object store: the same bytes through the same operations."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_support import s3_server

from data_prep.config import ReaderSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import read_manifest
from data_prep.shards.summary import summarize
from data_prep.store import location_inside, open_store, parse_location


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The address of an S3-compatible server of this machine, with one bucket, for the time of this module."""
    pytest.importorskip("moto", reason="the S3 server of the tests needs moto[server]")
    with s3_server(tmp_path_factory.mktemp("moto")) as address:
        yield address


def test_shards_in_an_object_store_are_those_of_a_folder(s3, make_corpus, small_config, tmp_path):
    """Prepared into s3://, read back, taken up again and mended there: the same bytes as in a local folder."""
    root = make_corpus()
    config = small_config.updated(augmentations=("mix",))
    local, there = tmp_path / "shards", "s3://sets/tau/shards"
    prepare(root, local, config)
    done = prepare(root, there, config)
    assert done.manifest == read_manifest(there) == read_manifest(local)
    names = [name for name in open_store(local).names() if not name.startswith(".")]
    assert [name for name in open_store(there).names() if not name.startswith(".")] == names
    for name in names:
        assert open_store(there).read(name) == (local / name).read_bytes()
    one, other = (read_split(place, "train", fold=1, reader=ReaderSpec()) for place in (there, local))
    assert one.clips.equals(other.clips)
    assert (one.log_mel == other.log_mel).all()
    assert summarize(there) == {**summarize(local)}
    assert prepare(root, there, config).n_computed == 0
    open_store(there).write("shard-00001.parquet", b"damaged")
    with pytest.raises(DataError, match=r"s3://sets/tau/shards/shard-00001.parquet: its bytes are not those"):
        read_split(there, "train", fold=1, reader=ReaderSpec())
    assert prepare(root, there, config).made == {"damaged": 5}
    assert read_split(there, "train", fold=1, reader=ReaderSpec()).n_clips == one.n_clips


def test_an_endpoint_may_stand_in_the_uri(s3, make_corpus, small_config):
    """`endpoint_override` in the URI's query reaches the store without an environment variable."""
    os.environ.pop("AWS_ENDPOINT_URL")
    try:
        place = f"s3://sets/other?endpoint_override={s3.replace('http://', '')}&scheme=http"
        prepare(make_corpus(), place, small_config)
        assert read_manifest(place).n_clips == 24
        assert open_store(place).place("manifest.json") == "s3://sets/other/manifest.json"
    finally:
        os.environ["AWS_ENDPOINT_URL"] = s3


def test_a_bucket_that_is_not_there_is_told(s3, make_corpus, small_config):
    """A missing bucket is an expected failure with the URI and the way out, for reading and for writing."""
    with pytest.raises(DataError, match=r"s3://nowhere/x.*Check the address"):
        prepare(make_corpus(), "s3://nowhere/x", small_config)
    with pytest.raises(DataError, match=r"s3://nowhere/x/manifest\.json: "):
        read_manifest("s3://nowhere/x")


def test_places_are_paths_or_known_uris():
    """A path stays a path, file:// becomes one, s3:// and gs:// stay URIs; another scheme is refused."""
    assert parse_location("a/b") == Path("a/b")
    assert parse_location("file:///a/b") == Path("/a/b")
    assert parse_location("s3://bucket/x") == "s3://bucket/x"
    with pytest.raises(DataError, match=r"ftp://host/x: places are local folders or under s3://, gs://"):
        parse_location("ftp://host/x")


def test_a_name_that_is_not_there_is_not_found(tmp_path):
    """Reading what isn't there says so in the built-in way; removing it is nothing."""
    store = open_store(tmp_path)
    with pytest.raises(FileNotFoundError):
        store.read("a")
    store.remove("a")
    store.write("b/c", b"x")
    assert store.names() == ["b/c"]
    assert store.read("b/c") == b"x"


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_several_that_create_one_name_one_does(kind, request, tmp_path):
    """A name is created once: of eight at a time one is told so and its bytes are there; later ones are refused."""
    location = (
        tmp_path / "there"
        if kind == "folder"
        else f"s3://sets/create?endpoint_override={request.getfixturevalue('s3')}"
    )
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda i: open_store(location).create("a/lock", f"{i}".encode()), range(8)))
    assert sum(told) == 1
    store = open_store(location)
    assert store.read("a/lock") == str(told.index(True)).encode()
    assert not store.create("a/lock", b"late")
    assert store.names() == ["a/lock"]
    store.remove("a/lock")
    assert store.create("a/lock", b"anew")


def test_a_folder_inside_a_place():
    """A folder below a place keeps a URI's query at its end."""
    assert location_inside(Path("a"), "b") == Path("a/b")
    assert location_inside("s3://c/d/?region=x", "b") == "s3://c/d/b?region=x"
