"""Every line of a ledger is checked when it is read: what a reader gets is of the events' own types and possible."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ledger_support import story
from search_support import open_search

from data_prep.errors import RunError
from results.ledger.ledger import Ledger, LedgerTail
from results.ledger.lines import FORMAT_VERSION, VERSION, n_whole_bytes
from results.ledger.progress import summarize_search
from results.ledger.trials import rungs_table, trials_table

START = {"event": "trial_started", "trial_id": "t0001", "params": {}, "key": "k", "config": {}}
RUNG = {"event": "rung", "trial_id": "t0001", "rung": 0, "epochs": 2, "macro_accuracy": 0.5, "log_loss": 1.0}
RUNG |= {"weight_bytes": 9}


def written(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))
    return path


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "rung", "rung": ' + b"9" * 5000 + b"}",
        b'{"event": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"event": "x", "n": NaN}',
        RUNG | {"rung": None},
        {key: value for key, value in RUNG.items() if key != "rung"},
        RUNG | {"rung": "0"},
        RUNG | {"epochs": 2**70},
        RUNG | {"epochs": True},
        RUNG | {"macro_accuracy": "high"},
        RUNG | {"log_loss": [1.0]},
        RUNG | {"seconds": "x"},
        RUNG | {"time": "yesterday"},
        RUNG | {"time": 5},
        RUNG | {"decision": "shrug"},
        RUNG | {"trial_id": 7},
        RUNG | {"trial_id": "t9999"},
        RUNG | {"rung": 2},
        b'{"event": "rung", "trial_id": "t0001", "rung": 0, "epochs": 2, "macro_accuracy": 1e999}',
        {"event": "trial_ended", "trial_id": "t0001", "state": "asleep"},
        {"event": "trial_ended", "trial_id": "t9999", "state": "finished"},
        {"event": "trial_promoted", "trial_id": "t9999", "rung": 1},
        START | {"params": [1]},
        START | {"trial_id": None},
        {"event": "session_started", "n_trials": "many"},
        {"event": "infeasible", "weight_bytes": 9},
        {"event": "test_read", "candidate": "t0001-s0"},
        {"event": "candidate_finished"},
        {"event": "line_finished"},
    ],
)
def test_a_wrong_line_is_named_with_the_way_out(tmp_path: Path, line: dict[str, Any] | bytes) -> None:
    """A line that is no event, lacks a field, has one of another type, or is impossible there, is refused by number."""
    path = written(tmp_path / "ledger.jsonl", START, line, START)
    for read in (Ledger(path).events, LedgerTail(path).new_events):
        with pytest.raises(RunError, match=r"ledger\.jsonl, line 2: .*[Rr]estore the file") as refused:
            read()
        assert len(str(refused.value)) < 700


@pytest.mark.parametrize("field", sorted({key for event in story() for key in event} - {"event", "params", "config"}))
def test_a_field_of_another_type_never_reaches_a_reader(tmp_path: Path, field: str) -> None:
    """Whatever field of whatever kind holds an object instead: it is refused, or unused by progress and tables."""
    events = story()
    for number, event in enumerate(events):
        if field in event:
            path = written(tmp_path / f"{number}.jsonl", *events[:number], event | {field: {"x": []}})
            with pytest.raises(RunError, match=f"line {number + 1}: "):
                Ledger(path).events()


def test_a_repeated_event_is_read_once_more(tmp_path: Path) -> None:
    """Every line twice: trials and rungs are the same."""
    events = story()
    once = Ledger(written(tmp_path / "once.jsonl", *events)).events()
    twice = Ledger(written(tmp_path / "twice.jsonl", *(event for event in events for _ in range(2)))).events()
    assert len(twice) == 2 * len(once)
    assert rungs_table(twice).equals(rungs_table(once))
    states = ["trial_id", "state", "rung", "epochs", "macro_accuracy"]
    trained = [table[table["state"] != "infeasible"][states].reset_index(drop=True)
               for table in map(trials_table, (once, twice))]  # fmt: skip
    assert trained[0].equals(trained[1])
    assert summarize_search(twice).states == summarize_search(once).states


def test_the_format_version_is_written_by_every_writer_and_not_shown(tmp_path: Path) -> None:
    """The first event of each writer states the version; readers see events as they were appended."""
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        with Ledger.open_for_writing(path) as ledger:
            ledger.append("session_ended", reason="done")
            ledger.append("session_ended", reason="done")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get(VERSION) for line in lines] == [FORMAT_VERSION, None, FORMAT_VERSION, None]
    assert all({*event} == {"event", "time", "reason"} for event in Ledger(path).events())


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, "2", None, 1.5])
def test_a_ledger_of_another_version_is_refused(tmp_path: Path, version: Any) -> None:
    """An event of a newer program is not read as one of this program's, even if its kind is unknown."""
    path = written(tmp_path / "ledger.jsonl", START, {"event": "from_the_future", VERSION: version})
    with pytest.raises(RunError, match="line 2: was written by another version of asc"):
        Ledger(path).events()


@pytest.mark.parametrize("tail", [b"\0" * 100 + b"\n", b"\0" * 9, b'{"event": "ru' + b"\0" * 9 + b"\n", b"\0\n\0\0\n"])
def test_an_end_that_was_never_written_is_cut_and_kept(tmp_path: Path, tail: bytes) -> None:
    """NUL bytes at the end, as after a power cut: readers ignore them; a writer removes them, keeps a copy, says so."""
    path = written(tmp_path / "ledger.jsonl", START, RUNG)
    sound = path.read_bytes()
    path.write_bytes(sound + tail)
    assert n_whole_bytes(path.read_bytes()) == len(sound)
    assert [event["event"] for event in Ledger(path).events()] == ["trial_started", "rung"]
    with Ledger.open_for_writing(path) as ledger:
        assert "ledger.torn" in str(ledger.repair)
        ledger.append("session_ended", reason="done")
    assert path.with_suffix(".torn").read_bytes() == tail
    assert [event["event"] for event in Ledger(path).events()] == ["trial_started", "rung", "session_ended"]


def test_nul_bytes_in_the_middle_are_no_torn_end(tmp_path: Path) -> None:
    """A line of NUL bytes before a sound one was acknowledged once: it is refused, not skipped."""
    with pytest.raises(RunError, match="line 2: not an event"):
        Ledger(written(tmp_path / "ledger.jsonl", START, b"\0" * 50, RUNG)).events()


def test_a_ledger_removed_or_replaced_under_its_writer_ends_the_writer(tmp_path: Path) -> None:
    """No event is acknowledged into a file that nobody will find."""
    path = tmp_path / "ledger.jsonl"
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("session_ended", reason="done")
        path.rename(tmp_path / "moved.jsonl")
        with pytest.raises(RunError, match="removed, moved or replaced"):
            ledger.append("session_ended", reason="done")
        path.write_bytes(b"")
        with pytest.raises(RunError, match="removed, moved or replaced"):
            ledger.append("session_ended", reason="done")


def test_deleting_the_lock_file_lets_no_second_writer_in(tmp_path: Path) -> None:
    """The ledger itself is locked as well."""
    path = tmp_path / "ledger.jsonl"
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("session_ended", reason="done")
        path.with_suffix(".lock").unlink()
        with pytest.raises(RunError, match="another asc"):
            Ledger.open_for_writing(path)
    Ledger.open_for_writing(path).close()


def test_a_score_that_is_no_number_does_not_end_later_sessions(tmp_path: Path) -> None:
    """NaN is stored as null; a later session takes the trial for the worst at its rung, as the first one did."""
    state, ledger = open_search(tmp_path / "ledger.jsonl")
    first = state.next_trial()
    assert first is not None
    sizes = {"weight_bytes": 9, "nonzero_weight_bytes": 9, "file_bytes": 9}
    times = {"seconds": 1.0, "train_seconds": 1.0, "reading_seconds": 0.0}
    state.on_rung(first.trial_id, 0, {"macro_accuracy": float("nan"), "log_loss": float("nan"), **sizes, **times})
    decision = ledger.events()[-1].get("decision") or ledger.events()[-2]["decision"]
    ledger.close()
    again, ledger = open_search(tmp_path / "ledger.jsonl")
    assert again.trials[first.trial_id].macro_accuracy is None
    assert again._decisions[first.trial_id] == decision
    ledger.close()


def test_the_names_of_new_files_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's folder and its parents are flushed before an append returns: a power cut loses no name."""
    flushed: list[tuple[int, int]] = []
    fsync = os.fsync

    def record(file: int) -> None:
        status = os.fstat(file)
        flushed.append((status.st_dev, status.st_ino))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    path = tmp_path / "runs" / "one" / "ledger.jsonl"
    with Ledger.open_for_writing(path) as ledger:
        ledger.append("session_ended", reason="done")
    expected = [path, path.parent, path.parent.parent, tmp_path]
    assert {(found.stat().st_dev, found.stat().st_ino) for found in expected} <= {*flushed}
