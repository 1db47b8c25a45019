"""Checks of a space across knobs: circular conditions, impossible monotone lists, choices that conflict.

All errors are reported together, each with its key, like pydantic's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from data_prep.errors import ConfigError
from search.space.knobs import Knob, listed
from search.space.lattice import Lattice
from search.space.point import problems

SpaceProblem = tuple[tuple[str | int, ...], str, Any]
"""(key path, reason, value); the value is None if it does not help."""


def raise_problems(found: list[SpaceProblem]) -> None:
    """Raise a ValidationError with all problems in `found`, if any."""
    if not found:
        return
    details: list[InitErrorDetails] = []
    for where, reason, value in found:
        kind = PydanticCustomError("space", "{reason}", {"reason": reason})
        details.append({"type": kind, "loc": where, "input": value})
    raise ValidationError.from_exception_data("SpaceConfig", details)


def rising_lists(lists: Any, knobs: Mapping[str, Knob], found: list[SpaceProblem]) -> tuple[tuple[str, ...], ...]:
    """Return the monotone lists with their knobs' names as in `knobs`; add problems to `found`."""
    rising = []
    if not isinstance(lists, (list, tuple)):
        found.append((("monotone",), "must be a list of lists of knobs", lists))
        return ()
    for number, given in enumerate(lists):
        where = ("monotone", number)
        if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
            found.append((where, "must be a list of knobs, such as [stages.0.filters, stages.1.filters]", given))
            continue
        names = tuple(name.removeprefix("model.") for name in given)
        unknown = [name for name in names if name not in knobs]
        unordered = [name for name in names if name in knobs and (knobs[name].is_range or not knobs[name].is_ordered)]
        if unknown:
            found.append((where, f"{unknown[0]} is not a knob of this space; knobs: {listed(knobs)}", None))
        elif unordered:
            found.append((where, f"the choices of {unordered[0]} are not numbers and have no order", None))
        elif len(set(names)) < max(2, len(names)):
            found.append((where, "must name at least two knobs, each once", list(names)))
        rising.append(names)
    return tuple(rising)


def check_lattice(knobs: Mapping[str, Knob], rising: tuple[tuple[str, ...], ...]) -> None:
    """Check that conditions and monotone lists leave any point.

    Raises:
        ValidationError: if they leave none.
    """
    try:
        lattice = Lattice(knobs, rising)
    except ValueError as error:
        raise_problems([((), str(error), None)])
        return
    if not lattice.size:
        raise_problems([(("monotone",), "no choices rise along these lists: add larger ones to the later knobs", None)])


def clashes(
    knobs: Mapping[str, Knob],
    rising: tuple[tuple[str, ...], ...],
    among: Iterable[str],
    make: Callable[[dict[str, Any]], Any],
) -> Iterator[SpaceProblem]:
    """Yield the corners of the space that break a rule between fields.

    Tried are the first choices of all knobs, one or two knobs of `among` changed to other outermost choices, and the
    last choices: if any choices break a rule between two fields, outermost ones do.
    """
    lattice = Lattice(knobs, rising)

    def failure(values: Mapping[str, Any]) -> str | None:
        """Return why the point nearest to `values` (other knobs at their first choice) is invalid; None if valid."""
        wanted = {name: knobs[name].index(value) or 0 for name, value in values.items()}
        indices = lattice.nearest(lattice.with_effect(wanted))
        params = {
            name: values.get(name, knob.low) if knob.is_range else knob.choices[indices[name] or 0]
            for name, knob in knobs.items()
            if indices[name] is not None
        }
        try:
            make(params)
        except ValidationError as error:
            return problems(error)
        except (ConfigError, ValueError) as error:
            return str(error)
        return None

    first = failure({name: knob.ends[0] for name, knob in knobs.items()})
    if first:
        yield (), f"its first choices break a rule: {first}", None
        return
    varied = [name for name in among if not knobs[name].is_fixed]
    reported: set[str] = set()
    for names in [*((name,) for name in varied), *combinations(varied, 2)]:
        for values in product(*(knobs[name].ends for name in names)):
            reason = failure(dict(zip(names, values, strict=True)))
            if reason and reason not in reported:
                reported.add(reason)
                if len(names) == 1:
                    what = f"{values[0]} breaks a rule: {reason}"
                else:
                    pair = f"{values[0]} conflicts with {names[1]} {values[1]}"
                    what = f"{pair}: {reason}; remove one of them, or add a condition `when`"
                yield (names[0],), what, None
    last = failure({name: knob.ends[-1] for name, knob in knobs.items()})
    if last and not reported:
        yield (), f"its last choices break a rule: {last}", None
