"""JSON Schema of section `space`: the knobs of each family and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from asc_models.config import ExportMode
from asc_models.networks.families import DEFAULT_FAMILY, FAMILIES
from data_prep.schema import Config
from search.space.point import MODE, READER, SECTIONS, TRAIN, has_inside, known_knobs, section_of

Schema = dict[str, Any]

MODE_MEANING = "Export mode in which a candidate is sized and scored; defaults to search.mode."
_LISTS_OF_NAMES: Schema = {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}


def knob_values(family: str) -> dict[str, Schema]:
    """Return {knob: schema of one of its values, described by its meaning} for a family's knobs."""
    network = FAMILIES[family]
    fields = {
        **_fields(network),
        **({} if network.shorthand is None else _fields(network.shorthand)),
        **{f"{prefix}{name}": schema for prefix, cls in SECTIONS.items() for name, schema in _fields(cls).items()},
        MODE: {"enum": list(get_args(ExportMode)), "description": MODE_MEANING},
    }
    return {name: fields[name] for name in known_knobs(family)}


def space_schema(families: str, monotone: str) -> Schema:
    """Return the schema of a space, with the knobs of each family.

    Args:
        families: description of the key `family`.
        monotone: description of the key `monotone`.
    """
    known = knob_values(DEFAULT_FAMILY)
    dotted = {name: _knob(value) for name, value in known.items() if section_of(name)}
    sections = {
        prefix: _object({name.removeprefix(prefix): knob for name, knob in dotted.items() if name.startswith(prefix)})
        for prefix in SECTIONS
    }
    shared: dict[str, Schema] = {
        "family": {"enum": list(FAMILIES), "default": DEFAULT_FAMILY, "description": families},
        "monotone": {**_LISTS_OF_NAMES, "description": monotone},
        "mode": _knob(known[MODE]),
        "model": {"type": "object", "description": "Knobs of the network; this section is optional."},
        "train": {**sections[TRAIN], "description": "Knobs of the recipe, without the prefix `train.`."},
        "reader": {**sections[READER], "description": "Knobs of the reader, without the prefix `reader.`."},
        **dotted,
    }
    return {
        "type": "object",
        "properties": shared,
        "allOf": [
            {
                # Without `family` a space is of the default one.
                "if": {
                    "properties": {"family": {"const": name}},
                    "required": [] if name == DEFAULT_FAMILY else ["family"],
                },
                "then": {
                    "properties": {**_network_knobs(name), **dict.fromkeys(shared, True)},
                    "patternProperties": {f"^(model|{'|'.join(_with_parts(name))})\\.": True},
                    "additionalProperties": False,
                },
            }
            for name in FAMILIES
        ],
    }


def _network_knobs(family: str) -> dict[str, Schema]:
    values = {name: value for name, value in knob_values(family).items() if not section_of(name)}
    return {name: _knob(value, takes_paths=has_inside(family, name)) for name, value in values.items()}


def _knob(value: Schema, *, takes_paths: bool = False) -> Schema:
    """Return the schema of a knob: one value, a list of choices, choices with a condition, or a range."""
    one = {key: entry for key, entry in value.items() if key != "description"}
    choices = {"type": "array", "items": one, "minItems": 1}
    when = {"type": "object", "description": "{other knob: its values with which this one has an effect}"}
    forms: list[Schema] = [
        {"allOf": [one], "not": {"type": "array"}},
        choices,
        _object({"choices": {"anyOf": [choices, one]}, "when": when}, "choices"),
    ]
    if one.get("type") in ("integer", "number"):
        step = {"type": "number", "exclusiveMinimum": 0}
        parts = {"low": one, "high": one, "step": step, "log": {"type": "boolean"}, "when": when}
        forms.append(_object(parts, "low", "high"))
    if takes_paths:
        forms.append({"type": "object", "description": "Knobs of parts of the field, such as 0.filters."})
    return {"description": value["description"], "anyOf": forms}


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _with_parts(family: str) -> list[str]:
    return [name for name in FAMILIES[family].model_fields if has_inside(family, name)]


def _fields(cls: type[Config]) -> dict[str, Schema]:
    """Return {field: its schema without title and default}, with references replaced by their definitions."""
    schema = cls.model_json_schema()
    definitions = schema.get("$defs", {})

    def inlined(value: Any) -> Any:
        """Return a part of the schema with references replaced."""
        if isinstance(value, list):
            return [inlined(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inlined(definitions[value["$ref"].rpartition("/")[2]])
        return {key: inlined(entry) for key, entry in value.items()}

    return {
        name: {key: inlined(entry) for key, entry in field.items() if key not in ("title", "default")}
        for name, field in schema["properties"].items()
    }
