"""Observers that run in the background, so that a slow or unreachable server does not delay the search."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from results.ledger.events import Event
from search.observers.base import Observer

CLOSE_S = 30.0
"""Seconds that the end of a session waits for events still to be sent."""


class InBackground:
    """Passes events in order to an observer in a separate thread."""

    def __init__(self, observer: Observer, close_s: float = CLOSE_S) -> None:
        self.name = observer.name
        self._observer = observer
        self._close_s = close_s
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)

    def begin(self, earlier: Sequence[Event]) -> None:
        """Start the thread."""
        self._calls.put(lambda: self._observer.begin(earlier))
        self._thread.start()

    def on_event(self, event: Event) -> None:
        """Pass the event on; raise the error of an earlier call, if any."""
        self._raise()
        self._calls.put(lambda: self._observer.on_event(event))

    def close(self) -> None:
        """Wait until all events are passed on, at most `close_s` seconds."""
        if self._error is None:
            self._calls.put(self._observer.close)
        self._calls.put(None)
        if self._thread.is_alive():
            self._thread.join(self._close_s)
        if self._thread.is_alive():
            raise TimeoutError(f"not all events were sent: no answer for {self._close_s:.0f} s")
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception as error:  # raised again in the caller's thread
                self._error = error
                return
