"""Section `space` of a configuration: the knobs, checked against the fields that they set."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, ValidationError, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from asc_models.config import TrainConfig
from asc_models.networks.families import DEFAULT_FAMILY, FAMILIES
from data_prep.config import ReaderSpec
from data_prep.schema import Config
from search.space.checks import SpaceProblem, check_lattice, clashes, raise_problems, rising_lists
from search.space.effects import without_effect
from search.space.json_schema import space_schema
from search.space.knobs import SPEC_KEYS, ChoiceError, Knob, listed, read_knob
from search.space.point import (
    READER,
    SECTIONS,
    TRAIN,
    build,
    has_inside,
    in_shorthand,
    known_knobs,
    normalized,
    problems,
    require_known,
    section_of,
)


class SpaceConfig(Config):
    """Section `space`: the search space. Its defaults include the networks of the paper (Cao et al., 2021).

    A key is a field of the network (`kernel_size`, `stages.0.filters`; the prefix `model.` is optional), a field of
    the recipe (`train.learning_rate`) or of the reader (`reader.scaling`), or `mode`, the export mode. It takes one
    value, a list of choices, `{low, high, step}` or, for real numbers, `{low, high, log: true}`. With a condition, as
    in `{choices: …, when: {attention: [channel, casam]}}`, a knob has an effect only with these values of another.
    `inverted_residual` takes n_blocks, base_filters, growth and n_strided instead of its stages.
    """

    family: str = DEFAULT_FAMILY
    """Network family."""
    knobs: dict[str, Knob] = Field(default_factory=dict)
    """{name: knob}, from the section's other keys."""
    monotone: tuple[tuple[str, ...], ...] = ()
    """Lists of knobs along which values must not decrease."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        found: list[SpaceProblem] = []
        family = data.get("family", DEFAULT_FAMILY)
        if not isinstance(family, str) or family not in FAMILIES:
            raise_problems([(("family",), f"unknown family; families: {', '.join(FAMILIES)}", family)])
        specs = _flat(family, {key: data[key] for key in data if key not in ("family", "monotone")}, found)
        knobs = _knobs(family, dict(specs), found)
        raise_problems(found)
        rising = rising_lists(data.get("monotone", ()), knobs, found)
        raise_problems(found)
        check_lattice(knobs, rising)
        raise_problems(list(clashes(knobs, rising, knobs, lambda params: build(family, params))))
        return {"family": family, "knobs": knobs, "monotone": rising}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        fields = {name: field.description or "" for name, field in cls.model_fields.items()}
        return {"description": inspect.getdoc(cls), **space_schema(fields["family"], fields["monotone"])}

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        monotone = {"monotone": [list(names) for names in self.monotone]} if self.monotone else {}
        return {"family": self.family, **{name: knob.as_written() for name, knob in self.knobs.items()}, **monotone}

    def check_recipe(self, train: TrainConfig, reader: ReaderSpec) -> None:
        """Check that every point's changes to `train` and `reader` are valid and go together.

        Raises:
            ValidationError: with the knobs that conflict.
        """
        names = [name for name in self.knobs if section_of(name)]
        if not names:
            return

        def changes(prefix: str, params: Mapping[str, Any]) -> dict[str, Any]:
            """Return {field: value} of the knobs with a prefix."""
            return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}

        def recipe(params: Mapping[str, Any]) -> TrainConfig:
            """Return the recipe at a point."""
            try:
                changed, read = train.updated(**changes(TRAIN, params)), reader.updated(**changes(READER, params))
            except ValidationError as error:
                raise ValueError(problems(error)) from None
            if clash := changed.clash_with(read):
                raise ValueError(clash)
            return changed

        found = clashes(self.knobs, self.monotone, names, recipe)
        raise_problems([(("space", *where), what, value) for where, what, value in found])


def _flat(
    family: str, data: Mapping[Any, Any], found: list[SpaceProblem], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield (name, specification) of every knob; `train: {mixup_alpha: …}` is read as `train.mixup_alpha: …`."""
    seen: set[str] = set()
    for key, spec in data.items():
        name = f"{prefix}{key}".removeprefix("model.")
        items = [(name, spec)]
        if isinstance(spec, Mapping):
            is_section = not prefix and (name == "model" or f"{name}." in SECTIONS)
            if is_section or (has_inside(family, name) and not any(part in SPEC_KEYS for part in spec)):
                items = list(_flat(family, spec, found, f"{name}."))
        for inner, inner_spec in items:
            if inner in seen:
                found.append(((inner,), "is given twice, with and without `model.` or as a section", None))
            seen.add(inner)
            yield inner, inner_spec


def _knobs(family: str, specs: Mapping[str, Any], found: list[SpaceProblem]) -> dict[str, Knob]:
    """Return the given knobs and the family's default ones, without those that never have an effect."""
    for name in specs:
        try:
            require_known(family, name)
        except ValueError as error:
            found.append(((name,), str(error), None))
    network = FAMILIES[family]
    every: dict[str, Any] = {**network.choices, **specs}
    if network.shorthand is not None:
        field = network.shorthand.field
        written = [name for name in specs if name.split(".")[0] == field]
        short = [name for name in specs if in_shorthand(family, name)]
        if written and short:
            what = f"describes the {field}, as {listed(short)} do: use only one of the two"
            found.append(((written[0],), what, None))
        every = every if written else {**network.shorthand.choices, **every}
    if found:
        return {}
    if not every:
        fields = [name for name in known_knobs(family) if not section_of(name)]
        found.append(((), f"has no knob of {family}: add choices of {listed(fields)}", None))
    knobs: dict[str, Knob] = {}
    for name in sorted(every, key=lambda name: 0 if section_of(name) else name.count(".")):
        knob = _knob(family, name, every[name], knobs, found)
        if knob is not None:
            knobs[name] = knob
    if found:
        return {}
    for name, spec in every.items():
        given = spec.get("when", {}) if isinstance(spec, Mapping) else {}
        knobs[name] = knobs[name].model_copy(update={"when": _condition(family, name, given, knobs, found)})
    return _with_effect({name: knobs[name] for name in every}, found)


def _knob(family: str, name: str, spec: Any, outer: Mapping[str, Knob], found: list[SpaceProblem]) -> Knob | None:
    """Return one knob without its condition; None if it is invalid."""
    others = {other: knob.choices[0] for other, knob in outer.items() if name.startswith(f"{other}.")}
    try:
        return read_knob(spec, lambda value: normalized(family, name, value, others))
    except ChoiceError as error:
        single = not isinstance(spec, (list, tuple, Mapping))
        found.append(((name,) if single else (name, error.index), str(error), error.value))
    except ValueError as error:
        found.append(((name,), str(error), None))
    return None


def _condition(
    family: str, name: str, given: Any, knobs: Mapping[str, Knob], found: list[SpaceProblem]
) -> dict[str, tuple[Any, ...]]:
    """Return a knob's condition: the given one, and the one that follows from the family and the recipe."""
    if not isinstance(given, Mapping):
        found.append(((name, "when"), "must map knobs to values, such as {attention: [channel, casam]}", given))
        return {}
    when: dict[str, tuple[Any, ...]] = {}
    for other, excluded in without_effect(family, name).items():
        if other in knobs and not knobs[other].is_range:
            indices = knobs[other].indices(excluded)
            when[other] = tuple(choice for index, choice in enumerate(knobs[other].choices) if index not in indices)
    for key, values in given.items():
        other = str(key).removeprefix("model.")
        where = (name, "when", str(key))
        if other not in knobs:
            near = difflib.get_close_matches(other, knobs, n=1)
            way_out = f"did you mean {near[0]!r}?" if near else f"knobs: {listed(knobs)}"
            found.append((where, f"is not a knob of this space; {way_out}", None))
            continue
        knob = knobs[other]
        if knob.is_range:
            found.append((where, "is a range without steps, which has no distinct values; give it a step", None))
            continue
        wanted = values if isinstance(values, (list, tuple)) else (values,)
        wrong = [value for value in wanted if knob.index(value) is None]
        if wrong or not wanted:
            what = f"has no choice {wrong[0]}" if wrong else "needs at least one value"
            found.append((where, f"{what}; its choices are {listed(knob.choices)}", None))
            continue
        indices = knob.indices(wanted) & knob.indices(when.get(other, wanted))
        when[other] = tuple(choice for index, choice in enumerate(knob.choices) if index in indices)
    return when


def _with_effect(knobs: dict[str, Knob], found: list[SpaceProblem]) -> dict[str, Knob]:
    """Return the knobs that have an effect for any point, without conditions that are always true."""
    kept: dict[str, Knob] = {}
    dropped = {name for name, knob in knobs.items() if () in knob.when.values()}
    while more := {name for name, knob in knobs.items() if name not in dropped and dropped & set(knob.when)}:
        dropped |= more
    for name, knob in knobs.items():
        if name in dropped:
            continue
        when = {
            other: values
            for other, values in knob.when.items()
            if knobs[other].when or len(values) < len(knobs[other].choices)
        }
        kept[name] = knob.model_copy(update={"when": when})
    return kept
