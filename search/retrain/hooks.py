"""What a training reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _ignore(epoch: int) -> None:
    """Do nothing."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Hooks:
    """Functions that a training calls."""

    on_start: Callable[[int], None] = _ignore
    """Called once with the number of epochs finished by an earlier call."""
    on_epoch: Callable[[int], None] = _ignore
    """Called with the number of finished epochs."""
    on_save: Callable[[], None] = _nothing
    """Called when the checkpoint has been written."""

    def also(self, note: Callable[[int], None]) -> Hooks:
        """Return hooks that call `note` with the same numbers of epochs before."""

        def both(report: Callable[[int], None]) -> Callable[[int], None]:
            """Return a function that calls `note`, then `report`."""

            def call(epoch: int) -> None:
                """Call both."""
                note(epoch)
                report(epoch)

            return call

        return Hooks(both(self.on_start), both(self.on_epoch), self.on_save)


NO_HOOKS = Hooks()
