import os
import subprocess
import sys

import pytest

from search.cluster.scratch import scratch_folder
from search.cluster.session import ray_parent

HOLD = """
import sys
from search.cluster.scratch import scratch_folder
with scratch_folder("asc-try-") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    """Keep to a folder of the test's own, whatever others hold in the system's."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def hold():
    """Start a process that keeps a folder until it is ended, and return it with the folder's path."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return holder, holder.stdout.readline().strip()


def make_old(folder):
    """Make a folder look as if its last change were long ago."""
    os.utime(folder, (0, 0))


def test_it_is_gone_afterwards_whatever_happens(tmp_path):
    """The folder is there inside, and gone with its files after an error."""

    def fail():
        with scratch_folder("asc-try-") as folder:
            (folder / "file").write_text("x")
            (folder / "missing").read_text()

    with pytest.raises(FileNotFoundError, match="missing"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    """A killed process' folder stays; the next process removes it. A living one's stays, however old it looks."""
    killed, left = hold()
    killed.kill()
    killed.communicate()
    living, used = hold()
    for folder in (left, used):
        make_old(folder)
    (tmp_path / "asc-try-file").write_text("no folder")
    with scratch_folder("asc-try-"):
        assert not os.path.exists(left)  # noqa: PTH110
        assert os.path.exists(used)  # noqa: PTH110
    living.communicate("")
    assert [path.name for path in tmp_path.iterdir()] == ["asc-try-file"]


@pytest.mark.system
def test_a_folder_just_made_is_left_alone():
    """Between making a folder and locking it no other process takes it away."""
    killed, left = hold()
    killed.kill()
    killed.communicate()
    with scratch_folder("asc-try-"):
        assert os.path.exists(left)  # noqa: PTH110


def test_ray_goes_where_its_sockets_have_short_paths(tmp_path, monkeypatch):
    """With a temporary folder of a long name Ray's own goes elsewhere: the path of a socket has 107 characters."""
    deep = tmp_path / "a-batch-system-s-own-folder"
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with scratch_folder("asc-ray-", ray_parent()) as folder:
        assert len(str(folder)) + len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store") <= 107
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert ray_parent() is None
