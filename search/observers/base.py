"""Observers of the ledger: they get every event after it is written, and their failures do not stop a search."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from results.candidates.candidates import read_metrics
from results.ledger.events import Event, EventKind
from results.ledger.lines import new_event
from results.ledger.trial import RungScore, Trial
from results.rundir import CandidateFiles

if TYPE_CHECKING:
    from search.study.state import EventLog


class Observer(Protocol):
    """Gets the events of a search. What it writes must follow from the ledger, so that it can be rebuilt."""

    name: str
    """Its name in warnings."""

    def begin(self, earlier: Sequence[Event]) -> None:
        """Start with the events of earlier sessions; called once, before the session's first event."""

    def on_event(self, event: Event) -> None:
        """Process one event of this session."""

    def close(self) -> None:
        """Finish; called once at the end of the session, also after an error."""


class Tracker(Observer, Protocol):
    """An observer that sends to a tracking server, which also keeps the files of retrained candidates."""

    def send_candidates(self, events: Sequence[Event], candidates: Sequence[CandidateFiles]) -> None:
        """Send the finished candidates of a run with these events; called apart from `begin` and `close`."""


class ObservedLedger:
    """A ledger that passes every event to its observers.

    Observers start with the first event: a session without events changes no file. An observer that fails is removed
    with one warning.
    """

    def __init__(self, ledger: EventLog, observers: Sequence[Observer], warn: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._observers = list(observers)
        self._warn = warn
        self._has_begun = False

    def append(self, event: EventKind, **fields: Any) -> None:
        """Write one event, then pass it to the observers."""
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
        """Close the observers, if they have started."""
        if self._has_begun:
            self._notify(lambda observer: observer.close())
        self._observers.clear()

    def _notify(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:  # no failure of an observer may end the search
                self._observers.remove(observer)
                with contextlib.suppress(Exception):
                    observer.close()
                self._warn(f"{observer.name}: {error or type(error).__name__}. The search continues without it.")


def facts_of(trial: Trial) -> dict[str, Any]:
    """Return a trial's identity, sizes and values at its last rung, as {name: value} without None."""
    names = ("key", "seed", "n_params", "macs", *(("rung", "epochs", *RungScore._fields) if trial.rung >= 0 else ()))
    facts = {name: value for name in names if (value := getattr(trial, name)) is not None}
    return facts | ({"reason": trial.last_reason} if trial.last_reason else {})


def candidate_facts(files: CandidateFiles) -> dict[str, float]:
    """Return a candidate's measured sizes and its scores as {`split_score`: value}, without what is unknown."""
    metrics = read_metrics(files.metrics_path)
    sizes = ("weight_bytes", "nonzero_weight_bytes", "file_bytes", "n_params", "macs")
    facts: dict[str, float] = {name: getattr(metrics, name) for name in sizes}
    for split in metrics.splits:
        for score in ("macro_accuracy", "log_loss"):
            if not math.isnan(value := metrics.value(split, score)):
                facts[f"{split}_{score}"] = value
    return facts


def finished_files(files: CandidateFiles) -> list[Path]:
    """Return the files of a candidate that a tracking server keeps: model, metrics, card and configuration.

    With networks of devices, its package, too, which has them.
    """
    kept = [files.tflite_path, files.metrics_path, files.card_path, files.config_path]
    if files.devices_dir.is_dir():
        kept.append(files.package_path)
    return [path for path in kept if path.is_file()]


@contextmanager
def observed(ledger: EventLog, observers: Sequence[Observer], warn: Callable[[str], None]) -> Iterator[ObservedLedger]:
    """Yield the observed ledger; the observers are closed at the end of the block."""
    log = ObservedLedger(ledger, observers, warn)
    try:
        yield log
    finally:
        log.close()
