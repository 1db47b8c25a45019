"""Reading and writing of YAML configurations: safe loading, without duplicate keys, in bounded time and memory."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from data_prep.errors import ConfigError
from data_prep.wording import shortened

MAX_BYTES = 1_000_000
"""Largest accepted text. Configurations have a few thousand bytes; parsing a megabyte takes seconds."""
MAX_VALUES = 100_000
"""Most values of a text, with every alias counted as what it stands for: nested aliases can stand for billions."""
MAX_DIGITS = 100
"""Longest accepted number or date."""
NUMERIC_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, {} if it is empty.

    Raises:
        ConfigError: if the file can't be read, is not YAML, or not a mapping.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        if error.start >= MAX_BYTES - 3:  # cut inside a character
            raise _too_large(str(path)) from None
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


def _require_bounded(node: yaml.Node | None, source: str) -> None:
    """Raise ConfigError if the values of a document, aliases included, are too many, endless, or absurdly long."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        """Return the number of values that a node stands for."""
        if isinstance(node, yaml.ScalarNode):
            if node.tag in NUMERIC_TAGS and len(node.value) > MAX_DIGITS:
                line = node.start_mark.line + 1
                raise ConfigError(f"{source}, line {line}: a number or date of {len(node.value):,} characters")
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = MAX_VALUES  # of an alias inside itself
            pairs = isinstance(node, yaml.MappingNode)
            sizes[id(node)] = 1 + sum(
                map(size, (part for pair in node.value for part in pair) if pairs else node.value)
            )
        return sizes[id(node)]

    if node is not None and (n_values := size(node)) > MAX_VALUES:
        raise ConfigError(
            f"{source}: has {n_values:,} values, counting aliases; a configuration has at most {MAX_VALUES:,}"
        )


def _too_large(source: str) -> ConfigError:
    return ConfigError(f"{source}: has more than {MAX_BYTES:,} bytes, which no configuration has")


class _Dumper(yaml.SafeDumper):
    """Safe dumper whose output `_Loader` reads as equal values; the text `1e3` is quoted."""


for _side in (_Loader, _Dumper):  # YAML 1.1 reads `1e-3` as text (no decimal point), YAML 1.2 and JSON as a number
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+|\d+\.\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
    )


def load_yaml(text: str, source: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ConfigError: if `text` is not YAML, a key is duplicated, or it is too large.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _too_large(source)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _require_bounded(node, source)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{source}{position}: not YAML: {shortened(str(error.problem or error.context), 200)}"
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: a date such as 2021-99-99
        raise ConfigError(f"{source}: not YAML: {shortened(str(error), 200)}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not a YAML configuration: lists or mappings are nested too deeply") from None


def to_yaml(value: Any, *, in_one_line: bool = False) -> str:
    """Return plain mappings, lists and values as YAML with keys in their order."""
    style: dict[str, Any] = {"default_flow_style": True, "width": math.inf} if in_one_line else {}
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)
    return text
