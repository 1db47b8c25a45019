import os
import subprocess
import sys

import pytest

from data_prep.files.scratch import scratch_folder

HOLD = """
import sys
from data_prep.files.scratch import scratch_folder
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
