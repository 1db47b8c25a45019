"""One driver of a stored run at a time; a dead one gives way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from process_support import ROOT

from data_prep.errors import RunError
from data_prep.store.store import open_store
from results.storage.lock import DEAD_S, POLL_S, StorageLock

HOLDER = """
import sys
from data_prep.store.store import open_store
from results.storage.lock import StorageLock
StorageLock(open_store(sys.argv[1]), beat_s=0.2).acquire()
print("held", flush=True)
sys.stdin.read()
"""


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def lock(folder):
    return StorageLock(open_store(folder))


@pytest.fixture
def clock(monkeypatch):
    """The clock by which a lock waits."""
    clock = Clock()
    monkeypatch.setattr("results.storage.lock.time", clock)
    return clock


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.system
def test_a_second_driver_is_refused_while_the_first_lives(tmp_path, holder):
    """Who finds a holder that beats is told its host and process, and takes nothing."""
    told = []
    with pytest.raises(RunError, match=rf"another asc process is working on this run: .*process {holder.pid}"):
        lock(tmp_path).acquire(told.append)
    assert len(told) == 1
    assert [int(Path(name).stem) for name in open_store(tmp_path).names()] == [1]


@pytest.mark.system
def test_a_killed_driver_of_this_machine_gives_way_at_once(tmp_path, holder, clock):
    """After kill −9 the lock is taken without waiting, since the process is known to be gone."""
    holder.kill()
    holder.wait()
    with lock(tmp_path):
        assert clock.now == 0
        assert [int(Path(name).stem) for name in open_store(tmp_path).names()] == [2]
    assert open_store(tmp_path).names() == []


@pytest.mark.system
def test_a_dead_driver_of_another_machine_gives_way_after_a_while(tmp_path, holder, clock):
    """Where nobody can look after the process, missing beats decide, and no sooner than agreed."""
    holder.kill()
    holder.wait()
    path = tmp_path / "00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "another"}))
    told = []
    taken = lock(tmp_path)
    taken.acquire(told.append)
    assert DEAD_S <= clock.now < DEAD_S + POLL_S
    assert "Waiting 45 s for a sign of life" in told[0]
    taken.release()
    taken.release()


def test_a_lock_that_is_given_back_is_free(tmp_path, clock):
    """After release the next one has it without waiting, and nothing of the first is left."""
    for _ in range(2):
        with lock(tmp_path):
            assert len(open_store(tmp_path).names()) == 1
    assert clock.now == 0
    assert open_store(tmp_path).names() == []


@pytest.mark.parametrize(
    "content", [b"{", b"[1]", b"5", b"\xff", b"[" * 100_000, b"{}", b'{"machine": "x", "pid": []}']
)
def test_a_damaged_lock_is_watched_like_any_other(tmp_path, clock, content):
    """A lock's object that tells of no driver: it never beats, so it gives way once it counts as dead."""
    (tmp_path / "00000001.json").write_bytes(content)
    with lock(tmp_path):
        assert DEAD_S <= clock.now < DEAD_S + 2 * POLL_S
        assert open_store(tmp_path).names() == ["00000002.json"]
