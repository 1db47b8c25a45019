"""What trainings report to the driver.

A module of its own without imports: the process of this actor would load all that a training needs, a second of a
processor for each call that trains.
"""

from __future__ import annotations


class Mailbox:
    """An actor that stores the progress of the trainings, by their keys, until the driver reads it.

    Trainings report without waiting for a reply: a task that waits for a Ray call releases its CPU, on which Ray would
    start another training.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._begun_at: dict[str, int] = {}

    def begin(self, key: str, epoch: int) -> None:
        """Store the number of epochs that were finished when a training's process started."""
        self._begun_at[key] = epoch

    def put(self, key: str, epoch: int) -> None:
        """Store the number of epochs that a training has finished."""
        self._epochs[key] = epoch

    def take(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return {key: finished epochs}, and {key: epochs finished at its start} since the last call."""
        begun_at, self._begun_at = self._begun_at, {}
        return self._epochs, begun_at
