"""Files that are written whole or not at all."""

import json
import os

import pytest

from data_prep.errors import AscError, DataError
from data_prep.files.files import read_json, write_error, write_json, write_text, written_whole
from data_prep.store.store import LocalStore


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    """Inside the block the old file stands; after it the new one, with nothing beside it."""
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_block_leaves_the_old_file(tmp_path):
    """An exception in the block keeps the old file and removes the part that was written."""
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), written_whole(path) as temporary, temporary.open("w", 1, "ascii") as file:
        file.writelines(["half\n", "é"])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_explained(tmp_path):
    """The error of a real full device becomes a message with the file, the space left and the way out."""
    with pytest.raises(OSError, match="No space left") as caught, open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        full.write(b"x")
    message = str(write_error(tmp_path / "file.txt", caught.value))
    assert "file.txt: no space left on the disk" in message
    assert "free some space and rerun the same command" in message


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    """A folder in the file's place gives an expected failure, not a traceback of the system, and nothing beside it."""
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(AscError, match=r"taken\.json: cannot be written: Is a directory"):
        write_json(tmp_path / "taken.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]


def test_json_comes_back_or_the_file_is_named(tmp_path):
    """What was written is read; a missing or broken file is named."""
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]} == json.loads((tmp_path / "a.json").read_text("utf-8"))
    (tmp_path / "b.json").write_text("{")
    for name, message in (("b.json", "cannot be read as JSON"), ("c.json", "no such file")):
        with pytest.raises(DataError, match=rf"{name}: {message}"):
            read_json(tmp_path / name)


@pytest.mark.parametrize(
    "write", [write_text, lambda path, text: LocalStore(path.parent).create(path.name, text.encode())]
)
def test_the_name_of_a_written_file_is_flushed(tmp_path, monkeypatch, write):
    """After the rename or link the folder is flushed, and the parents of a new folder: a power cut loses no name."""
    flushed = []
    fsync = os.fsync

    def record(file):
        flushed.append((os.fstat(file).st_ino, sorted(path.name for path in tmp_path.rglob("*.txt"))))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    path = tmp_path / "new" / "folder" / "a.txt"
    write(path, "text")
    assert (path.parent.stat().st_ino, ["a.txt"]) in flushed
    assert {folder.stat().st_ino for folder in (tmp_path, tmp_path / "new")} <= {inode for inode, _ in flushed}
