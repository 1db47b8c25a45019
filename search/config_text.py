"""The configuration as text: YAML with each key's meaning, JSON Schema for editors, the reference page."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from asc_models.networks.families import FAMILIES
from asc_models.networks.network import NetworkConfig
from data_prep.schema import Config
from data_prep.yaml_file import to_yaml
from search.config import RunConfig, shipped_configs
from search.space.config import SpaceConfig
from search.space.json_schema import knob_values
from search.space.point import FIXED_BY_SEARCH

DIALECT = "https://json-schema.org/draft/2020-12/schema"
WIDTH = 120


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a run's configuration file."""
    return {"$schema": DIALECT, **RunConfig.model_json_schema()}


def commented_yaml(config: RunConfig) -> str:
    """Return a configuration as YAML that reads back as the same, each key under its meaning."""
    return "\n".join(_entries(config, "")).lstrip("\n") + "\n"


def reference() -> str:
    """Return the reference of all keys as a Markdown page."""
    shipped = ", ".join(f"`{name}`" for name in shipped_configs())
    opening = [
        "# Configuration",
        "A run is described by one YAML file. Every key has a default; a file states what differs from it. "
        f"Shipped configurations: {shipped}. `asc config show CONFIG` prints a configuration with all its keys, and "
        "`asc config schema` the JSON Schema by which an editor completes and checks the file. This page is generated "
        "by `asc config show --markdown`.",
        "In a file that is edited with the YAML language server, the first line names the schema:",
        "```yaml\n# yaml-language-server: $schema=asc.schema.json\n```",
    ]
    return "\n\n".join([*opening, *_sections(RunConfig, "")]) + "\n"


def _entries(config: Config, indent: str) -> Iterator[str]:
    """Yield the lines of a configuration's keys."""
    plain = config.model_dump(mode="json")
    for key, meaning in _meanings(config).items():
        value = getattr(config, key, plain[key])
        if not indent:
            yield ""
        yield from _comment(meaning, indent)
        if isinstance(value, Config):
            yield f"{indent}{key}:"
            yield from _entries(value, f"{indent}  ")
        elif isinstance(value, tuple) and value and isinstance(value[0], Config):
            yield f"{indent}{key}:"
            for entry in value:
                first, *others = _entries(entry, f"{indent}    ")
                yield from (f"{indent}  - {first.lstrip()}", *others)
        else:
            yield f"{indent}{key}: {_written(plain[key])}"


def _meanings(config: Config) -> dict[str, str]:
    """Return {key as written: meaning}."""
    fields = {name: field.description or "" for name, field in type(config).model_fields.items()}
    if not isinstance(config, SpaceConfig):
        return fields
    known = {name: value["description"] for name, value in knob_values(config.family).items()}
    parts = {name: name.partition(".")[0] for name in config.knobs}  # a path has the meaning of the field it leads into
    knobs = {name: known.get(name) or f"Part of {parts[name]}: {known[parts[name]]}" for name in config.knobs}
    monotone = {"monotone": fields["monotone"]} if config.monotone else {}
    return {"family": fields["family"], **knobs, **monotone}


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, WIDTH - len(indent) - 2)]


def _sections(cls: type[Config], path: str) -> Iterator[str]:
    """Yield the parts of the page on a class and on what it holds."""
    if path:
        family = cls.model_fields["family"].default if issubclass(cls, NetworkConfig) else ""
        yield f"## `{path}`{family and f' of family `{family}`'}"
        yield _paragraphs(inspect.getdoc(cls) or "")
    if cls is SpaceConfig:
        yield from _space_section()
        return
    schemas = cls.model_json_schema()["properties"]
    rows = [
        f"| `{name}` | {_default(field)} | {_takes(schemas[name])} | {_cell(field.description or '')} |"
        for name, field in cls.model_fields.items()
    ]
    yield "\n".join(["| key | default | takes | meaning |", "|---|---|---|---|", *rows])
    for name, field in cls.model_fields.items():
        inner = f"{path}.{name}".lstrip(".")
        for found, is_list in configs_in(field.annotation):
            yield from _sections(found, f"{inner}[]" if is_list else inner)


def _space_section() -> Iterator[str]:
    fields = SpaceConfig.model_fields
    rows = [f"| `{name}` | {_cell(fields[name].description or '')} |" for name in ("family", "monotone")]
    yield "\n".join(["| key | meaning |", "|---|---|", *rows])
    yield (
        "Every other key is a knob: `mode`, a field of the network (`retrain.systems[].model`), or as `train.NAME` a "
        f"field of the recipe but {', '.join(f'`{name}`' for name in FIXED_BY_SEARCH)}. Unless a space sets them, "
        "its knobs are:"
    )
    rows = []
    for family in FAMILIES:
        network = FAMILIES[family]
        defaults = {**(network.shorthand.choices if network.shorthand is not None else {}), **network.choices}
        known = knob_values(family)
        rows += [
            f"| `{family}` | `{name}` | {', '.join(map(str, choices))} | {_cell(known[name]['description'])} |"
            for name, choices in defaults.items()
        ]
    yield "\n".join(["| family | knob | choices | meaning |", "|---|---|---|---|", *rows])


def configs_in(annotation: Any, is_list: bool = False) -> list[tuple[type[Config], bool]]:
    """Return the classes of sections that a field may hold, and whether in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [(annotation, is_list)]
    is_list = is_list or getattr(annotation, "__origin__", None) is tuple
    return [found for argument in get_args(annotation) for found in configs_in(argument, is_list)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Config) or (isinstance(value, tuple) and value and isinstance(value[0], Config)):
        return "see below"
    return f"`{_written(to_jsonable_python(value))}`"


def _written(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = to_yaml(value, in_one_line=True)
    return text.removesuffix("...\n").rstrip("\n")


def _takes(schema: dict[str, Any]) -> str:
    """Return in words what a key takes."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_takes(form) for form in schema[key]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "section")
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})]
        return f"list of {len(parts)}: {_takes(parts[0])}" if "prefixItems" in schema else f"list: {_takes(parts[0])}"
    if kind == "object":
        return f"mapping to {_takes(schema['additionalProperties'])}" if "additionalProperties" in schema else "mapping"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return ", ".join([{"null": "`null`", "string": "text", "boolean": "`true`, `false`"}.get(kind, kind), *said])


def _paragraphs(text: str) -> str:
    """Return a docstring with each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
