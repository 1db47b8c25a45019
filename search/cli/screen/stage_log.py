"""Progress of a stage in a log, where there is no terminal to draw a bar on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from data_prep.wording import duration_text

FIRST_AFTER_S = 60.0
"""Seconds before the first line; most stages are over by then and have none."""
THEN_EVERY_S = 600.0
"""Least seconds between two further lines."""


class StageLog:
    """Writes a line with the share done and the estimated time left, first after a minute, then every ten.

    Args:
        title: name of the stage.
        unit: what is counted.
        say: writes a line.
        clock: returns seconds.
    """

    def __init__(
        self, title: str, unit: str, say: Callable[[str], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = title
        self._unit = unit
        self._say = say
        self._clock = clock
        self._started = clock()
        self._due = self._started + FIRST_AFTER_S
        self._n_before: int | None = None

    def update(self, done: int, total: int) -> None:
        """Take in a progress; the first one, of what earlier calls have done, is not part of the rate."""
        now = self._clock()
        if self._n_before is None:
            self._n_before, self._started = done, now
        n_new = done - self._n_before
        if now < self._due or not 0 < done < total or not n_new:
            return
        left = (total - done) * (now - self._started) / n_new
        self._say(
            f"{self._title}: {done:,} of {total:,} {self._unit} ({done / total:.0%}), about {duration_text(left)} left"
        )
        self._due = now + THEN_EVERY_S
