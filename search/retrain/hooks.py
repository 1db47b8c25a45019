"""What a training reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


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
    on_device: Callable[[], None] = _nothing
    """Called when the network of a device is finished, if there are any."""

    def also(self, note: Callable[[int], None]) -> Hooks:
        """Return hooks that call `note` with the same numbers of epochs before."""

        def both(report: Callable[[int], None]) -> Callable[[int], None]:
            """Return a function that calls `note`, then `report`."""

            def call(epoch: int) -> None:
                """Call both."""
                note(epoch)
                report(epoch)

            return call

        return replace(self, on_start=both(self.on_start), on_epoch=both(self.on_epoch))


NO_HOOKS = Hooks()
