"""What trainings report to the driver, and the process that holds it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from process_support import ROOT

from search.retrain.mailbox import Mailbox


def test_progress_is_kept_and_starts_are_taken_once() -> None:
    """The driver gets the latest epoch of each training at every call, and the epoch of each start at one."""
    mailbox = Mailbox()
    mailbox.begin("a", 2)
    mailbox.put("a", 3)
    mailbox.put("b", 1)
    mailbox.put("a", 4)
    assert mailbox.take() == ({"a": 4, "b": 1}, {"a": 2})
    assert mailbox.take() == ({"a": 4, "b": 1}, {})


@pytest.mark.system
def test_its_process_loads_nothing_that_a_training_needs() -> None:
    """A process is started for it at each call that trains: its module imports no package that takes time."""
    code = "import sys, search.retrain.mailbox\nprint(*{'numpy', 'pandas', 'pyarrow', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
