"""What is said of a running search is what its ledger says, event by event."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_support import RUNGS, START, Book

from results.ledger.progress import ProgressFold, summarize_search
from results.ledger.running import RunningTrial
from results.ledger.trials import trials_table

PLAN = {"n_trials": 8, "epochs": list(RUNGS), "expected": [8, 4, 2]}


def test_trials_are_counted_by_state_and_rung() -> None:
    """Each trial counts in one state; at each rung those that reached it, went on, and wait."""
    book = Book()
    book("session_started", **PLAN)
    for name in "abcdef":
        book("trial_started", name, weight_bytes=50)
    book.rung("a", 0, 0.5, "continue").rung("a", 1, 0.6, "continue").rung("a", 2, 0.7, "finish")
    book.rung("b", 0, 0.4, "pause")
    book.rung("c", 0, 0.6, "pause")("trial_promoted", "c", rung=1)
    book.rung("d", 0, None, "pause")
    book("trial_retried", "e", reason="killed")("trial_ended", "e", state="failed", reason="out of memory")
    book("infeasible", params={}, weight_bytes=999, reason="over")("infeasible", params={}, weight_bytes=998)
    done = summarize_search(book.events)
    assert done.states == {"running": 2, "paused": 2, "finished": 1, "failed": 1}
    assert [(r.epochs, r.n_reached, r.n_went_on, r.n_paused, r.best) for r in done.rungs] == [
        *((2, 4, 2, 2, 0.6), (6, 1, 1, 0, 0.6), (14, 1, 0, 0, 0.7)),
    ]
    assert (done.n_trials, done.n_started, done.n_ended, done.n_infeasible, done.n_retries) == (8, 6, 2, 2, 1)
    assert done.failures == (("out of memory", 1),)


def test_no_paused_stopped_or_failed_trial_is_on_the_front() -> None:
    """The front is of finished trials alone, whatever others reached; those on their way have one of their own."""
    book = Book()
    for name in ("small", "large", "worse", "waits", "runs", "dropped", "broke"):
        book("trial_started", name)
    book.rung("small", 2, 0.5, "finish", 10).rung("large", 2, 0.7, "finish", 90).rung("worse", 2, 0.6, "finish", 95)
    book.rung("waits", 1, 0.8, "pause", 50).rung("runs", 0, 0.9, "continue", 60)
    book.rung("dropped", 1, 0.99, "stop", 5).rung("broke", 1, 0.99, "continue", 5)
    book("trial_ended", "broke", state="failed", reason="x")
    done = summarize_search(book.events)
    assert [trial.trial_id for trial in done.front] == ["small", "large"]
    assert [(trial.trial_id, trial.state, trial.epochs) for trial in done.provisional] == [
        *(("waits", "paused", 6), ("runs", "running", 2)),
    ]


def test_rate_and_time_left_follow_from_the_session() -> None:
    """Epochs of the last session over the time in which it trained; what is left follows from the plan."""
    book = Book()
    book("session_started", **PLAN)("trial_started", "old").rung("old", 0, 0.5, "pause")
    book.now = 1000.0
    book("session_started", **PLAN)
    book.now = 1030.0  # Ray and TensorFlow start
    book("trial_started", "a")("trial_started", "b")
    book.now = 1050.0
    book.rung("a", 0, 0.5, "continue", seconds=10.0).rung("b", 0, 0.5, "continue", seconds=10.0)
    book.now = 1060.0
    book.rung("a", 1, 0.5, "continue", seconds=10.0)
    done = summarize_search(book.events, START + 1064.0)
    assert done.session.epochs == 8
    assert done.epochs == 10
    assert done.session.epochs_per_s == pytest.approx(8 / 20)
    assert done.session.seconds == pytest.approx(64.0)
    assert done.epochs_left == 5 * 2 + 3 * 4 + 2 * 8
    assert done.seconds_left == pytest.approx(done.epochs_left / 0.4 - 4.0)
    later = summarize_search(book.events, START + 9999.0)
    assert later.seconds_left == 0.0


def test_reports_of_running_trials_give_epochs_and_time_before_the_first_rung() -> None:
    """One epoch of each of two trials in 20 s: 0.1/s, so the 14 epochs left take 140 s. Reports of others are not
    counted: of one that has ended, is past that rung, or is unknown."""
    book = Book()
    book("session_started", n_trials=2, epochs=[2, 14], expected=[2, 1])("trial_started", "a")("trial_started", "b")
    fold = ProgressFold()
    for event in book.events:
        fold.apply(event)
    reports = [RunningTrial(name, "n", 0, "training", 1, 2, 1.0, START + 10) for name in ("a", "b", "unknown")]
    progress = fold.progress(START + 30, reports)
    assert [one.trial_id for one in progress.running] == ["a", "b"]
    assert (progress.epochs, progress.epochs_left) == (2, 14)
    assert progress.session.epochs_per_s == pytest.approx(0.1)
    assert progress.seconds_left == pytest.approx(140)
    assert progress.ends == pytest.approx(START + 30 + 140)
    book.now = 40
    book.rung("a", 0, 0.5, "pause")("trial_ended", "b", state="failed", reason="x")
    for event in book.events[3:]:
        fold.apply(event)
    after = fold.progress(START + 40, reports)
    assert (after.running, after.epochs) == ((), 2)


def test_epochs_of_all_networks_of_a_trial_count() -> None:
    """One network for 2 epochs, then two for 14: 28 − 2 epochs to the last rung, of which a running trial reports its
    own; the table has the networks of each rung."""
    book = Book()
    book("session_started", n_trials=2, epochs=[2, 6, 14], folds=[1, 1, 2], expected=[2, 2, 1])
    book("trial_started", "a")("trial_started", "b")
    book.now = 10
    book.rung("a", 0, 0.5, "continue").rung("a", 1, 0.5, "continue").rung("b", 0, 0.5, "pause")
    fold = ProgressFold()
    for event in book.events:
        fold.apply(event)
    progress = fold.progress(START + 10, [RunningTrial("a", "n", 2, "training", 13, 28, 1.0, START + 10)])
    assert [(rung.epochs, rung.folds) for rung in progress.rungs] == [(2, 1), (6, 1), (14, 2)]
    assert (progress.session.epochs, progress.epochs) == (8, 15)
    assert progress.epochs_left == (6 - 2) + (28 - 6) - 7
    book.rung("a", 2, 0.5, "finish")
    assert summarize_search(book.events).epochs == 2 + 28


def test_a_session_that_has_ended_has_nothing_left_and_its_clock_stands() -> None:
    """After the end the reason is told, no time is left to estimate, and later looks change nothing."""
    book = Book()
    book("session_started", **PLAN)("trial_started", "a")
    book.now = 20.0
    book.rung("a", 0, 0.5, "pause")("session_ended", reason="interrupted")
    early, late = (summarize_search(book.events, START + now) for now in (21.0, 5000.0))
    assert early == late
    assert (early.session.end, early.session.seconds, early.epochs_left, early.seconds_left) == (
        *("interrupted", 20.0),
        *(None, None),
    )


def test_failed_trials_are_not_waited_for() -> None:
    """Trials that failed before any rung lower what is left to train."""
    book = Book()
    book("session_started", **PLAN)
    for number in range(8):
        book("trial_started", str(number))("trial_ended", str(number), state="failed", reason="diverged")
    assert summarize_search(book.events).epochs_left == 0


def test_an_old_ledger_reads() -> None:
    """Without decisions, sessions or times: states, front and rungs are told, and nothing of what is left."""
    events: list[dict[str, Any]] = [{"event": "run_started"}]
    for name in "ab":
        events += [
            {"event": "trial_started", "trial_id": name, "params": {}, "weight_bytes": 7},
            {"event": "rung", "trial_id": name, "rung": 0, "epochs": 6, "macro_accuracy": 0.5, "log_loss": 1.0},
        ]
    events.append({"event": "trial_ended", "trial_id": "a", "state": "finished", "reason": None})
    done = summarize_search(events)
    assert done.states == {"running": 1, "finished": 1}
    assert [(trial.trial_id, trial.weight_bytes) for trial in done.front] == [("a", 7)]
    assert (done.rungs[0].n_reached, done.epochs_left, done.session.epochs_per_s) == (2, None, None)


def test_nothing_is_said_of_an_empty_ledger() -> None:
    """No event, no trial, no rate, no failure of the reader."""
    done = summarize_search([], START)
    assert (done.n_started, done.states, done.front, done.seconds_left) == (0, {}, (), None)


DECISIONS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["continue", "pause", "stop", "fail"])), max_size=40)


@pytest.mark.system
@settings(deadline=None)
@given(steps=DECISIONS)
def test_the_live_view_agrees_with_the_trials_table(steps: list[tuple[int, str]]) -> None:
    """Any course of trials: states and front told while it runs are those of the table made from the ledger."""
    book, fold, at, ended = Book(), ProgressFold(), {}, set()
    for number, decision in steps:
        name = f"t{number}"
        if name in ended:
            continue
        if name not in at:
            at[name] = -1
            book("trial_started", name, weight_bytes=10 * number)
        at[name] += 1
        if decision == "fail":
            book("trial_ended", name, state="failed", reason="x")
        else:
            decision = "finish" if at[name] == 2 else decision
            book.rung(name, at[name], (number * 7 % 5 + at[name]) / 10, decision, 10 * number + 1)
        if decision in {"fail", "stop", "finish"}:
            ended.add(name)
    for event in book.events:
        fold.apply(event)
        fold.progress(START)
    table = trials_table(book.events)
    done = fold.progress(START)
    assert done.states == table["state"].value_counts().to_dict()
    finished = set(table["trial_id"][table["state"] == "finished"])
    assert {trial.trial_id for trial in done.front} <= finished
    assert bool(done.front) == bool(finished)


def n_calls(n_trials: int) -> int:
    """Return how many functions are called to read a search of `n_trials` rungs and look at it twenty times."""
    book = Book()
    for number in range(n_trials):
        name = f"t{number:04d}"
        book("trial_started", name).rung(name, 0, number % 97 / 97, "pause", 1 + number * 31 % 1009)
        for _ in range(2):
            book("infeasible", params={}, reason="over")
    fold, calls = ProgressFold(), 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        for event in book.events:
            fold.apply(event)
        looks = [fold.progress(START) for _ in range(20)]
    finally:
        sys.setprofile(None)
    assert all(len(look.provisional) > 1 for look in looks)
    return calls


def test_thousands_of_events_are_cheap() -> None:
    """Twice the trials take at most little more than twice the work, looks included."""
    assert n_calls(2000) < 2.5 * n_calls(1000)
