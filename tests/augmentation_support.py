"""Recipes with one augmentation turned on, found from the registry and the fields of `train` alone."""

from __future__ import annotations

from typing import Any, get_args

from asc_models.config import TrainConfig
from data_prep.augment.registry import SWITCHES
from data_prep.errors import ConfigError
from data_prep.schema import parse_config

OFF = {knob: entry.off for knob, entry in SWITCHES.items()}
"""Fields of `train` with every augmentation turned off."""


def other_value(field: str, recipe: dict[str, Any]) -> Any:
    """Return a value of the field that differs from the recipe's and is far from it where the field allows."""
    current = getattr(TrainConfig(**recipe), field)
    choices = get_args(TrainConfig.model_fields[field].annotation)
    for value in (9, 1.5, 1, 0.5, 0.01, *choices, (0.5,), (0.5, 0.6)):
        try:
            changed = getattr(parse_config(TrainConfig, {**recipe, field: value}, "train"), field)
        except ConfigError:
            continue
        if changed != current:
            return changed
    raise AssertionError(f"no other value of {field} was found")


ON = {knob: other_value(knob, OFF) for knob in SWITCHES}
"""{field of `train`: value that turns its augmentation on}."""
