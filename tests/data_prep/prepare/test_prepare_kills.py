"""Preparing that is killed, or refused by the system: what is left, and what the next call makes of it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_prep_support import SMALL, contents, scene_rows
from process_support import ROOT

from data_prep.config import PrepareConfig, ReaderSpec
from data_prep.errors import AscError, DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split

N_CLIPS = len(scene_rows())
SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from data_prep.config import PrepareConfig
from data_prep.errors import AscError
from data_prep.prepare.prepare import prepare

root, shards, config, at, limit = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

def on_progress(done, total):
    if done >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)

try:
    prepare(Path(root), Path(shards), PrepareConfig(**json.loads(config)), on_progress=on_progress)
except AscError as error:
    print(error)
    sys.exit(1)
"""


def run_script(root: Path, shards: Path, config: PrepareConfig, kill_at=10**9, limit=0) -> subprocess.CompletedProcess:
    arguments = [str(root), str(shards), config.model_dump_json(), str(kill_at), str(limit)]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.system
@pytest.mark.parametrize("kill_at", [1, 11, N_CLIPS])
def test_a_killed_prepare_goes_on_where_it_stopped(make_corpus, tmp_path, kill_at):
    """Killed with signal 9 after some clips, the next call reuses finished shards and ends with the same bytes."""
    config = PrepareConfig(features=SMALL, clips_per_shard=4)
    root, shards = make_corpus(), tmp_path / "shards"
    killed = run_script(root, shards, config, kill_at=kill_at)
    assert killed.returncode == -9, killed.stderr
    assert not (shards / "manifest.json").exists()
    done = prepare(root, shards, config)
    assert done.n_reused == (kill_at - 1) // 4 * 4
    prepare(root, tmp_path / "fresh", config)
    assert contents(shards) == contents(tmp_path / "fresh")


@pytest.mark.system
@pytest.mark.parametrize("kill_at", [N_CLIPS + 5, N_CLIPS + 30])
def test_a_prepare_killed_among_the_copies_goes_on(make_corpus, tmp_path, kill_at):
    """Killed while augmented copies are made, the next call ends with an undisturbed call's bytes."""
    copies = ("spectrum_correction", "pitch_shift", "mix")
    config = PrepareConfig(features=SMALL, clips_per_shard=4, augmentations=copies)
    root, shards = make_corpus(), tmp_path / "shards"
    assert run_script(root, shards, config, kill_at=kill_at).returncode == -9
    assert not (shards / "manifest.json").exists()
    done = prepare(root, shards, config)
    assert N_CLIPS <= done.n_reused < kill_at
    prepare(root, tmp_path / "fresh", config)
    assert contents(shards) == contents(tmp_path / "fresh")


COUNTED = """
import os, signal, sys
moment, n_events = int(sys.argv.pop()), 0

def count(event, arguments):
    global n_events
    n_events += 1
    if n_events == moment:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
"""


@pytest.mark.full
def test_killed_at_any_moment_it_goes_on(make_corpus, tmp_path):
    """Killed at twenty random moments, start-up and writing among them, the end is an undisturbed call's bytes.

    A moment is a number of the interpreter's audit events, such as an import or a file that is opened.
    """
    copies = ("spectrum_correction", "pitch_shift", "speed_change", "mix")
    config = PrepareConfig(features=SMALL, clips_per_shard=4, augmentations=copies)
    root, shards = make_corpus(), tmp_path / "shards"

    def run_until(moment: int, folder: Path) -> subprocess.CompletedProcess:
        script = f"{COUNTED}\n{SCRIPT}\nprint(n_events)"
        arguments = [str(root), str(folder), config.model_dump_json(), str(10**9), "0", str(moment)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment
        )

    n_events = int(run_until(0, tmp_path / "fresh").stdout)
    moments = np.random.default_rng(0).integers(1, n_events, 20)
    ends, codes = [], []
    for moment in moments:
        codes.append(run_until(moment, shards).returncode)
        if (shards / "manifest.json").exists():  # what was reused left it fewer events than that: it has finished
            ends.append(contents(shards))
            shutil.rmtree(shards)
    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= 10
    prepare(root, shards, config)
    assert all(end == contents(tmp_path / "fresh") for end in [*ends, contents(shards)])


@pytest.mark.system
def test_a_kill_in_the_middle_of_replacing_leaves_no_manifest_that_lies(make_corpus, small_config, tmp_path):
    """While shards of another feature replace finished ones, the old manifest is gone from the first change on."""
    root, shards = make_corpus(), tmp_path / "shards"
    prepare(root, shards, small_config)
    other = small_config.updated(features=SMALL.updated(n_mels=12))
    assert run_script(root, shards, other, kill_at=10).returncode == -9
    with pytest.raises(DataError, match="did not finish"):
        read_split(shards, "train", fold=1, reader=ReaderSpec())


@pytest.mark.system
def test_a_disk_that_refuses_leaves_nothing_half_written(make_corpus, tmp_path):
    """Where a file can't grow (a limit of the operating system), a clear message, no half shard; later it goes on."""
    config = PrepareConfig(features=SMALL, clips_per_shard=20)  # 20 clips need 41 kB, the last 4 stay below 20 kB
    root, shards = make_corpus(), tmp_path / "shards"
    refused = run_script(root, shards, config, limit=20_000)
    assert refused.returncode == 1, refused.stderr
    assert "shard-00000.parquet: cannot be written: File too large" in refused.stdout
    assert contents(shards) == {}
    assert not list(shards.glob("**/*.tmp"))
    assert prepare(root, shards, config).n_clips == N_CLIPS


@pytest.mark.system
def test_a_dead_worker_is_explained(make_corpus, small_config, tmp_path):
    """A worker process that dies is an expected failure with a way out, not a traceback of a pool."""
    from concurrent.futures import BrokenExecutor

    from data_prep.workers import worker_pool

    with pytest.raises(AscError, match="one of the 2 worker processes died"), worker_pool(2) as pool:
        next(iter(pool.map(os._exit, [3])))  # type: ignore[arg-type]
    assert issubclass(BrokenExecutor, RuntimeError)
