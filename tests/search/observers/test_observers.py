"""Observers are told of every event once it is on the disk, and none can disturb the search."""

from __future__ import annotations

import io
import json
import threading

import pytest
from ledger_support import story
from observer_support import Fixed, play

from results.ledger.ledger import Ledger
from search.observers.background import InBackground
from search.observers.base import observed
from search.observers.json_log import JsonLog
from search.observers.optuna_journal import OptunaJournal
from search.observers.tensorboard import TensorBoardFiles


class Broken:
    name = "broken one"

    def __init__(self, at: str = "rung") -> None:
        self.at, self.closed = at, False

    def begin(self, earlier):
        if self.at == "begin":
            raise OSError(28, "No space left on device")

    def on_event(self, event):
        if event["event"] == self.at:
            raise RuntimeError("the server is gone")

    def close(self):
        self.closed = True


def test_what_is_told_is_what_the_ledger_holds(tmp_path):
    """Observers get the lines that are on the disk, after they are there, values plain and times equal."""
    ledger, stream = Ledger(tmp_path / "ledger.jsonl"), io.StringIO()
    with observed(ledger, [JsonLog(stream)], print) as log:
        log.append("note", trial_id="t1", macro_accuracy=float("nan"), path=tmp_path)
        log.append("session_ended", reason="done")
    ledger.close()
    told = stream.getvalue().splitlines()
    assert [json.loads(line) for line in told] == ledger.events()
    assert told[1:] == ledger.path.read_text().splitlines()[1:]  # the first line in the ledger has its version, too


@pytest.mark.parametrize("at", ["begin", "rung"])
def test_a_broken_observer_costs_one_warning_and_nothing_else(tmp_path, at):
    """One that fails is closed and let go; the ledger and the others get every event."""
    stream, broken, ledger = io.StringIO(), Broken(at), Fixed()
    warnings = play(ledger, story(), broken, JsonLog(stream))
    assert len(warnings) == 1
    assert "broken one" in warnings[0]
    assert "continues without it" in warnings[0]
    assert broken.closed
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == ledger.lines == story()


def test_nothing_is_begun_before_the_first_event(tmp_path):
    """A session without events makes no file."""
    with observed(Fixed(), [TensorBoardFiles(tmp_path / "tb"), OptunaJournal(tmp_path / "j.log", {})], print):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_session_closes_its_observers():
    """Ctrl-C goes through, and the observers still finish."""
    watcher = Broken("never")

    def session() -> None:
        with observed(Fixed(), [watcher], print) as log:
            log.append("run_started")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session()
    assert watcher.closed


def test_one_in_the_background_gets_all_in_order_and_its_failure_is_told():
    """A slow one sees every event in order; what it raises comes out as a warning; a stuck one is not waited for."""
    seen: list[str] = []
    all_written = threading.Event()

    class Slow(Broken):
        def on_event(self, event):
            all_written.wait()  # until the search has gone on to its end without it
            seen.append(event["event"])

    class Last(Broken):
        def close(self):
            all_written.set()

    assert play(Fixed(), story(), Last("never"), InBackground(Slow("never"))) == []
    assert seen == [event["event"] for event in story()]
    assert "the server is gone" in " ".join(play(Fixed(), story(), InBackground(Broken("rung"))))

    stuck = threading.Event()

    class Stuck(Broken):
        def on_event(self, event):
            stuck.wait()

    warnings = play(Fixed(), story(), InBackground(Stuck("never"), close_s=0.2))
    stuck.set()  # only now: whoever waited for it would have waited for ever
    assert "not all events were sent" in " ".join(warnings)
