"""Users without a home, as in containers: the libraries' caches get another place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from data_prep.home import CACHES, home_folder, is_writable, provide_caches


@pytest.fixture
def unset(monkeypatch, tmp_path):
    """No cache folder is named; temporary files go to the test's own folder."""
    for name in CACHES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/below", "relative"])
def test_without_a_home_the_caches_get_a_private_folder(unset, tmp_path, home):
    """One folder for all processes of the user, that nobody else can write to; what the user has set is kept."""
    unset.setenv("HOME", home)
    unset.setenv("KERAS_HOME", "/mine")
    provide_caches()
    folders = {name: os.environ[name] for name in CACHES}
    assert folders.pop("KERAS_HOME") == "/mine"
    (folder,) = {Path(path).parent for path in folders.values()}
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    provide_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == folders["NUMBA_CACHE_DIR"]


def test_a_folder_of_somebody_else_is_not_used(unset, tmp_path):
    """numba loads code from its cache: a folder that others may write to is passed over."""
    (tmp_path / f"asc-caches-{os.getuid()}").mkdir()
    (tmp_path / f"asc-caches-{os.getuid()}").chmod(0o777)
    unset.setenv("HOME", "/dev/null")
    provide_caches()
    folder = Path(os.environ["NUMBA_CACHE_DIR"]).parent
    assert folder.parent == tmp_path
    assert folder.name != f"asc-caches-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_home_that_can_be_written_is_left_to_the_libraries(unset, tmp_path):
    """Nothing is set, and nothing is created."""
    unset.setenv("HOME", str(tmp_path))
    provide_caches()
    assert not [name for name in CACHES if name in os.environ]
    assert not list(tmp_path.iterdir())
    assert home_folder() == tmp_path
    assert is_writable(tmp_path / "not" / "yet" / "there")
