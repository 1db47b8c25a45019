"""The settings of a point of the space: a network, changes to recipe and reader, an export mode."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import ValidationError

from asc_models.config import EXPORT_MODES, ExportMode, TrainConfig
from asc_models.networks.families import FAMILIES
from asc_models.networks.network import NetworkConfig
from data_prep.config import ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import Config
from search.space.field_paths import checked_value, holds_parts, set_value

TRAIN = "train."
"""Prefix of the recipe's knobs."""
READER = "reader."
"""Prefix of the reader's knobs."""
SECTIONS: dict[str, type[Config]] = {TRAIN: TrainConfig, READER: ReaderSpec}
"""{prefix: the section of the configuration that its knobs change}."""
MODE = "mode"
"""The knob of the export."""
FIXED_BY_SEARCH = {
    "epochs": "search.epochs is the length of a trial, train.epochs that of a retraining",
    "schedule": "trials are compared at the ends of its cycles, which must be the same for all",
    "epoch_examples": "trials are compared after equally many epochs, which must be equally long for all",
    "first_cycle": "trials are compared at the ends of its cycles, which must be the same for all",
    "cycle_factor": "trials are compared at the ends of its cycles, which must be the same for all",
}
"""{field of the recipe that cannot be a knob: why}."""


@dataclass(frozen=True, slots=True)
class PointSettings:
    """The network, recipe, reader and export mode of a point."""

    model: NetworkConfig
    """The network."""
    train_overrides: dict[str, Any]
    """{field of the recipe: value}; other fields are those of the run."""
    mode: ExportMode | None
    """Export mode in which the point is sized and scored; None means search.mode."""
    reader_overrides: dict[str, Any] = field(default_factory=dict)
    """{field of the reader: value}; other fields are those of the run."""


def build(family: str, params: Mapping[str, Any]) -> PointSettings:
    """Return the settings of the point `params` in a space of `family`.

    Raises:
        ConfigError: if they do not form a valid network.
    """
    model: dict[str, Any] = {}
    changes: dict[str, dict[str, Any]] = {prefix: {} for prefix in SECTIONS}
    short: dict[str, Any] = {}
    mode: ExportMode | None = None
    paths: list[tuple[list[str], Any]] = []
    for name, value in params.items():
        if name == MODE:
            mode = value
        elif prefix := section_of(name):
            changes[prefix][name.removeprefix(prefix)] = value
        elif in_shorthand(family, name):
            short[name] = value
        elif "." in name:
            paths.append((name.split("."), value))
        else:
            model[name] = value
    cls = FAMILIES[family]
    try:
        if short and cls.shorthand is not None:
            model[cls.shorthand.field] = cls.shorthand.model_validate(short).value()
        for path, value in sorted(paths, key=lambda item: len(item[0])):
            set_value(model, cls, path, value)
        return PointSettings(cls.model_validate(model), changes[TRAIN], mode, changes[READER])
    except ValidationError as error:
        raise ConfigError(problems(error)) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def normalized(family: str, name: str, value: Any, others: Mapping[str, Any]) -> Any:
    """Return a knob's value as validated by the field that it sets; rules between fields are not checked.

    Args:
        family: of the network.
        name: of the knob.
        value: as in the configuration.
        others: values of knobs that set an outer field, for a path into that field.

    Raises:
        ValueError: if the field refuses the value.
    """
    if name == MODE:
        if value not in EXPORT_MODES:
            raise ValueError(f"must be an export mode, one of {', '.join(EXPORT_MODES)}")
        return value
    if prefix := section_of(name):
        return checked_value(SECTIONS[prefix], {}, [name.removeprefix(prefix)], value)
    shorthand = FAMILIES[family].shorthand
    if shorthand is not None and in_shorthand(family, name):
        return checked_value(shorthand, {}, [name], value)
    data: dict[str, Any] = {}
    for other, outer in sorted(others.items(), key=lambda item: item[0].count(".")):
        set_value(data, FAMILIES[family], other.split("."), outer)
    return checked_value(FAMILIES[family], data, name.split("."), value)


@cache
def section_of(name: str) -> str:
    """Return the prefix of a knob of the recipe or the reader; empty for other knobs."""
    return next((prefix for prefix in SECTIONS if name.startswith(prefix)), "")


@cache
def in_shorthand(family: str, name: str) -> bool:
    """Return whether `name` belongs to the numbers that the family takes in place of a field."""
    shorthand = FAMILIES[family].shorthand
    return shorthand is not None and name in shorthand.model_fields


def known_knobs(family: str) -> list[str]:
    """Return the names of knobs of the family, without paths into fields."""
    fields = [name for name in FAMILIES[family].model_fields if name != "family"]
    shorthand = FAMILIES[family].shorthand
    short = [] if shorthand is None else list(shorthand.model_fields)
    train = [f"{TRAIN}{name}" for name in TrainConfig.model_fields if name not in FIXED_BY_SEARCH]
    reader = [f"{READER}{name}" for name in ReaderSpec.model_fields]
    return [*short, *fields, *train, *reader, MODE]


def require_known(family: str, name: str) -> None:
    """Raise ValueError, with the most similar name, unless `name` is a knob of the family."""
    field = name.removeprefix(TRAIN)
    if name.startswith(TRAIN) and field in FIXED_BY_SEARCH:
        raise ValueError(f"cannot be a knob: {FIXED_BY_SEARCH[field]}. Set it outside `space`")
    known = known_knobs(family)
    if name in known or (not section_of(name) and name.split(".")[0] in FAMILIES[family].model_fields):
        return
    near = _near(name, known)
    if near is None:
        others = f"{TRAIN}… for a field of the recipe, {READER}… for one of the reader"
        raise ValueError(f"unknown key; known keys: {', '.join(n for n in known if not section_of(n))}, {others}")
    raise ValueError(f"unknown key; did you mean {near!r}?")


def has_inside(family: str, name: str) -> bool:
    """Return whether a path can continue into the field called `name`."""
    field = FAMILIES[family].model_fields.get(name.split(".")[0])
    return field is not None and not in_shorthand(family, name) and holds_parts(field.annotation)


def problems(error: ValidationError) -> str:
    """Return the messages of a ValidationError in one line."""
    return "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())


def _near(name: str, known: Sequence[str]) -> str | None:
    """Return the known name most similar to `name`, with its prefix; None if there is none."""
    last = [other for other in known if other.rpartition(".")[2] == name.rpartition(".")[2]]
    return next(iter(last or difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)
