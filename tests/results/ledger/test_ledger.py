"""The ledger keeps every event it acknowledged and nothing else, through crashes and second writers."""

import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_support import story
from process_support import ROOT

from data_prep.errors import AscError, RunError
from results.ledger.ledger import Ledger, LedgerTail, is_being_written


def test_events_come_back_as_they_were_appended(tmp_path: Path) -> None:
    """What was appended is read back in order, with its fields, by a reader without the lock."""
    path = tmp_path / "run" / "ledger.jsonl"
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("trial_started", trial_id="t1", params={"blocks": 3}, key="k", config={}, seed=np.int64(5))
        measured = {"macro_accuracy": 0.5, "log_loss": float("nan"), "weight_bytes": 9, "epochs": 2}
        ledger.append("rung", trial_id="t1", rung=0, **measured, scores=np.array([0.5, np.inf]), file=Path("a/b"))
        events = Ledger(path).events()
    assert [event["event"] for event in events] == ["trial_started", "rung"]
    assert events[0]["params"] == {"blocks": 3}
    assert events[0]["seed"] == 5
    assert events[1]["log_loss"] is None
    assert events[1]["scores"] == [0.5, None]
    assert events[1]["file"] == "a/b"
    assert events[0]["time"].endswith("+00:00")


def test_no_ledger_is_no_events(tmp_path: Path) -> None:
    """A run that has not begun has an empty ledger, and reading does not create one."""
    assert Ledger(tmp_path / "ledger.jsonl").events() == []
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_ignored_and_cut_away(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Wherever a crash cuts the last line, the events before it stay and the next append starts a clean line."""
    path = tmp_path_factory.mktemp("torn") / "ledger.jsonl"
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("one", scene="Straße")
        whole = path.stat().st_size
        ledger.append("two", scene="Straße")
    size = path.stat().st_size
    os.truncate(path, max(whole, size - cut))
    assert [event["event"] for event in Ledger(path).events()] == ["one"]
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("three")
    assert [event["event"] for event in Ledger(path).events()] == ["one", "three"]


@pytest.mark.parametrize("line", [b"{broken", b"[1, 2]", b'{"no": "event"}', b"\xff\xfe"])
def test_a_broken_line_elsewhere_is_named(tmp_path: Path, line: bytes) -> None:
    """A line that is no event is an error that names its number, never skipped in silence."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"event": "a"}\n' + line + b'\n{"event": "b"}\n')
    with pytest.raises(RunError, match="line 2"):
        Ledger(path).events()


@pytest.mark.system
def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    """While one process holds the run, another one can read it but not write it; afterwards it can."""
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys; from pathlib import Path; from results.ledger.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1])); print(len(ledger.events())); ledger.append('second')"
    )
    command = [sys.executable, "-c", code, str(path)]
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("first")
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.stdout == "1\n"
    assert "another asc process is working on this run" in refused.stderr
    subprocess.run(command, check=True, capture_output=True)
    assert [event["event"] for event in Ledger(path).events()] == ["first", "second"]


def test_two_ledgers_in_one_process_are_two_writers(tmp_path: Path) -> None:
    """The lock also holds inside a process."""
    with Ledger.open_for_writing(tmp_path / "ledger.jsonl"), pytest.raises(RunError, match="another asc"):
        Ledger(tmp_path / "ledger.jsonl").append("x")


@pytest.mark.system
def test_killing_the_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill −9 every event whose append had returned is there, and the lock is free."""
    path = tmp_path / "ledger.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path; from results.ledger.ledger import Ledger\n"
        "ledger = Ledger.open_for_writing(Path(sys.argv[1]))\n"
        "[ledger.append('n', i=i) for i in range(20)]; os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -9
    assert [event["i"] for event in Ledger(path).events()] == list(range(20))
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("after")


def test_a_refused_write_leaves_no_half_line(tmp_path: Path) -> None:
    """Where the system takes only a part of a line, the user is told, the part goes away, and writing can go on."""
    path = tmp_path / "ledger.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("first")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
            with pytest.raises(AscError, match="cannot be written"):
                ledger.append("second", text="x" * 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.read_bytes().count(b"\n") == 1
        assert path.read_bytes().endswith(b"\n")
        ledger.append("third")
    assert [event["event"] for event in Ledger(path).events()] == ["first", "third"]


def test_a_line_is_plain_json(tmp_path: Path) -> None:
    """Each line is one JSON object, so that other tools can read it."""
    with Ledger.open_for_writing(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("run_started", versions={"numpy": "2"})
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["versions"] == {"numpy": "2"}


def test_a_followed_ledger_gives_every_event_once(tmp_path: Path) -> None:
    """Read while it is written, half a line waits until it is whole; lines are counted on for messages."""
    tail, path, events = LedgerTail(tmp_path / "ledger.jsonl"), tmp_path / "ledger.jsonl", story()
    assert tail.new_events() == []
    data = "".join(json.dumps(event) + "\n" for event in events).encode()
    seen = []
    for start in range(0, len(data), 777):
        with path.open("ab") as file:
            file.write(data[start : start + 777])
        seen += tail.new_events()
    assert seen == events
    with path.open("ab") as file:
        file.write(b"no event\n")
    with pytest.raises(Exception, match=f"line {len(events) + 1}: not an event"):
        tail.new_events()


@pytest.mark.system
def test_whether_a_run_is_worked_on_can_be_asked_without_hindering_anyone(tmp_path: Path) -> None:
    """The lock is seen from another process and by looking again and again no driver is ever refused."""
    path = tmp_path / "ledger.jsonl"
    assert not is_being_written(path)
    with Ledger.open_for_writing(path):
        assert is_being_written(path)
    script = (
        "import sys, pathlib, results.ledger.ledger as l\n"
        "while True: l.is_being_written(pathlib.Path(sys.argv[1])); print('looked', flush=True)"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as looker:
        try:
            for _ in range(1000):
                assert looker.stdout.readline() == b"looked\n"
                Ledger.open_for_writing(path).close()
        finally:
            looker.kill()
    assert not is_being_written(path)


def test_several_may_ask_at_once_whether_a_run_is_worked_on(tmp_path: Path) -> None:
    """Readers that ask at the same time never take one another for a driver."""
    path = tmp_path / "ledger.jsonl"
    Ledger.open_for_writing(path).close()
    with ThreadPoolExecutor(2) as pool:
        assert not any(pool.map(lambda _: is_being_written(path), range(100)))


def test_a_run_that_may_only_be_read_can_be_asked_about(tmp_path: Path) -> None:
    """A lock file that this user may not write answers as well, and asking where there is none makes none."""
    path = tmp_path / "ledger.jsonl"
    assert not is_being_written(path)
    assert list(tmp_path.iterdir()) == []
    with Ledger.open_for_writing(path):
        path.with_suffix(".lock").chmod(0o444)
        assert is_being_written(path)
    assert not is_being_written(path)


@pytest.mark.system
def test_what_takes_locks_imports_where_there_is_no_fcntl() -> None:
    """On a system without fcntl (Windows) everything that takes locks can still be imported."""
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import data_prep.store.store, results.ledger.ledger, results.storage.storage, data_prep.files.scratch\n"
        "print(sys.modules['fcntl'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
