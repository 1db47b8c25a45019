"""Shards in a local folder and in an object store: the same bytes through the same operations."""

import io
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.config import ReaderSpec
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import read_manifest
from data_prep.shards.summary import summarize
from data_prep.store.object_stores import bucket_region, connected
from data_prep.store.store import location_inside, open_store, parse_location


@pytest.mark.system
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


@pytest.mark.system
def test_an_endpoint_may_stand_in_the_uri(s3, make_corpus, small_config):
    """`endpoint_override` in the URI's query reaches the store without an environment variable."""
    os.environ.pop("AWS_ENDPOINT_URL")
    try:
        place = f"s3://sets/other?endpoint_override={s3.replace('http://', '')}&scheme=http"
        prepare(make_corpus(), place, small_config)
        assert read_manifest(place).n_clips == 24
        assert open_store(place).path_text("manifest.json") == "s3://sets/other/manifest.json"
    finally:
        os.environ["AWS_ENDPOINT_URL"] = s3


@pytest.mark.system
def test_a_bucket_that_is_not_there_is_told(s3, make_corpus, small_config):
    """A missing bucket is an expected failure with the URI and the way out, for reading and for writing."""
    with pytest.raises(DataError, match=r"s3://nowhere/x.*Check the URI"):
        prepare(make_corpus(), "s3://nowhere/x", small_config)
    with pytest.raises(DataError, match=r"s3://nowhere/x/manifest\.json: "):
        read_manifest("s3://nowhere/x")


def test_places_are_paths_or_known_uris():
    """A path stays a path, file:// becomes one, s3:// and gs:// stay URIs; another scheme is refused."""
    assert parse_location("a/b") == Path("a/b")
    assert parse_location("file:///a/b") == Path("/a/b")
    assert parse_location("s3://bucket/x") == "s3://bucket/x"
    with pytest.raises(
        DataError, match=r"ftp://host/x: unknown scheme ftp://. Give a local folder or a URI with s3://, gs://"
    ):
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


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.system)])
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


@pytest.mark.system
def test_signs_of_folders_are_no_files(s3):
    """Empty objects that other clients leave for folders are not listed, at the place itself and below it."""
    for key in ("signs/", "signs/below/"):
        urllib.request.urlopen(urllib.request.Request(f"{s3}/sets/{key}", method="PUT", data=b""), timeout=5).close()
    store = open_store("s3://sets/signs")
    assert store.names() == []
    store.write("below/file", b"x")
    assert store.names() == ["below/file"]


@pytest.mark.system
def test_a_part_of_an_object_can_be_read(s3):
    """An opened object is read from any place in it, and columns of a table are read through it."""
    store = open_store("s3://sets/parts")
    with io.BytesIO() as buffer:
        pq.write_table(pa.table({"a": range(1000), "b": [b"x" * 5000] * 1000}), buffer, compression="none")
        content = buffer.getvalue()
    store.write("table.parquet", content)
    assert store.read("table.parquet") == content
    with store.open("table.parquet") as file:
        file.seek(-4, io.SEEK_END)
        assert file.tell() == len(content) - 4
        assert file.read() == b"PAR1"
        file.seek(0)
        assert file.read(6) + file.read() == content
        assert pq.read_table(file, columns=["a"])["a"].to_pylist() == list(range(1000))
    with pytest.raises(FileNotFoundError):
        store.open("nothing")
    with store.open("table.parquet") as file:
        store.remove("table.parquet")
        with pytest.raises(DataError, match=r"s3://sets/parts/table\.parquet: cannot be read: .*404 Not Found\. Check"):
            file.read(1)


@pytest.mark.system
def test_keys_may_stand_in_a_profile(s3, tmp_path, monkeypatch):
    """Without keys in the environment those of the user's AWS_PROFILE are taken."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = tests\naws_secret_access_key = a%b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert connected("s3://sets/x").config["secret_access_key"] == "a%b"
    store = open_store("s3://sets/profile")
    store.write("a", b"x")
    assert store.names() == ["a"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEY:HUSH@sets/x",
        "s3://HUSH@sets/x?region=r",
        "gs://someone:HUSH@sets/x",
        "s3://sets/x?secret_key=HUSH",
        "s3://sets/x?region=r&aws_secret_access_key=HUSH&access_key_id=k",
        "s3://sets/x?session_token=HUSH",
        "gs://sets/x?google_service_account=HUSH",
        "s3://sets/x?endpoint_override=http://me:HUSH@host:9000",
        "https://me:HUSH@sets/x",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri):
    """Wherever they stand, by every way in; the message names the option and the variables, never the secret."""
    for read in (parse_location, open_store):
        with pytest.raises(DataError, match=r"contains credentials .*AWS_SECRET_ACCESS_KEY") as error:
            read(uri)
        assert "HUSH" not in str(error.value)


def test_options_of_a_uri_reach_the_client():
    """What worked with pyarrow's names works: endpoint, scheme and region of S3, endpoint and anonymity of Google's."""
    s3 = connected("s3://sets/x?endpoint_override=host:9000&scheme=http&region=eu-west-1&allow_bucket_creation=true")
    assert s3.config["endpoint"] == "http://host:9000"
    assert s3.config["region"] == "eu-west-1"
    assert s3.prefix == "x"
    gs = connected("gs://anonymous@sets/x?endpoint_override=host:9000&scheme=http&retry_limit_seconds=5")
    assert gs.config["base_url"] == "http://host:9000"
    assert str(gs.config["skip_signature"]).lower() == "true"
    for wrong in ("s3:///x?region=r", "s3://sets/x?region=r&nonsense=1", "gs://sets/x?retry_limit_seconds=soon"):
        with pytest.raises(DataError, match=r"Expected s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"):
            open_store(wrong)


@pytest.mark.system
def test_a_bucket_tells_its_region(s3):
    """The region comes from the bucket's own answer; a bucket that isn't there, or no answer at all, tells none."""
    assert bucket_region(f"{s3}/sets") == "us-east-1"
    assert bucket_region(f"{s3}/not-there") is None
    assert bucket_region("http://127.0.0.1:9/sets") is None


def test_a_folder_inside_a_place():
    """A folder below a place keeps a URI's query at its end."""
    assert location_inside(Path("a"), "b") == Path("a/b")
    assert location_inside("s3://c/d/?region=x", "b") == "s3://c/d/b?region=x"
