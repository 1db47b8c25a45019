"""Progress of a running search: a live table on a terminal, or lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from results.ledger.events import Event, is_kind
from search.cli.screen.progress import ProgressView, one_line

if TYPE_CHECKING:
    from results.ledger.progress import SearchProgress
    from results.ledger.running import RunningReports

REFRESHES_PER_S = 2
LINE_EVERY_S = 60.0
"""Least seconds between two lines in a log."""


class LiveTable:
    """A live table of the search's progress; its last state stays on the screen."""

    name = "live table"

    def __init__(self, console: Console, reports: RunningReports) -> None:
        from results.ledger.progress import ProgressFold

        self._fold = ProgressFold()
        self._reports = reports
        self._lock = threading.Lock()  # events come from the search's thread, refreshes from the screen's
        self._live = Live(
            console=console,
            get_renderable=lambda: ProgressView(self._look()),
            refresh_per_second=REFRESHES_PER_S,
            vertical_overflow="crop",
        )

    def begin(self, earlier: Sequence[Event]) -> None:
        """Show the table."""
        for event in earlier:
            self._fold.apply(event)
        self._live.start()

    def on_event(self, event: Event) -> None:
        """Apply the event; the table is refreshed periodically."""
        with self._lock:
            self._fold.apply(event)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _look(self) -> SearchProgress:
        reports = self._reports.read()
        with self._lock:
            return self._fold.progress(time.time(), reports)


class LogLines:
    """The search's progress in a log: a line after a rung, at most one every `every_s` seconds."""

    name = "progress in the log"

    def __init__(self, write: Callable[[str], None], reports: RunningReports, every_s: float = LINE_EVERY_S) -> None:
        from results.ledger.progress import ProgressFold

        self._fold = ProgressFold()
        self._write = write
        self._reports = reports
        self._every_s = every_s
        self._next = time.monotonic() + every_s

    def begin(self, earlier: Sequence[Event]) -> None:
        """Apply the events of earlier sessions."""
        for event in earlier:
            self._fold.apply(event)

    def on_event(self, event: Event) -> None:
        """Apply the event, and write a line if one is due."""
        self._fold.apply(event)
        if is_kind(event, "rung") and time.monotonic() >= self._next:
            self._write(one_line(self._fold.progress(time.time(), self._reports.read())))
            self._next = time.monotonic() + self._every_s

    def close(self) -> None:
        """Write nothing: the caller reports the result."""
