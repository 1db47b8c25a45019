"""Description of an augmentation; `data_prep.augment.registry` lists all augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

StepT = TypeVar("StepT", covariant=True)


@dataclass(frozen=True, eq=False)
class Augmentation(Generic[StepT]):
    """One augmentation: the settings that turn it on, its declaration in a submission, and its step."""

    name: str
    switches: Mapping[str, str]
    """{setting that turns it on: declaration in a DCASE submission}. Settings are fields of `train`; for copies, the
    name in `prepare.augmentations`."""
    step: StepT
    """Applies it, or builds a function that does: see `COPIES`, `STORED`, `MIXED` and `BATCHES`."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """{argument of the step: setting}. For copies, the setting is a range in `prepare.offline` from which the argument
    is drawn."""
    needs: tuple[str, ...] = ()
    """Further settings that it reads."""
    off: float = 0
    """Value of its switches that turns it off."""
    changes_length: bool = False
    """Whether it changes the number of frames; networks with a fixed input length can't use it."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings that have no effect while it is off."""
        knobs = dict.fromkeys((*self.arguments.values(), *self.needs))
        return tuple(knob for knob in knobs if knob not in self.switches)

    def is_on(self, recipe: Mapping[str, Any]) -> bool:
        """Return whether the values of `train` turn it on."""
        return any(recipe[knob] != self.off for knob in self.switches)

    def arguments_of(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of its step from the values of `train`."""
        return {argument: recipe[knob] for argument, knob in self.arguments.items()}
