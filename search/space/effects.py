"""Values of knobs with which another knob never has an effect."""

from __future__ import annotations

from typing import Any

from asc_models.config import EXPORT_MODES, INT4_MODE
from asc_models.networks.families import FAMILIES
from data_prep.augment.registry import WHILE_TRAINING

WITHOUT_EFFECT: dict[str, dict[str, tuple[Any, ...]]] = {
    f"train.{setting}": {f"train.{switch}": (entry.off,) for switch in entry.switches}
    for entry in WHILE_TRAINING
    if len(entry.switches) == 1  # with two switches either suffices, which a condition cannot express
    for setting in entry.settings
} | {
    "reader.n_windows": {"reader.window_seconds": (None,)},
    "train.sparsity_span": {"train.sparsity": (0.0,)},
    "train.int4_share": {"mode": tuple(mode for mode in EXPORT_MODES if mode != INT4_MODE)},
}
"""{knob of recipe or reader: {other knob: its values with which the first has no effect}}."""


def without_effect(family: str, name: str) -> dict[str, tuple[Any, ...]]:
    """Return {other knob: its values with which the knob `name` has no effect}."""
    return {**FAMILIES[family].without_effect.get(name, {}), **WITHOUT_EFFECT.get(name, {})}
