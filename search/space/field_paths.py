"""Paths into a configuration, such as `stages.0.filters`: reading, setting and checking the values there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from data_prep.schema import Config


def checked_value(cls: type[Config], data: dict[str, Any], path: list[str], value: Any) -> Any:
    """Return `value` as validated by the field of `cls` at `path`.

    Raises:
        ValueError: if it is invalid.
    """
    set_value(data, cls, path, value)
    try:
        config = cls.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if problem["loc"]]
        if found:
            unknown = found[0]["type"] == "extra_forbidden"
            message = "unknown key" if unknown else found[0]["msg"].removeprefix("Value error, ")
            inner = ".".join(str(part) for part in found[0]["loc"][len(path) :])
            raise ValueError(f"{inner}: {message}" if inner and not unknown else message) from None
        return _plain(value)  # the fields are valid; rules between fields are checked with the other knobs
    return _plain(_get(config, path))


def set_value(data: dict[str, Any], cls: type[Config], path: Sequence[str], value: Any) -> None:
    """Set the value at `path` in `data`, starting from the field's default if `data` lacks the field.

    Raises:
        ValueError: if the path does not exist.
    """
    top = path[0]
    if len(path) == 1:
        data[top] = value
        return
    field = cls.model_fields[top]
    data[top] = node = _changeable(data.get(top, field.get_default(call_default_factory=True)))
    for number, part in enumerate(path[1:], start=1):
        is_last = number == len(path) - 1
        key = _key(node, part, ".".join(path[:number]), is_last)
        if is_last:
            node[key] = value
        else:
            node = node[key]


def _key(node: Any, part: str, where: str, is_last: bool) -> Any:
    if isinstance(node, list):
        if not part.isdigit() or int(part) >= len(node):
            raise ValueError(f"{where} has no entry {part!r}; its last entry is {len(node) - 1}")
        return int(part)
    if not isinstance(node, dict):
        raise ValueError(f"{where} is a single value and has no {part!r}")
    key = int(part) if part.isdigit() else part
    if not is_last and key not in node:
        raise ValueError(f"{where} has no {part!r}; its keys: {', '.join(map(str, node)) or 'none'}")
    return key


def _get(config: Any, path: Iterable[str]) -> Any:
    for part in path:
        key = int(part) if part.isdigit() else part
        config = getattr(config, part) if isinstance(config, Config) else config[key]
    return config


def _plain(value: Any) -> Any:
    """Return a value with configurations as dictionaries and lists as tuples."""
    if isinstance(value, Config):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, dict) else value


def _changeable(value: Any) -> Any:
    """Return a mutable copy of a value, in lists and dictionaries."""
    if isinstance(value, Config):
        value = value.model_dump()
    if isinstance(value, (list, tuple)):
        return [_changeable(part) for part in value]
    return {key: _changeable(part) for key, part in value.items()} if isinstance(value, dict) else value


def holds_parts(annotation: Any) -> bool:
    """Return whether a path can continue into a field of this type: a tuple, list or mapping."""
    origin = getattr(annotation, "__origin__", annotation)
    if origin in (tuple, list, dict):
        return True
    return any(holds_parts(argument) for argument in get_args(annotation) if argument is not None)
