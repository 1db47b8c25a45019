"""Base class of all configurations: frozen, strict, with a canonical hash; all errors are reported together."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from data_prep.errors import ConfigError
from data_prep.wording import plural, shortened

MAX_REPORTED = 50
"""Most problems of a configuration that are reported."""


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no whitespace; equal values give equal text on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any, n_digits: int = 12) -> str:
    """Return the first `n_digits` hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:n_digits]


class Config(BaseModel):
    """A frozen configuration that refuses unknown keys. Defaults are the settings of the paper."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Fields added after version 0.1.0. `canonical` leaves them out at their default, so that earlier hashes remain
    valid."""

    def canonical(self) -> dict[str, Any]:
        """Return the settings as JSON values, for hashes and comparison with stored settings; see `ADDED`."""
        settings: dict[str, Any] = _canonical(self, self.model_dump(mode="json"))
        return settings

    def hash(self) -> str:
        """Return 12 hexadecimal digits that identify these settings, defaults included."""
        return content_hash(self.canonical())

    def updated(self, **changes: Any) -> Self:
        """Return a validated copy with `changes` applied (pydantic's `model_copy` does not validate).

        The copy and its sections keep track of which keys were set explicitly (`model_fields_set`).
        """
        copy = type(self).model_validate({**dict(self), **changes})
        copy.model_fields_set.intersection_update(self.model_fields_set | changes.keys())
        return copy


def _canonical(value: Any, dumped: Any) -> Any:
    """Return `dumped`, the dump of `value`, without `ADDED` fields at their default."""
    if isinstance(value, Config):
        defaults = _added_defaults(type(value))
        return {
            name: _canonical(getattr(value, name, None), part) if isinstance(part, (dict, list)) else part
            for name, part in dumped.items()
            if not (name in defaults and getattr(value, name) == defaults[name])
        }
    if isinstance(value, (list, tuple)) and isinstance(dumped, list):
        return [_canonical(part, out) for part, out in zip(value, dumped, strict=True)]
    return dumped


@cache
def _added_defaults(cls: type[Config]) -> dict[str, Any]:
    """Return {field of `ADDED`: its default}."""
    fields = cls.model_fields
    return {name: fields[name].get_default(call_default_factory=True) for name in cls.ADDED if name in fields}


C = TypeVar("C", bound="Config")


def parse_config(cls: type[C], data: Mapping[str, Any], source: str) -> C:
    """Return `data` as a validated `cls`.

    Args:
        cls: class of the configuration.
        data: nested mappings as read from YAML or JSON.
        source: origin of the data, for messages.

    Raises:
        ConfigError: with one line for each error: key path, rule, value, and the closest known key for a typo.
    """
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        found = error.errors()
        # A list with invalid elements is also reported as too short, which adds nothing.
        deeper = {problem["loc"][:length] for problem in found for length in range(len(problem["loc"]))}
        reported = [p for p in found if not (p["type"] == "too_short" and p["loc"] in deeper)]
        problems = [_describe(cls, problem) for problem in reported[:MAX_REPORTED]]
        if more := len(reported) - len(problems):
            problems.append(f"and {more:,} more")
        lines = "\n".join(f"  {line}" for line in problems)
        raise ConfigError(f"{source}: {plural(len(reported), 'problem')}\n{lines}") from None


def differing_keys(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Return the key paths at which two nested mappings differ, with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        return [line for key in keys for line in differing_keys(old.get(key), new.get(key), f"{prefix}{key}.")]
    return [] if old == new else [f"{prefix.rstrip('.')}: {_shown(old)} there, {_shown(new)} here"]


def _describe(cls: type[Config], problem: Any) -> str:
    path = ".".join(shortened(str(part), 100) for part in problem["loc"]) or "(top level)"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        models = _models_at(cls, problem["loc"][:-1])
        known = [name for model in models for name in model.model_fields]
        # The same name one section deeper (prepare.clip_seconds) is a better suggestion than a similar name here.
        deeper = [f"{section}.{key}" for model in models for section in _sections_with(model, key)]
        near = deeper[:1] or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        way_out = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{path}: unknown key; {way_out}"
    if problem["type"] == "missing":
        return f"{path}: required, but missing"
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        key = problem["ctx"]["discriminator"].strip("'")
        kinds = [
            model.model_fields[key].default for model in _models_at(cls, problem["loc"]) if key in model.model_fields
        ]
        found = f" (got {_shown(problem['ctx']['tag'])})" if "tag" in problem["ctx"] else ", but it is missing"
        return f"{path}: must name its {key}, one of {', '.join(kinds)}{found}"
    message = shortened(problem["msg"].removeprefix("Value error, "), 1000)
    value = problem.get("input")
    if isinstance(value, Mapping) or value is None:
        return f"{path}: {message}"
    return f"{path}: {message} (got {_shown(value)})"


def _shown(value: Any) -> str:
    return shortened(repr(value), 300)


def _sections_with(model: type[Config], key: str) -> list[str]:
    """Return the sections of `model` that have the key `key`."""
    sections = {name: _models_in(field.annotation) for name, field in model.model_fields.items()}
    return [name for name, inner in sections.items() if any(key in found.model_fields for found in inner)]


def _models_at(cls: type[Config], parents: tuple[int | str, ...]) -> list[type[Config]]:
    """Return the configuration classes that are allowed at the key path `parents`."""
    models = [cls]
    for part in parents:
        if isinstance(part, int):
            continue  # an index into a list: the annotation of the list gave the class of its elements
        models = [
            found
            for model in models
            if part in model.model_fields
            for found in _models_in(model.model_fields[part].annotation)
        ] or models
    return models


def _models_in(annotation: Any) -> list[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
