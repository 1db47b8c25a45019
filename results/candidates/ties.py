"""Groups of systems that the clips of a split do not tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asc_models.metrics import log_loss
from results.candidates.differences import Difference, difference_to
from results.candidates.predictions import Predictions


@dataclass(frozen=True)
class TieGroup:
    """A system, and those with a higher log loss that the clips do not tell apart from it."""

    best: str
    others: tuple[Difference, ...]
    """Differences of the other systems to `best`, lowest log loss first."""

    @property
    def names(self) -> tuple[str, ...]:
        """All systems of the group, lowest log loss first."""
        return (self.best, *(one.system for one in self.others))


def tie_groups(systems: Mapping[str, Predictions]) -> list[TieGroup]:
    """Return the systems in groups, lowest log loss first.

    The first group is the system with the lowest log loss and all whose paired difference to it has a 95 % interval,
    over locations, that contains 0; the next group is made alike of the rest. Intervals are of single pairs: they are
    not widened for the number of pairs.

    Args:
        systems: {name: predictions of one split}; those without labels are left out.
    """
    losses = {
        name: log_loss(one.labels, one.probabilities)
        for name, one in systems.items()
        if one.is_labelled and len(one.clips)
    }
    left, groups = sorted(losses, key=lambda name: (losses[name], name)), []
    while left:
        best, *rest = left
        found = {name: difference_to((name, systems[name]), (best, systems[best])) for name in rest}
        tied = {name: one for name, one in found.items() if one is not None and _contains_zero(one.loss_interval)}
        groups.append(TieGroup(best, tuple(tied.values())))
        left = [name for name in rest if name not in tied]
    return groups


def _contains_zero(interval: tuple[float, float]) -> bool:
    low, high = interval
    return low <= 0.0 <= high
