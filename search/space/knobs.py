"""A knob of the search space: its values, and the condition under which it has an effect."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from data_prep.schema import Config, canonical_json

Params = dict[str, Any]
"""{knob: value} of one point: only the knobs that have an effect there, in the space's order."""

SPEC_KEYS = ("choices", "low", "high", "step", "log", "when")
"""Keys of a knob that is written as a mapping."""
MAX_CHOICES = 10_000
"""Most choices of one knob."""
N_STEPS = 8
"""Steps into which a continuous range is divided for neighbours."""
N_DIGITS = 4
"""Significant digits of a value drawn from a range."""


class Knob(Config):
    """A knob: a list of choices, or a continuous range."""

    choices: tuple[Any, ...] = ()
    """Its values, numbers in increasing order; empty for a continuous range."""
    low: float = 0.0
    """Smallest value of a continuous range."""
    high: float = 0.0
    """Largest value of a continuous range."""
    log: bool = False
    """Whether the range is searched on a logarithmic scale."""
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """{other knob: its values with which this one has an effect}; all must be met. Empty: no condition."""

    @cached_property
    def _indices(self) -> dict[Any, int]:
        return {identity(choice): index for index, choice in enumerate(self.choices)}

    @property
    def is_range(self) -> bool:
        """Whether it is a continuous range between `low` and `high`."""
        return not self.choices

    @cached_property
    def is_ordered(self) -> bool:
        """Whether its values are ordered: numbers, or pairs of them."""
        return self.is_range or all(ordinal(value) is not None for value in self.choices)

    @property
    def is_fixed(self) -> bool:
        """Whether it has only one value."""
        return len(self.choices) == 1

    @property
    def ends(self) -> tuple[Any, ...]:
        """The smallest and the largest value if its values are ordered, else every choice."""
        if self.is_range:
            return self.low, self.high
        return (self.choices[0], self.choices[-1]) if self.is_ordered else self.choices

    def index(self, value: Any) -> int | None:
        """Return the index of a choice; None if `value` is not one. All values within a range have index 0."""
        if self.is_range:
            within = isinstance(value, (int, float)) and self.low <= value <= self.high
            return 0 if within else None
        return self._indices.get(identity(value))

    def indices(self, values: Iterable[Any]) -> set[int]:
        """Return the indices of those of `values` that are choices."""
        return {index for value in values if (index := self.index(value)) is not None}

    def unit(self, value: Any) -> float:
        """Return the position of a value between the smallest (0) and the largest (1); for choices by index."""
        if not self.is_range:
            return (self.index(value) or 0) / max(1, len(self.choices) - 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def at(self, unit: float) -> float:
        """Return the value of a range at position `unit` (0 to 1), rounded to `N_DIGITS` significant digits."""
        value = self.low * (self.high / self.low) ** unit if self.log else self.low + unit * (self.high - self.low)
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """Return a value of a range, rounded to `N_DIGITS` significant digits within the range."""
        return min(self.high, max(self.low, float(f"{value:.{N_DIGITS}g}")))

    def as_written(self) -> Any:
        """Return the knob as written in a configuration file."""
        when = {"when": {name: list(values) for name, values in self.when.items()}} if self.when else {}
        if self.is_range:
            return {"low": self.low, "high": self.high, **({"log": True} if self.log else {}), **when}
        return {"choices": list(self.choices), **when} if when else list(self.choices)


def read_knob(spec: Any, normalized: Callable[[Any], Any]) -> Knob:
    """Return the knob that `spec` describes, without its condition.

    Args:
        spec: a value, a list of choices, or a mapping of `SPEC_KEYS`, as in a configuration file.
        normalized: returns a value as validated by the field that the knob sets.

    Raises:
        ValueError: if `spec` is invalid, or from `normalized`.
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
            raise ValueError(f"has choices and {other}: use either choices, or low and high")
        choices = spec["choices"]
        return _of_choices(choices if isinstance(choices, (list, tuple)) else (choices,), normalized)
    if "low" not in spec or "high" not in spec:
        raise ValueError("needs choices, or both low and high")
    return _of_range(spec, normalized)


def identity(value: Any) -> Any:
    """Return a hashable that is equal for equal values, also after a round trip through JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    return float(value) if isinstance(value, (int, float)) else canonical_json(value)


def ordinal(value: Any) -> float | None:
    """Return a number to order values by: of a pair, such as strides, the root of its product; None if not ordered."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, tuple) and len(value) == 2 and all(type(part) is int and part > 0 for part in value):
        return math.sqrt(value[0] * value[1])
    return None


def listed(values: Iterable[Any]) -> str:
    """Return values as comma-separated text, for messages."""
    return ", ".join(f"{name}" for name in values)


class ChoiceError(ValueError):
    """A choice that the knob's field refuses."""

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
        raise ValueError("needs at least one choice")
    if len({identity(choice) for choice in choices}) < len(choices):
        raise ValueError(f"choices must differ, got {listed(choices)}")
    knob = Knob(choices=tuple(choices))
    # Numbers in increasing order, so that a sampler's neighbours are the nearest values.
    return Knob(choices=tuple(sorted(choices, key=lambda value: ordinal(value) or 0.0))) if knob.is_ordered else knob


def _of_range(spec: Mapping[str, Any], normalized: Callable[[Any], Any]) -> Knob:
    for key in ("low", "high", *(["step"] if "step" in spec else [])):
        if isinstance(spec[key], bool) or not isinstance(spec[key], (int, float)) or not math.isfinite(spec[key]):
            raise ValueError(f"{key} must be a number, got {spec[key]!r}")
    low, high = (_end(key, spec[key], normalized) for key in ("low", "high"))
    if low >= high:
        raise ValueError(f"low must be below high, got {low} and {high}; for a single value write just the value")
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, got {log!r}")
    whole = isinstance(low, int) and isinstance(high, int)
    if log and (whole or "step" in spec):
        raise ValueError("log requires real numbers without a step: list the choices instead, such as [8, 16, 32]")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 for a logarithmic range, got {low}")
    step = spec.get("step", 1 if whole else None)
    if step is None:
        return Knob(low=low, high=high, log=log)
    if step <= 0:
        raise ValueError(f"step must be above 0, got {step}")
    n_choices = int((high - low) / step + 1e-9) + 1
    if n_choices > MAX_CHOICES:
        raise ValueError(f"has {n_choices:,} choices, at most {MAX_CHOICES:,} are allowed: use a larger step")
    return _of_choices([round(low + step * number, 10) for number in range(n_choices)], normalized)


def _end(key: str, value: Any, normalized: Callable[[Any], Any]) -> Any:
    try:
        return normalized(value)
    except ValueError as error:
        raise ValueError(f"{key} {value}: {error}") from None
