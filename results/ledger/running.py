"""Reports of running trials between rungs, for the live table and `asc status`: one small file per trial.

A trial's process writes it into the folder of the checkpoints, which every node reaches, and removes it at the rung.
Reports are no part of the ledger: nothing follows from them, and nothing is lost with them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter

from data_prep.errors import AscError
from data_prep.store.store import Location, Store, open_store

EVERY_S = 1.0
"""Least seconds between two reports of epochs, and between two reads."""
LEAST_SHARE = 100
"""An access that takes some time is followed by none for at least this many times as long. Slow object stores thus cost
a training one percent at most."""
SUFFIX = ".json"

Phase = Literal["starting", "training", "scoring"]
"""`starting` until the first epoch has ended; `scoring` is the export and its validation."""


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """What a running trial is doing."""

    trial_id: str
    node: str
    """Name of the machine."""
    rung: int
    """The rung that it trains to, counted from 0."""
    phase: Phase
    epoch: int
    """Epochs finished, summed over the trial's networks."""
    epochs: int
    """Epochs at the rung, summed in the same way."""
    loss: float | None
    """Mean training loss of the last epoch; None before the first."""
    started: float
    """Start of the work towards this rung, in seconds since 1970."""


_REPORT = TypeAdapter(RunningTrial)


class RunningReports:
    """Writes or reads the reports in the folder of the checkpoints. No method raises: a report is not worth a trial.

    Args:
        location: folder or URI of the checkpoints.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._store: Store | None = None
        self._next = 0.0
        self._known: tuple[RunningTrial, ...] = ()

    def write(self, trial: RunningTrial) -> None:
        """Write a trial's report, unless the last one is too recent and this one is only about another epoch."""
        begun = time.monotonic()
        if trial.phase == "training" and begun < self._next:
            return
        with suppress(AscError, OSError):
            self._opened().write(f"{trial.trial_id}{SUFFIX}", json.dumps(asdict(trial)).encode())
        self._wait(begun)

    def read(self) -> Sequence[RunningTrial]:
        """Return the reports of all trials, by name; those of the last call if that was very recent."""
        begun = time.monotonic()
        if begun >= self._next:
            with suppress(AscError, OSError):
                found = (self._read(name) for name in self._opened().names() if name.endswith(SUFFIX))
                self._known = tuple(trial for trial in found if trial is not None)
            self._wait(begun)
        return self._known

    def remove(self, trial_id: str) -> None:
        """Remove a trial's report, if any."""
        with suppress(AscError, OSError):
            self._opened().remove(f"{trial_id}{SUFFIX}")

    def clear(self) -> None:
        """Remove all reports that killed processes left, also unfinished ones."""
        with suppress(AscError, OSError):
            for name in self._opened().names():
                if SUFFIX in name:
                    self._opened().remove(name)

    def _read(self, name: str) -> RunningTrial | None:
        """Return one report; None if it has been removed since or is damaged."""
        with suppress(FileNotFoundError, ValueError):
            return _REPORT.validate_json(self._opened().read(name))
        return None

    def _opened(self) -> Store:
        if self._store is None:
            self._store = open_store(self._location)
        return self._store

    def _wait(self, begun: float) -> None:
        now = time.monotonic()
        self._next = now + max(EVERY_S, LEAST_SHARE * (now - begun))
