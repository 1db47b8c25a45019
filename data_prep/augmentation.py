"""What every augmentation states about itself; `data_prep.augment.registry` lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Step = TypeVar("Step", covariant=True)


@dataclass(frozen=True, eq=False)
class Augmentation(Generic[Step]):
    """One augmentation: what turns it on, how it is declared, what it does."""

    name: str
    switches: Mapping[str, str]
    """{knob that turns it on: how a DCASE submission declares it}. Knobs are fields of `train`; a copy's is its name in
    `prepare.augmentations`."""
    step: Step
    """Applies it, or builds what applies it: see `COPIES`, `STORED`, `MIXED` and `BATCHES`."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """{argument of the step: knob that gives it}. A copy draws its arguments from ranges, fields of
    `prepare.offline`."""
    needs: tuple[str, ...] = ()
    """Further knobs that it reads."""
    off: float = 0
    """Value of its switches that turns it off."""
    changes_length: bool = False
    """Whether it changes the number of frames, which a network that takes one length only can't train on."""

    @property
    def settings(self) -> tuple[str, ...]:
        """The knobs that have no effect while it is off."""
        knobs = dict.fromkeys((*self.arguments.values(), *self.needs))
        return tuple(knob for knob in knobs if knob not in self.switches)

    def is_on(self, recipe: Mapping[str, Any]) -> bool:
        """Return whether one of its switches is on among the values of `train`."""
        return any(recipe[knob] != self.off for knob in self.switches)

    def arguments_of(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of its step, taken from the values of `train`."""
        return {argument: recipe[knob] for argument, knob in self.arguments.items()}
