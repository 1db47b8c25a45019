"""Where a Ray of this machine keeps its files: in a short path, closed to other users."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from process_support import ROOT

from data_prep.files.scratch import scratch_folder
from search.cluster.session import CLUSTERS, RAY_FOLDER, ray_parent, ray_session


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started, and those that they have."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found + [grandchild for child in found for grandchild in children(child)]


def listening(pid: int) -> set[str]:
    """Return the addresses, in hexadecimal, on which the processes started by `pid` accept TCP connections."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    address = {f"socket:[{row[9]}]": row[1].partition(":")[0] for row in rows if row[3] == "0A"}
    found = set()
    for child in children(pid):
        for file in Path(f"/proc/{child}/fd").glob("*"):
            with suppress(OSError):
                found.add(address.get(str(file.readlink()), ""))
    return found - {""}


def test_ray_goes_where_its_sockets_have_short_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a temporary folder of a long name Ray's own goes elsewhere: the path of a socket has 107 characters."""
    deep = tmp_path / "a-batch-system-s-own-folder"
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with scratch_folder("asc-ray-", ray_parent()) as folder:
        assert (
            len(str(folder / RAY_FOLDER)) + len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
            <= 107
        )
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert ray_parent() is None


def look() -> None:
    """Start a local Ray in this process, look at its folder and its addresses, and end it."""
    with ray_session("local", n_cpus=1):
        (folder,) = Path(tempfile.gettempdir()).glob("asc-ray-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.getuid()
        assert [path.name for path in folder.iterdir() if path.is_dir()] == [RAY_FOLDER]
        addresses = listening(os.getpid())
        assert CLUSTERS not in os.environ  # a cluster that is started meanwhile is one
    assert addresses
    assert {address for address in addresses if not address.endswith("0100007F")} == set()
    assert not folder.exists()


@pytest.mark.system
def test_no_other_user_or_machine_reaches_a_local_ray() -> None:
    """Ray opens its own folder to everybody, and logs the environment with its secrets; its parent is closed. All its
    processes listen on the loopback interface. A process and a folder of its own have no Ray of other tests."""
    command = [sys.executable, "-c", f"import runpy; runpy.run_path({__file__!r})['look']()"]
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as own:
        environment = {**os.environ, "TMPDIR": own, "PYTHONPATH": str(ROOT / "tests")}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
