"""The ledger as observers see it: every event is told after it is on the disk, and no observer can stop a search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from results.ledger.events import Event, Kind
from results.ledger.ledger import new_event
from results.ledger.trial import Score, Trial

if TYPE_CHECKING:
    from search.study.state import EventLog


class Observer(Protocol):
    """Whoever looks on. What it keeps on disk must follow from the ledger, so that it can be made anew."""

    name: str
    """What it is called in a warning."""

    def begin(self, earlier: Sequence[Event]) -> None:
        """Take what the ledger held before this session's first event; called once, before any other."""

    def on_event(self, event: Event) -> None:
        """Take one event of this session."""

    def close(self) -> None:
        """Finish what was shown or filed; called once, whatever ended the session."""


class ObservedLedger:
    """A ledger that tells its observers of every event.

    Nothing is begun before the first event: a session that has nothing to do touches no file. An observer that fails is
    let go with one warning.
    """

    def __init__(self, ledger: EventLog, observers: Sequence[Observer], warn: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._observers = list(observers)
        self._warn = warn
        self._has_begun = False

    def append(self, event: Kind, **fields: Any) -> None:
        """Write one event, then tell of it."""
        if not self._has_begun:
            self._has_begun = True
            earlier = self._ledger.events()
            self._notify(lambda observer: observer.begin(earlier))
        written = new_event(event, **fields)
        self._ledger.append(**written)
        self._notify(lambda observer: observer.on_event(written))

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""
        return self._ledger.events()

    def close(self) -> None:
        """Let the observers finish; those that never began have nothing to."""
        if self._has_begun:
            self._notify(lambda observer: observer.close())
        self._observers.clear()

    def _notify(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:  # whatever it is, it must not cost the search
                self._observers.remove(observer)
                with contextlib.suppress(Exception):
                    observer.close()
                self._warn(f"{observer.name}: {error or type(error).__name__}. The search goes on without it.")


def facts_of(trial: Trial) -> dict[str, Any]:
    """Return what a trial is and what its last rung measured, as files for others show it."""
    facts = {name: getattr(trial, name) for name in ("key", "seed", "n_params", "macs")}
    facts = {name: value for name, value in facts.items() if value is not None}
    if trial.rung >= 0:
        facts |= {name: getattr(trial, name) for name in ("rung", "epochs", *Score._fields)}
    return facts | ({"reason": trial.last_reason} if trial.last_reason else {})


@contextmanager
def observed(ledger: EventLog, observers: Sequence[Observer], warn: Callable[[str], None]) -> Iterator[ObservedLedger]:
    """Give the ledger to write to; at the end of the block the observers finish."""
    log = ObservedLedger(ledger, observers, warn)
    try:
        yield log
    finally:
        log.close()
