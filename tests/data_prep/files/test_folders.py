"""Folders that are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from data_prep.errors import AscError, DataError
from data_prep.files.folders import require_new, write_folder


def test_files_and_folders_are_written(tmp_path):
    """Also into a folder that is there and empty, and below parents that are not there; nothing else is left."""
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b"):
        write_folder(out, {"x": b"1", "c/y": b"2"})
        assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {"x", "c", "c/y"}
        assert (out / "c/y").read_bytes() == b"2"
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "a"}


def test_what_is_there_is_kept(tmp_path):
    """A folder with entries, a file and a dangling link are refused by name, and stay as they are."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(DataError, match=f"{name}: .* need a new or empty folder"):
            require_new(tmp_path / name)
        with pytest.raises(DataError):
            write_folder(tmp_path / name, {"x": b"1"})
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """The user's message names the folder."""
    tmp_path.chmod(0o500)
    with pytest.raises(AscError, match="out: cannot be written"):
        write_folder(tmp_path / "out", {"x": b"1"})


def test_a_failure_leaves_nothing(tmp_path):
    """A name that cannot be a file ends the writing, and takes what was written with it."""
    with pytest.raises(AscError, match="out: cannot be written"):
        write_folder(tmp_path / "out", {"x": b"1", "y" * 300: b"2"})
    assert list(tmp_path.iterdir()) == []
