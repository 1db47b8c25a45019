"""The search space: its points, steps between them, and their encoding for a sampler.

A point is represented as `params`: {knob: value} of the knobs that have an effect there. For the sampler it is encoded,
with the same knobs at every point: ordered choices by index (so that near choices are near), other choices by name,
ranges by value; knobs with one choice are left out, and knobs without effect have their first value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
from search.space.lattice import ChoiceIndices, Lattice
from search.space.point import TRAIN, PointSettings, build

__all__ = ["Params", "Space"]

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

PointCost = tuple[float, float]
"""(non-zero weight bytes, MACs); zeros are free under the rules that allow a knob of pruning."""
NEVER: PointCost = (math.inf, math.inf)
"""PointCost of a point that is not a valid network for the input."""


class Space:
    """The points of a SpaceConfig."""

    def __init__(
        self,
        config: SpaceConfig,
        input_shape: Shape = (128, 423, 3),
        n_classes: int = 10,
        shape_of: Callable[[Mapping[str, Any]], Shape] | None = None,
    ) -> None:
        """Create the space.

        Args:
            config: its knobs.
            input_shape: (n_mels, n_frames, n_channels) of the features, for costs.
            n_classes: number of scenes, for costs and for the score of guessing.
            shape_of: maps changes to the reader to the shape of the features under it; None means `input_shape` always.
        """
        self.config = config
        self.knobs: dict[str, Knob] = dict(config.knobs)
        self.n_classes = n_classes
        self._input_shape, self._shape_of = input_shape, shape_of
        self._lattice = Lattice(self.knobs, config.monotone)
        self._varied = {name: knob for name, knob in self.knobs.items() if not knob.is_fixed}

    @cached_property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """{knob: its choices}, without continuous ranges."""
        return {name: knob.choices for name, knob in self.knobs.items() if not knob.is_range}

    @cached_property
    def size(self) -> int | float:
        """Exact number of points; infinite if any knob is a continuous range.

        Several points may have the same network.
        """
        return math.inf if any(knob.is_range for knob in self.knobs.values()) else self._lattice.size

    def point(self, index: int) -> Params:
        """Return point number `index`, from 0 to size − 1.

        Raises:
            ValueError: if the space is infinite.
        """
        self._require_finite()
        return self._params(self._lattice.point(index), {})

    def points(self) -> Iterator[Params]:
        """Yield every point once.

        Raises:
            ValueError: if the space is infinite.
        """
        self._require_finite()
        return (self._params(indices, {}) for indices in self._lattice.points())

    def draw(self, rng: np.random.Generator) -> Params:
        """Return a random point, uniform over all combinations of choices, and over ranges (log-uniform with `log`)."""
        n = self._lattice.size
        index = int(rng.integers(n)) if n < 2**63 else int.from_bytes(rng.bytes(n.bit_length() // 8 + 9), "big") % n
        values = {name: knob.at(rng.random()) for name, knob in self.knobs.items() if knob.is_range}
        return self._params(self._lattice.point(index), values)

    def smallest(self) -> Params:
        """Return the point with the fewest weight bytes, then MACs, that repeated steps down reach."""
        return dict(self._smallest)

    def smaller(self, params: Params) -> list[Params]:
        """Return the points one step down from `params`: each width knob lowered by one choice.

        A width knob is one whose larger values give larger networks. If none can be lowered, the other knobs are
        stepped down in weight bytes or MACs: less attention, a larger reduction ratio, larger strides, a smaller export
        mode, more zeros. Other knobs of the recipe have no steps. Repeated steps always end.
        """
        steps = [self._with(params, name, value) for name, value in self._narrower(params)]
        return [step for step in steps if step is not None] or self._cheaper(params)

    def neighbours(self, params: Params) -> list[Params]:
        """Return all points that differ in one knob; in a range, by one of `N_STEPS` steps down or up."""
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

    def near(self, params: Params, distance: float, rng: np.random.Generator) -> Params:
        """Return a random point near `params`: about half of the knobs are moved.

        Args:
            params: a point of the space.
            distance: standard deviation of the moves, as a share of a knob's ordered values. A knob whose values have
                no order, if it is moved, takes a random one with this probability.
            rng: random generator.
        """
        values = dict(params)
        for name, value in params.items():
            knob = self.knobs[name]
            if knob.is_fixed or rng.random() < 0.5:
                continue
            if not knob.is_ordered:
                if rng.random() < distance:
                    values[name] = knob.choices[int(rng.integers(len(knob.choices)))]
                continue
            unit = min(1.0, max(0.0, knob.unit(value) + distance * rng.normal()))
            values[name] = knob.at(unit) if knob.is_range else knob.choices[round(unit * (len(knob.choices) - 1))]
        wanted = {name: self.knobs[name].index(value) or 0 for name, value in values.items()}
        return self._params(self._lattice.nearest(wanted), values)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna's distributions of the encoded knobs that have more than one value."""
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
        """Return `params` encoded for the sampler."""
        encoded: dict[str, Any] = {}
        for name, knob in self._varied.items():
            if knob.is_range:
                encoded[name] = params.get(name, knob.low)
                continue
            index = (knob.index(params[name]) or 0) if name in params else 0
            encoded[name] = index if knob.is_ordered else _label(knob.choices[index])
        return encoded

    def decode(self, encoded: Mapping[str, Any]) -> Params:
        """Return the point of encoded values, or the nearest one that meets the monotone lists."""
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
        """Return `params`, as read from JSON, as a point of this space; None if they are not one."""
        indices = {name: self.knobs[name].index(value) for name, value in params.items() if name in self.knobs}
        if len(indices) < len(params) or None in indices.values():
            return None
        found = self._lattice.nearest({name: index or 0 for name, index in indices.items()})
        if any(index is not None and indices.get(name) != index for name, index in found.items()):
            return None  # a knob with an effect is missing, or values decrease along a monotone list
        return self._params(found, params)

    def features(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return a point as a vector for models of the space, float64 in [0, 1].

        Ordered knobs and ranges have one element, the position between the smallest and the largest value; other knobs
        are one-hot. Knobs without effect have 0.5, or zeros.
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
        """Return the network, the changes to the recipe and the export mode of a point.

        Raises:
            ConfigError: if they do not form a valid network (three or more knobs conflict).
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
        """Ordered knobs whose larger values need more weight bytes, tested where the other knobs are large."""
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
        """Return whether the effect of `name` depends on `other`."""
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
        """Return, for each other knob, the most expensive of the cheaper points that it leads to."""
        steps = []
        current_cost = self._cost(params)
        for name in params:
            knob = self.knobs[name]
            if name in self.widths or not _changes_size(name) or knob.is_fixed:
                continue
            others = knob.choices or tuple(knob.at(step / N_STEPS) for step in range(N_STEPS + 1))
            points = (self._with(params, name, value) for value in others if value != params[name])
            costs = [(self._cost(point), point) for point in points if point is not None]
            lower = [(cost, point) for cost, point in costs if cost < current_cost]
            if lower:
                steps.append(max(lower, key=lambda option: option[0])[1])
        return steps

    def _cost(self, params: Mapping[str, Any]) -> PointCost:
        try:
            settings = self.settings(params)
            changes, shape = settings.reader_overrides, self._input_shape
            shape = self._shape_of(changes) if changes and self._shape_of is not None else shape
            sparsity = settings.train_overrides.get("sparsity", 0.0)
            cost = estimate(settings.model, shape, self.n_classes, sparsity=sparsity)
        except (ConfigError, SizeError):
            return NEVER
        return cost.nonzero_weight_bytes_as(settings.mode or "int8_weights"), cost.macs

    def _with(self, params: Params, name: str, value: Any) -> Params | None:
        """Return the point with one knob changed; knobs that gain an effect get their first value.

        None if another knob would have to change as well to meet the monotone lists.
        """
        values = {**params, name: value}
        wanted = {knob: self.knobs[knob].index(value) or 0 for knob, value in values.items()}
        indices = self._lattice.nearest(wanted)
        if any(index is not None and index != wanted[knob] for knob, index in indices.items() if knob in wanted):
            return None
        return self._params(indices, values)

    def _params(self, indices: ChoiceIndices, values: Mapping[str, Any]) -> Params:
        """Return the point at `indices`, with the values of ranges from `values`."""
        return {
            name: values.get(name, knob.low) if knob.is_range else knob.choices[index]
            for name, knob in self.knobs.items()
            if (index := indices[name]) is not None
        }

    def _require_finite(self) -> None:
        if self.size == math.inf:
            ranges = ", ".join(name for name, knob in self.knobs.items() if knob.is_range)
            raise ValueError(f"the space is infinite: {ranges} are continuous ranges")


def _changes_size(name: str) -> bool:
    """Return whether a knob can change the size or cost of a candidate."""
    return not name.startswith(TRAIN) or name == f"{TRAIN}sparsity"


def _label(choice: Any) -> Any:
    """Return a choice in a type that Optuna accepts."""
    return choice if choice is None or isinstance(choice, (bool, int, float, str)) else canonical_json(choice)
