"""The live table and the lines in a log show what the ledger says, and fit where they are shown."""

from __future__ import annotations

import io
import random
import re

import pytest
from ledger_support import START, Book
from rich.console import Console

from data_prep.wording import duration_text
from results.ledger.progress import ProgressFold, SearchProgress, summarize_search
from results.ledger.running import RunningReports, RunningTrial
from search.cli.screen.live import LiveTable, LogLines
from search.cli.screen.progress import ProgressView, rate_text
from search.cli.screen.terminal import Terminal


def busy_book(n: int = 60) -> Book:
    """Return a search in its middle, with a wide front, failures with long reasons, and trials on their way."""
    book, rng = Book(), random.Random(1)
    book("session_started", n_trials=10 * n, epochs=[2, 6, 14], expected=[10 * n, 5 * n, 2 * n])
    for number in range(n):
        name, size = f"t{number + 1:04d}", 1000 + 2000 * number
        book("trial_started", name, weight_bytes=size)("infeasible", params={}, reason="over")
        book.now += 4
        if number % 11 == 5:
            book("trial_ended", name, state="failed", reason=f"training diverged\nat epoch {number % 3} " + "x" * 200)
        elif number % 11 != 6:
            accuracy = 0.3 + number / n / 2 + rng.random() / 50
            for rung in range(number % 3 + 1):
                decision = "finish" if rung == 2 else "pause" if rung == number % 3 else "continue"
                book.rung(name, rung, accuracy + rung / 20, decision, size, seconds=2.0)
    return book


@pytest.fixture(scope="module")
def busy() -> SearchProgress:
    book = busy_book()
    return summarize_search(book.events, START + book.now + 7)


def shown(progress: SearchProgress, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(ProgressView(progress))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(40, 24), (60, 30), (80, 16), (80, 24), (100, 40), (200, 60)])
def test_the_view_fits_the_terminal(busy, width, height):
    """No line is cut or longer than the terminal is wide, and from 80 columns on all fits its height."""
    lines = shown(busy, width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height or width < 80
    text = " ".join(" ".join(lines).split())
    assert "Search: 60 of 600 trials" in text
    assert "5 failed" in text
    assert "60 over the limit, not trained" in text
    assert all(trial.trial_id in text for trial in (busy.front[0], busy.front[-1]))
    assert "not finished:" in text
    assert f"{busy.provisional[-1].trial_id} {busy.provisional[-1].state}" in text


def test_the_view_tells_rungs_rate_and_time_left(busy):
    """Counts at each rung, epochs per second and the time left stand where the issue is looked for."""
    lines = shown(busy, 100)
    rungs = [line.split()[:4] for line in lines if line.split()[:1] in (["2"], ["6"], ["14"])]
    expected = [[str(rung.epochs), str(rung.n_reached)] for rung in busy.rungs]
    assert [row[:2] for row in rungs] == expected
    assert f"({rate_text(busy.session.epochs_per_s)})" in lines[0]
    assert f"about {duration_text(busy.seconds_left)} left" in lines[0]


def test_nothing_yet_is_shown_too():
    """Before the first trial and before the first finished one there is a view already."""
    assert "none yet" in " ".join(shown(summarize_search([]), 80))
    book = Book()
    book("session_started", n_trials=3, epochs=[2, 6], expected=[3, 1])("trial_started", "t0001")
    lines = shown(summarize_search(book.events), 80)
    assert "none finished yet" in " ".join(lines)


def test_running_trials_are_shown_with_what_they_do():
    """From the first second on: node, rung, phase or epoch, loss and time of each running trial, and the end's time."""
    fold, book = ProgressFold(), Book()
    book("session_started", n_trials=4, epochs=[2, 6, 14], expected=[4, 2, 1])
    for name in ("t0001", "t0002", "t0003", "t0004"):
        book("trial_started", name)
    for event in book.events:
        fold.apply(event)
    reports = [
        RunningTrial("t0001", "a-node-with-a-very-long-name", 0, "training", 1, 2, 1.2345, START + 10),
        RunningTrial("t0002", "node2", 0, "starting", 0, 2, None, START + 400),
        RunningTrial("t0003", "node2", 0, "scoring", 2, 2, 0.5, START + 300),
    ]
    progress = fold.progress(START + 410, reports)
    for width in (80, 100):
        lines = [" ".join(line.split()) for line in shown(progress, width)]
        assert "t0001 a-node-with-a-v… 1 of 3 1 of 2 1.234 7 min" in lines
        assert "t0002 node2 1 of 3 starting – 10 s" in lines
        assert "t0003 node2 1 of 3 scoring 0.500 2 min" in lines
        assert "and 1 more" in lines
        assert max(map(len, shown(progress, width))) <= width
    (head,) = [line for line in lines if line.startswith("Search:")]
    assert "3 epochs" in head
    assert re.search(r"about \d+ min left \(until \d\d:\d\d\)", head)
    assert len(shown(progress, 80, 16)) <= 16


def test_the_view_says_that_scores_are_out_of_fold():
    """With parts there is a line on the networks at each rung, none without."""
    book = Book()
    book("session_started", n_trials=4, epochs=[2, 6, 14], folds=[1, 2, 4], expected=[4, 2, 1])
    book("trial_started", "t0001").rung("t0001", 0, 0.5, "pause")
    (line,) = [line for line in shown(summarize_search(book.events), 80) if "fold" in line]
    assert line == "scores out of fold, by 1, 2, 4 networks a trial"
    assert not any("fold" in line for line in shown(summarize_search(busy_book().events), 80))


def test_the_live_table_ends_with_the_last_state(tmp_path):
    """On a terminal the table is redrawn in place while events come, and what stays is the end of the search."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    table, book = LiveTable(console, RunningReports(tmp_path)), busy_book()
    table.begin(book.events[:20])
    for event in book.events[20:]:
        table.on_event(event)
    console.print("a note in between")
    table.on_event({"event": "session_ended", "time": book.events[-1]["time"], "reason": "done"})
    table.close()
    text = console.file.getvalue()
    assert "a note in between" in text
    assert "Search: 60 of 600 trials" in text[text.rindex("Search:") :]
    assert "in total" in text[text.rindex("Search:") :]
    assert "\x1b[?25h" in text  # the cursor is back


def test_a_log_gets_a_line_now_and_then(tmp_path):
    """Where the output is no terminal, there is a line after a rung and at most one in so many seconds."""
    lines: list[str] = []
    reports = RunningReports(tmp_path)
    eager, patient = (LogLines(lines.append, reports, every_s=every_s) for every_s in (0.0, 60.0))
    book = busy_book()
    for log in (eager, patient):
        log.begin(book.events[:50])
        before = len(lines)
        for event in book.events[50:]:
            log.on_event(event)
        log.close()
    n_rungs = sum(event["event"] == "rung" for event in book.events[50:])
    assert (before, len(lines)) == (n_rungs, n_rungs)
    assert all("\n" not in line for line in lines)
    assert "best finished: " in lines[-1]


def test_a_pipe_gets_lines_and_a_terminal_the_table(capsys, monkeypatch, tmp_path):
    """The screen decides by itself; quiet shows nothing."""
    reports = RunningReports(tmp_path)
    assert isinstance(Terminal().search_view(reports), LogLines)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(Terminal().search_view(reports), LiveTable)
    quiet = Terminal(quiet=True).search_view(reports)
    quiet.begin([])
    assert isinstance(quiet, LogLines)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (6060, "1 h 41 min"), (11580, "3 h 13 min")],
)
def test_lengths_of_time_read_well(seconds, text):
    """Seconds, minutes, hours: whichever matters."""
    assert duration_text(seconds) == text


def test_rates_read_well():
    """Slow ones by the minute, fast ones without digits that say nothing."""
    assert [rate_text(rate) for rate in (0.02, 0.5, 3.21, 54.3)] == ["1.2/min", "0.5/s", "3.2/s", "54/s"]
