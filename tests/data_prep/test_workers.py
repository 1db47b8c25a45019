"""Worker processes and the end of the process that started them."""

import os
import signal
import subprocess
import sys

import pytest
from process_support import ROOT

pytestmark = pytest.mark.system  # starts processes

SCRIPT = """
import os, sys, time
from data_prep.workers import worker_pool

def work(number):
    print(os.getpid(), flush=True)
    time.sleep(10_000)

if __name__ == "__main__":
    with worker_pool(2) as mapper:
        list(mapper.map(work, range(2)))
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(tmp_path, kill):
    """Killed, it leaves no worker behind, busy or not: whoever holds its output's pipe is gone."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        workers = {int(process.stdout.readline()) for _ in range(2)}
        assert len(workers - {process.pid}) == 2
        process.send_signal(kill)
        assert process.stdout.read() == ""  # ends when the last writer is gone
        assert process.wait() == -kill
