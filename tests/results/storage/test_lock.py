"""One driver of a stored run at a time; a dead one gives way."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_support import ROOT

from data_prep.errors import RunError
from data_prep.store import open_store
from results.storage.lock import StorageLock

HOLDER = """
import sys, time
from data_prep.store import open_store
from results.storage.lock import StorageLock
StorageLock(open_store(sys.argv[1]), beat_s=0.2, dead_s=1).acquire()
print("held", flush=True)
time.sleep(600)
"""


def lock(folder, **options):
    return StorageLock(open_store(folder), **{"beat_s": 0.2, "dead_s": 1.0, **options})


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.system
def test_a_second_driver_is_refused_while_the_first_lives(tmp_path, holder):
    """Who finds a holder that beats is told its host and process, and takes nothing."""
    told = []
    with pytest.raises(RunError, match=rf"another asc on .*process {holder.pid}.*is working on this run"):
        lock(tmp_path).acquire(told.append)
    assert len(told) == 1
    assert [int(Path(name).stem) for name in open_store(tmp_path).names()] == [1]


@pytest.mark.system
def test_a_killed_driver_of_this_machine_gives_way_at_once(tmp_path, holder):
    """After kill −9 the lock is taken without waiting, since the process is known to be gone."""
    holder.kill()
    holder.wait()
    started = time.monotonic()
    with lock(tmp_path, dead_s=60.0):
        assert time.monotonic() - started < 5
        assert [int(Path(name).stem) for name in open_store(tmp_path).names()] == [2]
    assert open_store(tmp_path).names() == []


@pytest.mark.system
def test_a_dead_driver_of_another_machine_gives_way_after_a_while(tmp_path, holder):
    """Where nobody can look after the process, missing beats decide, and no sooner than agreed."""
    holder.kill()
    holder.wait()
    path = tmp_path / "00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "another"}))
    started, told = time.monotonic(), []
    taken = lock(tmp_path)
    taken.acquire(told.append)
    assert time.monotonic() - started >= 1.0
    assert "Looking for 1 s whether it lives" in told[0]
    taken.release()
    taken.release()


def test_a_lock_that_is_given_back_is_free(tmp_path):
    """After release the next one has it without waiting, and nothing of the first is left."""
    for _ in range(2):
        with lock(tmp_path, dead_s=60.0):
            assert len(open_store(tmp_path).names()) == 1
    assert open_store(tmp_path).names() == []
