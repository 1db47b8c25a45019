"""The points of a space as indices of choices, counted exactly without enumeration.

Knobs are set in an order in which each follows those that it depends on. The number of ways to set the remaining knobs
depends only on the values that they refer to (in conditions and monotone lists), and is computed once per combination
of these values. So spaces of any size can be counted and indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from search.space.knobs import Knob, ordinal

ChoiceIndices = dict[str, int | None]
"""{knob: index of its choice}; None if the knob has no effect."""
Options = Sequence[int | None]


class Lattice:
    """All combinations of choices of the knobs that have an effect; a continuous range counts as one choice."""

    def __init__(self, knobs: Mapping[str, Knob], rising: Sequence[Sequence[str]] = ()) -> None:
        """Order the knobs by what they depend on.

        Args:
            knobs: {name: knob}.
            rising: lists of knobs along which values must not decrease.

        Raises:
            ValueError: if conditions are circular.
        """
        self._n_choices = {name: max(1, len(knob.choices)) for name, knob in knobs.items()}
        self._when = {
            name: {other: knobs[other].indices(values) for other, values in knob.when.items()}
            for name, knob in knobs.items()
        }
        self._rises = bool(rising)
        self._below: dict[str, list[str]] = {name: [] for name in knobs}
        for names in rising:
            for number, name in enumerate(names):
                self._below[name] += _back_to_unconditional(names[:number], knobs)
        ordered = {name for names in rising for name in names}
        self._scale = {name: [ordinal(value) or 0.0 for value in knobs[name].choices] for name in ordered}
        depends = {name: {*self._when[name], *self._below[name]} for name in knobs}
        self.order = _order(depends)
        # For each position, the earlier knobs that it or a later one depends on.
        self._kept = [
            tuple(
                earlier
                for earlier in self.order[:position]
                if any(earlier in depends[later] for later in self.order[position:])
            )
            for position in range(len(self.order) + 1)
        ]
        self._found: dict[tuple[int, tuple[int | None, ...]], int] = {}

    @property
    def size(self) -> int:
        """Number of points."""
        return self._count(0, {})

    def point(self, index: int) -> ChoiceIndices:
        """Return point number `index`, from 0 to size − 1."""

        def pick(name: str, options: Options, counts: Sequence[int]) -> int:
            """Return the option that contains the point."""
            nonlocal index
            for number, count in enumerate(counts):
                if index < count:
                    return number
                index -= count
            raise IndexError(f"the space has {self.size:,} points")

        return self._walk(pick)

    def nearest(self, wanted: Mapping[str, int]) -> ChoiceIndices:
        """Return the point nearest to the wanted indices that conditions and monotone lists allow."""

        def pick(name: str, options: Options, counts: Sequence[int]) -> int:
            """Return the nearest option that leads to a point."""
            aim = wanted.get(name, 0)
            possible = [number for number, count in enumerate(counts) if count]
            return min(possible, key=lambda number: abs((options[number] or 0) - aim))

        if self._rises:
            return self._walk(pick)
        known: ChoiceIndices = {}  # without monotone lists every choice leads to a point
        for name in self.order:
            known[name] = wanted.get(name, 0) if self._has_effect(name, known) else None
        return known

    def with_effect(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Return the wanted indices, and the lowest ones of other knobs with which the wanted knobs have an effect."""
        result = dict(wanted)
        names = list(wanted)
        while names:
            for other, indices in self._when[names.pop()].items():
                if other not in result:
                    result[other] = min(indices)
                    names.append(other)
        return result

    def points(self) -> Iterator[ChoiceIndices]:
        """Yield every point once."""
        return self._points(0, {})

    def _points(self, position: int, known: ChoiceIndices) -> Iterator[ChoiceIndices]:
        if position == len(self.order):
            yield dict(known)
            return
        name = self.order[position]
        for option in self._options(name, known):
            known[name] = option
            yield from self._points(position + 1, known)

    def _walk(self, pick: Callable[[str, Options, Sequence[int]], int]) -> ChoiceIndices:
        known: ChoiceIndices = {}
        for position, name in enumerate(self.order):
            options = self._options(name, known)
            known[name] = options[pick(name, options, self._counts_of(position, known, options))]
        return known

    def _counts_of(self, position: int, known: ChoiceIndices, options: Options) -> list[int]:
        """Return the number of points for each option of the knob at `position`, the earlier knobs being set."""
        name = self.order[position]
        if name not in self._kept[position + 1]:
            return [self._count(position + 1, known)] * len(options) if options else []
        counts = []
        for option in options:
            known[name] = option
            counts.append(self._count(position + 1, known))
        return counts

    def _has_effect(self, name: str, known: Mapping[str, int | None]) -> bool:
        return all(known[other] in allowed for other, allowed in self._when[name].items())

    def _options(self, name: str, known: Mapping[str, int | None]) -> Options:
        if not self._has_effect(name, known):
            return (None,)
        every = range(self._n_choices[name])
        floors = [self._scale[other][index] for other in self._below[name] if (index := known[other]) is not None]
        if not floors:
            return every
        return [index for index in every if self._scale[name][index] >= max(floors)]

    def _count(self, position: int, known: Mapping[str, int | None]) -> int:
        """Return the number of ways to set the knobs from `position` on."""
        if position == len(self.order):
            return 1
        state = (position, tuple([known[name] for name in self._kept[position]]))
        if state not in self._found:
            options = self._options(self.order[position], known)
            self._found[state] = sum(self._counts_of(position, dict(known), options))
        return self._found[state]


def _order(depends: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return the knobs in order, each as early as its dependencies allow, to keep few values in memory."""
    try:
        TopologicalSorter(depends).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ValueError(f"conditions are circular: {circle}; remove one of them") from None
    order: list[str] = []
    for name in depends:
        _append(name, depends, order)
    return tuple(order)


def _append(name: str, depends: Mapping[str, set[str]], order: list[str]) -> None:
    if name in order or not depends[name] <= set(order):
        return
    order.append(name)
    for other in depends:
        if name in depends[other]:
            _append(other, depends, order)


def _back_to_unconditional(names: Sequence[str], knobs: Mapping[str, Knob]) -> list[str]:
    """Return `names` from the last one back to the first that has no condition."""
    found = []
    for name in reversed(names):
        found.append(name)
        if not knobs[name].when:
            break
    return found
