"""The space of candidates: its points, the ways from one to another, and what a sampler sees of them.

A point is held as `params`: {knob: true value} of the knobs that have an effect there. The sampler sees it encoded, all
knobs at every point: ordered choices by their number (so that near choices are near for it), others by name, ranges as
they are, knobs with one choice not at all, and knobs without effect at their first value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from asc_models.errors import SizeError
from asc_models.networks.estimate import estimate
from asc_models.networks.topology import Shape
from data_prep.errors import ConfigError
from data_prep.schema import canonical_json
from search.space.config import SpaceConfig
from search.space.knobs import N_STEPS, Knob, Params
from search.space.lattice import Indices, Lattice
from search.space.point import TRAIN, PointSettings, build

__all__ = ["Params", "Space"]

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

PointCost = tuple[float, float]
"""(weight bytes, MACs)."""
NEVER: PointCost = (math.inf, math.inf)
"""Of a point that is no network, or none for this input."""


class Space:
    """The points of a SpaceConfig."""

    def __init__(self, config: SpaceConfig, input_shape: Shape = (128, 423, 3), n_classes: int = 10) -> None:
        """Lay out the space.

        Args:
            config: its knobs.
            input_shape: (n_mels, n_frames, n_channels) of the features, by which `smaller` orders choices.
            n_classes: scenes.
        """
        self.config = config
        self.knobs: dict[str, Knob] = dict(config.knobs)
        self._input = (input_shape, n_classes)
        self._lattice = Lattice(self.knobs, config.monotone)
        self._varied = {name: knob for name, knob in self.knobs.items() if not knob.is_fixed}

    @cached_property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """{knob: its choices}, without ranges."""
        return {name: knob.choices for name, knob in self.knobs.items() if not knob.is_range}

    @cached_property
    def size(self) -> int | float:
        """Points, counted exactly; infinite where a range without steps is among the knobs.

        Several points may stand for one network.
        """
        return math.inf if any(knob.is_range for knob in self.knobs.values()) else self._lattice.size

    def point(self, index: int) -> Params:
        """Return point number `index`, from 0 to size − 1.

        Raises:
            ValueError: if the space has no numbers, having ranges without steps.
        """
        self._require_finite()
        return self._params(self._lattice.point(index), {})

    def points(self) -> Iterator[Params]:
        """Yield every point once.

        Raises:
            ValueError: if there is no end of them.
        """
        self._require_finite()
        return (self._params(indices, {}) for indices in self._lattice.points())

    def draw(self, rng: np.random.Generator) -> Params:
        """Return a point at random: every choice of points alike, in ranges every value (or every ratio)."""
        n = self._lattice.size
        index = int(rng.integers(n)) if n < 2**63 else int.from_bytes(rng.bytes(n.bit_length() // 8 + 9), "big") % n
        values = {name: knob.at(rng.random()) for name, knob in self.knobs.items() if knob.is_range}
        return self._params(self._lattice.point(index), values)

    def smallest(self) -> Params:
        """Return the point with the fewest weights (and, among such, the fewest MACs) as far as steps down lead."""
        return dict(self._smallest)

    def smaller(self, params: Params) -> list[Params]:
        """Return the points one step down from `params`: each knob of width by one choice.

        A knob of width is one whose larger numbers make larger networks. Only where none of them has a smaller choice,
        the steps of the others down in weights or MACs: less attention, a larger reduction ratio, larger strides,
        a smaller export. Knobs of training have no steps. Going down always ends.
        """
        steps = [self._with(params, name, value) for name, value in self._narrower(params)]
        return [step for step in steps if step is not None] or self._cheaper(params)

    def neighbours(self, params: Params) -> list[Params]:
        """Return all points one knob away; on a range, one step of an eighth of it down and up."""
        found = []
        for name in params:
            knob = self.knobs[name]
            if knob.is_range:
                steps = (knob.unit(params[name]) + step / N_STEPS for step in (-1, 1))
                others = [knob.at(min(1.0, max(0.0, step))) for step in steps]
            else:
                others = list(knob.choices)
            found += [self._with(params, name, value) for value in others if value != params[name]]
        return [point for point in found if point is not None]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return what the sampler draws from: the knobs that have a choice, encoded."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for name, knob in self._varied.items():
            if knob.is_range:
                found[name] = FloatDistribution(knob.low, knob.high, log=knob.log)
            elif knob.is_ordered:
                found[name] = IntDistribution(0, len(knob.choices) - 1)
            else:
                found[name] = CategoricalDistribution([_label(choice) for choice in knob.choices])
        return found

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return `params` as the sampler sees them."""
        encoded: dict[str, Any] = {}
        for name, knob in self._varied.items():
            if knob.is_range:
                encoded[name] = params.get(name, knob.low)
                continue
            index = (knob.index(params[name]) or 0) if name in params else 0
            encoded[name] = index if knob.is_ordered else _label(knob.choices[index])
        return encoded

    def decode(self, encoded: Mapping[str, Any]) -> Params:
        """Return the point that the sampler drew, or the nearest one where the drawn values don't rise as they must."""
        wanted: dict[str, int] = {}
        values: dict[str, float] = {}
        for name, drawn in encoded.items():
            knob = self.knobs[name]
            if knob.is_range:
                values[name] = knob.rounded(drawn)
            elif knob.is_ordered:
                wanted[name] = int(drawn)
            else:
                wanted[name] = [_label(choice) for choice in knob.choices].index(drawn)
        return self._params(self._lattice.nearest(wanted), values)

    def parse(self, params: Mapping[str, Any]) -> Params | None:
        """Return `params` as read from JSON as a point of this space; None if it isn't one."""
        indices = {name: self.knobs[name].index(value) for name, value in params.items() if name in self.knobs}
        if len(indices) < len(params) or None in indices.values():
            return None
        found = self._lattice.nearest({name: index or 0 for name, index in indices.items()})
        if any(index is not None and indices.get(name) != index for name, index in found.items()):
            return None  # a knob with an effect is missing, or values that must rise fall
        return self._params(found, params)

    def features(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return a point as a vector for models of the space, float64 between 0 and 1.

        Ordered knobs and ranges give one number each, their position between the smallest and the largest value; other
        knobs one number for each choice, 1 for theirs. Knobs without effect give 0.5, or 0 for each choice.
        """
        vector: list[float] = []
        for name, knob in self._varied.items():
            if knob.is_ordered:
                vector.append(knob.unit(params[name]) if name in params else 0.5)
            else:
                index = knob.index(params[name]) if name in params else None
                vector += [float(number == index) for number in range(len(knob.choices))]
        return np.array(vector)

    def settings(self, params: Mapping[str, Any]) -> PointSettings:
        """Return the network, the changes to the recipe and the export mode that a point stands for.

        Raises:
            ConfigError: if no network can be that (three or more knobs that don't go together).
        """
        return build(self.config.family, params)

    @cached_property
    def _smallest(self) -> Params:
        params = self._params(self._lattice.nearest({}), {})
        while steps := self.smaller(params):
            params = min(steps, key=self._cost)
        return params

    @cached_property
    def widths(self) -> tuple[str, ...]:
        """Knobs on a scale whose larger values weigh more, tried where everything else is large."""
        return tuple(
            name
            for name, knob in self._varied.items()
            if knob.is_ordered and _changes_size(name) and self._grows(name, knob)
        )

    def _grows(self, name: str, knob: Knob) -> bool:
        for end in (-1, 0):
            corner = {other: knob.index(knob.ends[end]) or 0 for other, knob in self.knobs.items()}
            of_use = {other: corner[other] for other in self.knobs if not self._decides(other, name)}
            indices = self._lattice.nearest({**of_use, **self._lattice.with_effect({name: corner[name]})})
            point = self._params(indices, {other: knob.ends[end] for other, knob in self.knobs.items()})
            low, high = (self._cost({**point, name: value}) for value in knob.ends)
            if NEVER not in (low, high):
                return low[0] < high[0]
        return False

    def _decides(self, other: str, name: str) -> bool:
        """Return whether the effect of `name` hangs on `other`."""
        when = self.knobs[name].when
        return other in when or any(self._decides(other, outer) for outer in when)

    def _narrower(self, params: Params) -> Iterator[tuple[str, Any]]:
        for name in self.widths:
            if name not in params:
                continue
            knob, value = self.knobs[name], params[name]
            if knob.is_range:
                step = math.ceil(knob.unit(value) * N_STEPS - 1e-2) - 1
                if step >= 0:
                    yield name, knob.at(step / N_STEPS)
            elif index := knob.index(value):
                yield name, knob.choices[index - 1]

    def _cheaper(self, params: Params) -> list[Params]:
        """Return, for each knob that is none of width, the dearest point that it can make cheaper."""
        steps = []
        here = self._cost(params)
        for name in params:
            knob = self.knobs[name]
            if name in self.widths or not _changes_size(name) or knob.is_fixed:
                continue
            others = knob.choices or tuple(knob.at(step / N_STEPS) for step in range(N_STEPS + 1))
            points = (self._with(params, name, value) for value in others if value != params[name])
            costs = [(self._cost(point), point) for point in points if point is not None]
            lower = [(cost, point) for cost, point in costs if cost < here]
            if lower:
                steps.append(max(lower, key=lambda option: option[0])[1])
        return steps

    def _cost(self, params: Mapping[str, Any]) -> PointCost:
        try:
            settings = self.settings(params)
            cost = estimate(settings.model, *self._input)
        except (ConfigError, SizeError):
            return NEVER
        return cost.weight_bytes_as(settings.mode or "int8_weights"), cost.macs

    def _with(self, params: Params, name: str, value: Any) -> Params | None:
        """Return the point with one knob changed, what that gives an effect at its first value.

        None where another knob would have to change as well for values to rise as they must.
        """
        values = {**params, name: value}
        wanted = {knob: self.knobs[knob].index(value) or 0 for knob, value in values.items()}
        indices = self._lattice.nearest(wanted)
        if any(index is not None and index != wanted[knob] for knob, index in indices.items() if knob in wanted):
            return None
        return self._params(indices, values)

    def _params(self, indices: Indices, values: Mapping[str, Any]) -> Params:
        """Return the true values at `indices`, in ranges those of `values`, in the space's order of knobs."""
        return {
            name: values.get(name, knob.low) if knob.is_range else knob.choices[index]
            for name, knob in self.knobs.items()
            if (index := indices[name]) is not None
        }

    def _require_finite(self) -> None:
        if self.size == math.inf:
            ranges = ", ".join(name for name, knob in self.knobs.items() if knob.is_range)
            raise ValueError(f"the space has no end: {ranges} take any value of a range")


def _changes_size(name: str) -> bool:
    """Return whether a knob can change what a candidate weighs or costs."""
    return not name.startswith(TRAIN)


def _label(choice: Any) -> Any:
    """Return a choice as the sampler can hold it."""
    return choice if choice is None or isinstance(choice, (bool, int, float, str)) else canonical_json(choice)
