"""Reading and writing of YAML configurations: safe loading, without duplicate keys."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from data_prep.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, {} if it is empty.

    Raises:
        ConfigError: if the file can't be read, is not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Return a YAML mapping.

    Raises:
        ConfigError: if `text` is not YAML, or not a mapping.
    """
    data = load_yaml(text, source)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: must be a mapping of sections, is a {type(data).__name__}")
    return data


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys; plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping.

        Raises:
            ConstructorError: if a key is duplicated.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise ConstructorError(problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


class _Dumper(yaml.SafeDumper):
    """Safe dumper whose output `_Loader` reads as equal values; the text `1e3` is quoted."""


for _side in (_Loader, _Dumper):  # YAML 1.1 reads `1e-3` as text (no decimal point), YAML 1.2 and JSON as a number
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+|\d+\.\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
    )


def load_yaml(text: str, source: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ConfigError: if `text` is not YAML, or a key is duplicated.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}{position}: no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: no YAML: {error}") from None


def to_yaml(value: Any, *, in_one_line: bool = False) -> str:
    """Return plain mappings, lists and values as YAML with keys in their order."""
    style: dict[str, Any] = {"default_flow_style": True, "width": math.inf} if in_one_line else {}
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)
    return text
