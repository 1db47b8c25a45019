"""What a point of the space stands for: a network, changes to the recipe, an export mode."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

from pydantic import Field, ValidationError, model_validator

from asc_models.config import EXPORT_MODES, ExportMode, TrainConfig
from asc_models.families import FAMILIES
from asc_models.network import NetworkConfig
from data_prep.errors import ConfigError
from data_prep.schema import Config

MAX_FILTERS = 1024
"""Widest block that a network's description takes."""
TRAIN = "train."
"""What the names of the recipe's knobs begin with."""
MODE = "mode"
"""The knob of the export."""
FIXED_BY_SWEEP = {
    "epochs": "search.epochs is the length of a trial, train.epochs that of a retraining",
    "schedule": "trials are compared at the ends of its cycles, which must be the same for all",
    "first_cycle": "trials are compared at the ends of its cycles, which must be the same for all",
    "cycle_factor": "trials are compared at the ends of its cycles, which must be the same for all",
}
"""{field of the recipe that is no knob: why}."""


class StagesShape(Config):
    """The stages of an inverted_residual network in four numbers."""

    n_blocks: int = Field(3, ge=1, le=24)
    """Inverted residual blocks, each a stage of its own."""
    base_filters: int = Field(32, ge=1, le=512)
    """Filters of the first block."""
    growth: float = Field(1.25, ge=1.0, le=3.0)
    """Factor from one block's filters to the next one's, rounded to a multiple of 8; at least 1, so that widths never
    fall."""
    n_strided: int = Field(2, ge=0, le=24)
    """How many of the first blocks have stride 2."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        widest = block_filters(self.base_filters, self.growth, self.n_blocks - 1)
        if widest > MAX_FILTERS:
            raise ValueError(
                f"the widest block would have {widest} filters, at most {MAX_FILTERS} are allowed: lower the largest "
                f"base_filters ({self.base_filters}), growth ({self.growth}) or n_blocks ({self.n_blocks})"
            )
        return self

    def stages(self) -> list[dict[str, Any]]:
        """Return the field `stages` of the network."""
        return [
            {
                "filters": block_filters(self.base_filters, self.growth, index),
                "stride": 2 if index < self.n_strided else 1,
            }
            for index in range(self.n_blocks)
        ]


SHAPED = "inverted_residual"
"""The family whose stages `StagesShape` describes."""
SHAPE = frozenset(StagesShape.model_fields)
"""Names of its numbers."""


def block_filters(base_filters: int, growth: float, index: int) -> int:
    """Return the filters of block `index` (from 0): base_filters × growth^index, to the nearest multiple of 8."""
    return max(8, 8 * int(base_filters * growth**index / 8 + 0.5))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a point of the space stands for."""

    model: NetworkConfig
    """The network."""
    train_overrides: dict[str, Any]
    """{field of the recipe: value}; the others are the run's."""
    mode: ExportMode | None
    """Export in which it is sized and scored; None leaves that to search.mode."""


def build(family: str, params: Mapping[str, Any]) -> Candidate:
    """Return what `params` of a space of `family` stand for.

    Raises:
        ConfigError: if no network can be that.
    """
    model: dict[str, Any] = {}
    train: dict[str, Any] = {}
    shape: dict[str, Any] = {}
    mode: ExportMode | None = None
    paths: list[tuple[list[str], Any]] = []
    for name, value in params.items():
        if name == MODE:
            mode = value
        elif name.startswith(TRAIN):
            train[name.removeprefix(TRAIN)] = value
        elif is_shape(family, name):
            shape[name] = value
        elif "." in name:
            paths.append((name.split("."), value))
        else:
            model[name] = value
    cls = FAMILIES[family]
    try:
        if shape:
            model["stages"] = StagesShape.model_validate(shape).stages()
        for path, value in sorted(paths, key=lambda item: len(item[0])):
            _set(model, cls, path, value)
        return Candidate(cls.model_validate(model), train, mode)
    except ValidationError as error:
        raise ConfigError(problems(error)) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def normalized(family: str, name: str, value: Any, others: Mapping[str, Any]) -> Any:
    """Return a knob's value as the field that it sets holds it; rules between fields are not looked at.

    Args:
        family: of the network.
        name: of the knob.
        value: as the configuration says it.
        others: values of the knobs that decide what the network has at all: an outer field's, for a path into it.

    Raises:
        ValueError: with the field's rule.
    """
    if name == MODE:
        if value not in EXPORT_MODES:
            raise ValueError(f"must be an export mode, one of {', '.join(EXPORT_MODES)}")
        return value
    if name.startswith(TRAIN):
        return _checked(TrainConfig, {}, [name.removeprefix(TRAIN)], value)
    if is_shape(family, name):
        return _checked(StagesShape, {}, [name], value)
    data: dict[str, Any] = {}
    for other, outer in sorted(others.items(), key=lambda item: item[0].count(".")):
        _set(data, FAMILIES[family], other.split("."), outer)
    return _checked(FAMILIES[family], data, name.split("."), value)


def known_knobs(family: str) -> list[str]:
    """Return the names that a knob of the family may begin with."""
    fields = [name for name in FAMILIES[family].model_fields if name != "family"]
    shape = list(StagesShape.model_fields) if family == SHAPED else []
    train = [f"{TRAIN}{name}" for name in TrainConfig.model_fields if name not in FIXED_BY_SWEEP]
    return [*shape, *fields, *train, MODE]


def require_known(family: str, name: str) -> None:
    """Raise ValueError unless a knob may be called `name`, with the nearest name that is known."""
    field = name.removeprefix(TRAIN)
    if name.startswith(TRAIN) and field in FIXED_BY_SWEEP:
        raise ValueError(f"the search sets it itself: {FIXED_BY_SWEEP[field]}. Set it outside `space`")
    known = known_knobs(family)
    if name in known or (not name.startswith(TRAIN) and name.split(".")[0] in FAMILIES[family].model_fields):
        return
    near = _near(name, known)
    if near is None:
        train = f"{TRAIN}… for a field of the recipe"
        raise ValueError(f"unknown key; known here: {', '.join(n for n in known if TRAIN not in n)}, {train}")
    raise ValueError(f"unknown key; did you mean {near!r}?")


def has_inside(family: str, name: str) -> bool:
    """Return whether the field called `name` has parts of its own, which a path can lead to."""
    field = FAMILIES[family].model_fields.get(name.split(".")[0])
    return field is not None and not is_shape(family, name) and _holds_parts(field.annotation)


def is_shape(family: str, name: str) -> bool:
    """Return whether `name` is one of the numbers that describe the stages."""
    return family == SHAPED and name in SHAPE


def problems(error: ValidationError) -> str:
    """Return what is wrong, in one line."""
    return "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())


def _near(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like `name`, with its section where it was given without."""
    last = [other for other in known if other.rpartition(".")[2] == name.rpartition(".")[2]]
    return next(iter(last or difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


def _checked(cls: type[Config], data: dict[str, Any], path: list[str], value: Any) -> Any:
    """Return the value at `path` as `cls` holds it.

    Raises:
        ValueError: if the field doesn't take it.
    """
    _set(data, cls, path, value)
    try:
        config = cls.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if problem["loc"]]
        if found:
            unknown = found[0]["type"] == "extra_forbidden"
            message = "unknown key" if unknown else found[0]["msg"].removeprefix("Value error, ")
            inner = ".".join(str(part) for part in found[0]["loc"][len(path) :])
            raise ValueError(f"{inner}: {message}" if inner and not unknown else message) from None
        return _plain(value)  # the fields are right; how they go together is looked at with the other knobs
    return _plain(_get(config, path))


def _set(data: dict[str, Any], cls: type[Config], path: Sequence[str], value: Any) -> None:
    """Set what `path` leads to, in `data` or else in the field's default.

    Raises:
        ValueError: if it leads nowhere.
    """
    top = path[0]
    if len(path) == 1:
        data[top] = value
        return
    field = cls.model_fields[top]
    data[top] = place = _changeable(data.get(top, field.get_default(call_default_factory=True)))
    for number, part in enumerate(path[1:], start=1):
        is_last = number == len(path) - 1
        key = _key(place, part, ".".join(path[:number]), is_last)
        if is_last:
            place[key] = value
        else:
            place = place[key]


def _key(place: Any, part: str, where: str, is_last: bool) -> Any:
    if isinstance(place, list):
        if not part.isdigit() or int(part) >= len(place):
            raise ValueError(f"{where} ends with entry {len(place) - 1}; there is no {part!r} in it")
        return int(part)
    if not isinstance(place, dict):
        raise ValueError(f"{where} is a single value; there is no {part!r} in it")
    key = int(part) if part.isdigit() else part
    if not is_last and key not in place:
        raise ValueError(f"{where} has {', '.join(map(str, place)) or 'nothing'} in it; there is no {part!r}")
    return key


def _get(config: Any, path: Iterable[str]) -> Any:
    for part in path:
        key = int(part) if part.isdigit() else part
        config = getattr(config, part) if isinstance(config, Config) else config[key]
    return config


def _plain(value: Any) -> Any:
    """Return a value without classes of ours, lists as tuples."""
    if isinstance(value, Config):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, dict) else value


def _changeable(value: Any) -> Any:
    """Return a copy of a value in lists and dictionaries."""
    if isinstance(value, Config):
        value = value.model_dump()
    if isinstance(value, (list, tuple)):
        return [_changeable(part) for part in value]
    return {key: _changeable(part) for key, part in value.items()} if isinstance(value, dict) else value


def _holds_parts(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", annotation)
    if origin in (tuple, list, dict):
        return True
    return any(_holds_parts(argument) for argument in get_args(annotation) if argument is not None)
