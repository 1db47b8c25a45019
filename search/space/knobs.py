"""A knob of the search's space: what it may be set to, and under which condition it has an effect."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from data_prep.schema import Config, canonical_json

Params = dict[str, Any]
"""{knob: value} of one point: the knobs that have an effect there, in the space's order."""

SPEC_KEYS = ("choices", "low", "high", "step", "log", "when")
"""What a knob may be told as a mapping."""
MAX_CHOICES = 10_000
"""Most choices of one knob."""
N_STEPS = 8
"""Steps in which a range without steps is walked."""
N_DIGITS = 4
"""Significant digits of a value that is drawn from a range."""


class Knob(Config):
    """What one knob may be set to: a few choices, or any number of a range."""

    choices: tuple[Any, ...] = ()
    """Its values, numbers in rising order; empty for a range without steps."""
    low: float = 0.0
    """Smallest value of a range without steps."""
    high: float = 0.0
    """Largest value of a range without steps."""
    log: bool = False
    """Whether the range is searched by its logarithm."""
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """{other knob: values of it with which this one has an effect}; all must hold. Empty: it always has."""

    @cached_property
    def _indices(self) -> dict[Any, int]:
        return {identity(choice): index for index, choice in enumerate(self.choices)}

    @property
    def is_range(self) -> bool:
        """Whether it takes any number between `low` and `high`."""
        return not self.choices

    @cached_property
    def is_ordered(self) -> bool:
        """Whether its values stand on a scale."""
        return self.is_range or all(ordinal(value) is not None for value in self.choices)

    @property
    def is_fixed(self) -> bool:
        """Whether it has one value only."""
        return len(self.choices) == 1

    @property
    def ends(self) -> tuple[Any, ...]:
        """The outermost values of a scale; every choice where there is none."""
        if self.is_range:
            return self.low, self.high
        return (self.choices[0], self.choices[-1]) if self.is_ordered else self.choices

    def index(self, value: Any) -> int | None:
        """Return the number of a choice; None for what is none. In a range every value within it has number 0."""
        if self.is_range:
            within = isinstance(value, (int, float)) and self.low <= value <= self.high
            return 0 if within else None
        return self._indices.get(identity(value))

    def indices(self, values: Iterable[Any]) -> set[int]:
        """Return the numbers of choices."""
        return {index for value in values if (index := self.index(value)) is not None}

    def unit(self, value: Any) -> float:
        """Return where a value stands between the smallest (0) and the largest (1): of choices by their number."""
        if not self.is_range:
            return (self.index(value) or 0) / max(1, len(self.choices) - 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def at(self, unit: float) -> float:
        """Return the value of a range at `unit` between 0 and 1, in `N_DIGITS` significant digits."""
        value = self.low * (self.high / self.low) ** unit if self.log else self.low + unit * (self.high - self.low)
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """Return a value of a range in `N_DIGITS` significant digits, within the range."""
        return min(self.high, max(self.low, float(f"{value:.{N_DIGITS}g}")))

    def as_written(self) -> Any:
        """Return the knob as a configuration file says it."""
        when = {"when": {name: list(values) for name, values in self.when.items()}} if self.when else {}
        if self.is_range:
            return {"low": self.low, "high": self.high, **({"log": True} if self.log else {}), **when}
        return {"choices": list(self.choices), **when} if when else list(self.choices)


def read_knob(spec: Any, normalized: Callable[[Any], Any]) -> Knob:
    """Return a knob as a configuration file says it, without its condition.

    Args:
        spec: a value, a list of choices, or a mapping of `SPEC_KEYS`.
        normalized: a value as the field that the knob sets holds it.

    Raises:
        ValueError: with the rule that is broken; or whatever `normalized` raises.
    """
    if not isinstance(spec, Mapping):
        return _of_choices(spec if isinstance(spec, (list, tuple)) else (spec,), normalized)
    unknown = next((str(key) for key in spec if key not in SPEC_KEYS), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, SPEC_KEYS, n=1)
        way_out = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"a knob has choices, or low and high with step or log, and when; not {unknown!r}{way_out}")
    if "choices" in spec:
        other = next((key for key in ("low", "high", "step", "log") if key in spec), None)
        if other is not None:
            raise ValueError(f"has choices and {other}: name either choices, or low and high")
        choices = spec["choices"]
        return _of_choices(choices if isinstance(choices, (list, tuple)) else (choices,), normalized)
    if "low" not in spec or "high" not in spec:
        raise ValueError("needs choices, or both low and high")
    return _of_range(spec, normalized)


def identity(value: Any) -> Any:
    """Return what is equal for equal values, as they are or read from JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    return float(value) if isinstance(value, (int, float)) else canonical_json(value)


def ordinal(value: Any) -> float | None:
    """Return where a value stands on a scale; a pair, as strides are, by its product's root; None without a scale."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, tuple) and len(value) == 2 and all(type(part) is int and part > 0 for part in value):
        return math.sqrt(value[0] * value[1])
    return None


def listed(values: Iterable[Any]) -> str:
    """Return values in one line, for messages."""
    return ", ".join(f"{name}" for name in values)


class ChoiceError(ValueError):
    """A choice that the knob's field doesn't take."""

    def __init__(self, index: int, value: Any, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.value = value


def _of_choices(given: Iterable[Any], normalized: Callable[[Any], Any]) -> Knob:
    choices = []
    for index, value in enumerate(given):
        try:
            choices.append(normalized(value))
        except ValueError as error:
            raise ChoiceError(index, value, str(error)) from None
    if not choices:
        raise ValueError("needs one choice at least")
    if len({identity(choice) for choice in choices}) < len(choices):
        raise ValueError(f"names a choice twice: {listed(choices)}")
    knob = Knob(choices=tuple(choices))
    # Numbers in rising order, so that neighbours for a sampler are neighbours in fact.
    return Knob(choices=tuple(sorted(choices, key=lambda value: ordinal(value) or 0.0))) if knob.is_ordered else knob


def _of_range(spec: Mapping[str, Any], normalized: Callable[[Any], Any]) -> Knob:
    for key in ("low", "high", *(["step"] if "step" in spec else [])):
        if isinstance(spec[key], bool) or not isinstance(spec[key], (int, float)) or not math.isfinite(spec[key]):
            raise ValueError(f"{key} must be a number, got {spec[key]!r}")
    low, high = (_end(key, spec[key], normalized) for key in ("low", "high"))
    if low >= high:
        raise ValueError(f"low must lie below high, got {low} and {high}; a single value needs no range")
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, got {log!r}")
    whole = isinstance(low, int) and isinstance(high, int)
    if log and (whole or "step" in spec):
        raise ValueError("log is for real numbers without a step: name the choices instead, such as [8, 16, 32]")
    if log and low <= 0:
        raise ValueError(f"a range searched by its logarithm must lie above 0, got low {low}")
    step = spec.get("step", 1 if whole else None)
    if step is None:
        return Knob(low=low, high=high, log=log)
    if step <= 0:
        raise ValueError(f"step must be above 0, got {step}")
    n_choices = int((high - low) / step + 1e-9) + 1
    if n_choices > MAX_CHOICES:
        raise ValueError(f"has {n_choices:,} choices, at most {MAX_CHOICES:,} are allowed: take a larger step")
    return _of_choices([round(low + step * number, 10) for number in range(n_choices)], normalized)


def _end(key: str, value: Any, normalized: Callable[[Any], Any]) -> Any:
    try:
        return normalized(value)
    except ValueError as error:
        raise ValueError(f"{key} {value}: {error}") from None
