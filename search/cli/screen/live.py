"""What a terminal shows while a search runs: a table that stays in place, or now and then a line in a log."""

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

REFRESHES_PER_S = 2
LINE_EVERY_S = 60.0
"""A log takes one line in so many seconds at most."""


class LiveTable:
    """The search's table on a terminal, until the search ends; its last state stays."""

    name = "live table"

    def __init__(self, console: Console) -> None:
        from results.ledger.progress import ProgressFold

        self._fold = ProgressFold()
        self._lock = threading.Lock()  # events come from the search's thread, looks from the screen's
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
        """Take the event; the screen follows by itself."""
        with self._lock:
            self._fold.apply(event)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _look(self) -> SearchProgress:
        with self._lock:
            return self._fold.progress(time.time())


class LogLines:
    """The search's progress in a log: a line after a rung, at most one a minute."""

    name = "progress in the log"

    def __init__(self, write: Callable[[str], None], every_s: float = LINE_EVERY_S) -> None:
        from results.ledger.progress import ProgressFold

        self._fold = ProgressFold()
        self._write = write
        self._every_s = every_s
        self._next = time.monotonic() + every_s

    def begin(self, earlier: Sequence[Event]) -> None:
        """Take what is there already."""
        for event in earlier:
            self._fold.apply(event)

    def on_event(self, event: Event) -> None:
        """Write a line if it is time for one."""
        self._fold.apply(event)
        if is_kind(event, "rung") and time.monotonic() >= self._next:
            self._write(one_line(self._fold.progress(time.time())))
            self._next = time.monotonic() + self._every_s

    def close(self) -> None:
        """Write nothing: what the search came to is told by who ran it."""
