"""The space of candidates: a lattice of choices, its neighbours downwards, and the network each point stands for.

A point is held as `params`: {knob: value}, all knobs, true values. The sampler sees it encoded: ordered knobs by the
index of their choice (so that near choices are near for it), attention by name, fixed knobs not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asc_models.families import Attention, ModelConfig, StageConfig
from search.sweep_config import SpaceConfig, block_filters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Params = dict[str, Any]
"""{knob: value} of one point, in the space's order of knobs."""

WIDTH_KNOBS = ("base_filters", "expansion", "n_blocks", "stem_filters", "growth", "kernel_size")
"""Knobs whose smaller choices save weights: shrunk first, in this order where two steps save the same."""
ATTENTION_BY_COST: tuple[Attention, ...] = ("none", "spatial", "channel", "casam")


class Space:
    """The lattice of a SpaceConfig's choices."""

    def __init__(self, config: SpaceConfig) -> None:
        self.choices: dict[str, tuple[Any, ...]] = {knob: getattr(config, knob) for knob in SpaceConfig.model_fields}
        # Each knob's choices from the cheapest to the dearest: in weights, and for strides in MACs.
        self._by_cost = {
            **self.choices,
            "stem_stride": self.choices["stem_stride"][::-1],
            "n_strided": self.choices["n_strided"][::-1],
            "reduction_ratio": self.choices["reduction_ratio"][::-1],
            "attention": tuple(kind for kind in ATTENTION_BY_COST if kind in self.choices["attention"]),
        }

    @property
    def size(self) -> int:
        """Points in the lattice; several of them may stand for one network."""
        return math.prod(len(choices) for choices in self.choices.values())

    def point(self, index: int) -> Params:
        """Return point number `index`, from 0 to size − 1."""
        params = {}
        for knob, choices in self.choices.items():
            index, place = divmod(index, len(choices))
            params[knob] = choices[place]
        return params

    def smallest(self) -> Params:
        """Return the point with the fewest weights (and, among such, the largest strides)."""
        return {knob: self._by_cost[knob][0] for knob in self.choices}

    def smaller(self, params: Params) -> list[Params]:
        """Return the points one step down from `params`: each knob of width by one choice.

        Only where no knob of width has a smaller choice, the steps of the others: less attention, a larger reduction
        ratio, larger strides. Going down always ends at `smallest()`.
        """
        others = [knob for knob in self.choices if knob not in (*WIDTH_KNOBS, "dropout")]
        return self._steps_down(params, WIDTH_KNOBS) or self._steps_down(params, others)

    def _steps_down(self, params: Params, knobs: tuple[str, ...] | list[str]) -> list[Params]:
        places = {knob: self._by_cost[knob].index(params[knob]) for knob in knobs}
        return [{**params, knob: self._by_cost[knob][place - 1]} for knob, place in places.items() if place > 0]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return what the sampler draws from: the knobs that have a choice, encoded."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            knob: CategoricalDistribution(choices)
            if isinstance(choices[0], str)
            else IntDistribution(0, len(choices) - 1)
            for knob, choices in self.choices.items()
            if len(choices) > 1
        }

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return `params` as the sampler sees them."""
        return {
            knob: choices.index(params[knob]) if knob != "attention" else params[knob]
            for knob, choices in self.choices.items()
            if len(choices) > 1
        }

    def decode(self, encoded: Mapping[str, Any]) -> Params:
        """Return the true values of what the sampler drew."""
        params = {}
        for knob, choices in self.choices.items():
            drawn = encoded.get(knob, 0)
            params[knob] = drawn if isinstance(drawn, str) else choices[drawn]
        return params

    def parse(self, params: Mapping[str, Any]) -> Params | None:
        """Return `params` as read from JSON as a point of this space; None if it isn't one."""
        plain = {knob: tuple(value) if isinstance(value, list) else value for knob, value in params.items()}
        if set(plain) != set(self.choices) or any(plain[knob] not in self.choices[knob] for knob in plain):
            return None
        return {knob: plain[knob] for knob in self.choices}


def params_to_model(params: Mapping[str, Any]) -> ModelConfig:
    """Return the network that a point stands for.

    Knobs without effect there are set to their defaults, so that equal networks have equal descriptions.
    """
    has_ratio = params["attention"] in ("channel", "casam")
    ratio = {"reduction_ratio": params["reduction_ratio"]} if has_ratio else {}
    return ModelConfig(
        stem_filters=params["stem_filters"],
        stem_stride=params["stem_stride"],
        stages=tuple(
            StageConfig(
                filters=block_filters(params["base_filters"], params["growth"], index),
                stride=2 if index < params["n_strided"] else 1,
            )
            for index in range(params["n_blocks"])
        ),
        kernel_size=params["kernel_size"],
        expansion=params["expansion"],
        attention=params["attention"],
        dropout=params["dropout"],
        **ratio,
    )
