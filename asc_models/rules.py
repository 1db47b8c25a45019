"""The challenge's size rules: the limited quantities, their limits and the export modes allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from asc_models.config import INT8_MODES, ExportMode
from data_prep.schema import Config

Quantity = Literal["weight_bytes", "nonzero_weight_bytes", "file_bytes", "n_params", "macs", "peak_activation_bytes"]
QUANTITY_NAMES: dict[Quantity, str] = {
    "weight_bytes": "weights",
    "nonzero_weight_bytes": "non-zero weights",
    "file_bytes": "file",
    "n_params": "parameters",
    "macs": "multiply-accumulates",
    "peak_activation_bytes": "peak activations",
}
"""Name of each quantity in tables and text, without its unit."""
QUANTITY_TITLES: dict[Quantity, str] = {
    **QUANTITY_NAMES,
    "weight_bytes": "bytes of weights",
    "nonzero_weight_bytes": "bytes of non-zero weights",
    "file_bytes": "bytes of the file",
    "peak_activation_bytes": "bytes of peak activations",
}
"""Name of each quantity with its unit."""

BYTES: tuple[Quantity, ...] = ("nonzero_weight_bytes", "weight_bytes", "file_bytes")
"""Quantities in bytes of a file; the first that is limited counts for ensembles and the Pareto front."""

RuleName = Literal["dcase2021", "dcase2022", "dcase2023", "dcase2024", "dcase2025", "custom"]

LIMITS: dict[RuleName, dict[Quantity, int]] = {
    "dcase2021": {"nonzero_weight_bytes": 128_000},
    "dcase2022": {"n_params": 128_000, "macs": 30_000_000},
    "dcase2023": {"weight_bytes": 128_000, "macs": 30_000_000},
    "dcase2024": {"weight_bytes": 128_000, "macs": 30_000_000},
    "dcase2025": {"weight_bytes": 128_000, "macs": 30_000_000},
    "custom": {},
}
"""Limits of each year's Task 1. The 128 KB of 2021 is read as 128,000 bytes, the stricter reading (not 131,072)."""

MODES: dict[RuleName, tuple[ExportMode, ...]] = {"dcase2022": INT8_MODES}
"""Export modes of the rule sets that restrict them. The 128,000 parameters of 2022 must be int8: all modes that store
every kernel as int8 or narrower are allowed (asc_models.config.INT8_MODES)."""

DEVICE_KNOWN: tuple[RuleName, ...] = ("dcase2025", "custom")
"""Rule sets under which a system is given the recording device of a clip. 2025 allows a network for each known device,
each within the limits by itself (github.com/CPJKU/dcase2025_task1_baseline); until 2024 the device is not given."""

LARGEST_COUNTS: tuple[Quantity, ...] = ("peak_activation_bytes",)
"""Quantities for which an ensemble counts its largest member, since members run in turn; all others are summed."""


def total(quantity: Quantity, values: Sequence[int]) -> int:
    """Return a quantity of an ensemble from the values of its distinct members."""
    return max(values) if quantity in LARGEST_COUNTS else sum(values)


BEFORE_TRAINING: dict[Quantity, str] = {
    "weight_bytes": "exact",
    "nonzero_weight_bytes": "upper bound, exact after export",
    "file_bytes": "lower bound, exact after export",
    "n_params": "exact",
    "macs": "exact",
    "peak_activation_bytes": "exact",
}
"""What is known of each quantity before a network is trained."""


class RulesConfig(Config):
    """Section `rules`: a named rule set; `limits` adds or replaces single limits.

    Quantities that follow from a network's description are checked before training. The size of the file is known only
    after export. With a limit on `file_bytes`, candidates are rejected before training if their weights plus 200 bytes
    per kernel exceed it. Files need 250 to 800 bytes per kernel beside the weights, so some are found too large later:
    such a trial fails at its first rung with that reason, and such a retrained candidate is not used. A lower limit on
    `weight_bytes` in addition rejects them earlier. dcase2022 allows only exports with int8 kernels: int8_weights,
    int4_int8_weights, int8.
    """

    name: RuleName = "dcase2021"
    """Rule set of a challenge year, or custom."""
    limits: dict[Quantity, int] = Field(default_factory=dict)
    """Largest allowed value of each quantity, in addition to the rule set or replacing its limit."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.in_force():
            raise ValueError("custom rules need at least one entry in `limits`, such as weight_bytes: 128000")
        for quantity, limit in self.limits.items():
            if limit < 1:
                raise ValueError(f"limits.{quantity} must be at least 1, got {limit}")
        return self

    def in_force(self) -> dict[Quantity, int]:
        """Return {quantity: largest allowed value}, `limits` included."""
        return {**LIMITS[self.name], **self.limits}

    def refused(self, modes: Collection[str]) -> str:
        """Return why an export in one of `modes` is not allowed; empty if all are."""
        taken = MODES.get(self.name)
        over = [] if taken is None else sorted(set(modes) - set(taken))
        if taken is None or not over:
            return ""
        return f"export as {', '.join(over)} leaves kernels wider than int8; {self.name} allows {', '.join(taken)}"

    def refused_sparsity(self, sparsity: float) -> str:
        """Return why a network may not be pruned to a share of zeros; empty if it may: zeros must not count."""
        limits = self.in_force()
        if not sparsity or "nonzero_weight_bytes" in limits:
            return ""
        counted = ", ".join(f"{quantity} {limit:,}" for quantity, limit in limits.items())
        return (
            f"sparsity {sparsity:g} saves nothing under {self.name}, which counts zeros (its limits: {counted}). Set "
            "sparsity to 0, or limit non-zero weights: rules.name dcase2021, or rules.limits.nonzero_weight_bytes"
        )

    def refused_devices(self) -> str:
        """Return why devices may not have networks of their own; empty if they may: the device must be known."""
        if self.name in DEVICE_KNOWN:
            return ""
        return (
            f"networks of single devices are not allowed under {self.name}, which does not give a system the recording "
            f"device of a clip. Set fine_tuning: null, or rules.name: {' or '.join(DEVICE_KNOWN)}"
        )

    def byte_limits(self) -> dict[Quantity, int]:
        """Return {byte quantity: limit} of the limits in force, the one that counts for ensembles first."""
        limits = self.in_force()
        return {quantity: limits[quantity] for quantity in BYTES if quantity in limits}

    def size_limit(self) -> tuple[Quantity, int] | None:
        """Return the byte quantity that limits ensembles and the Pareto front, and its limit; None if none is set."""
        return next(iter(self.byte_limits().items()), None)


@dataclass(frozen=True, slots=True)
class Check:
    """One quantity compared with its limit."""

    quantity: Quantity
    value: int
    limit: int
    is_bound: bool = False
    """Whether the value is a lower bound: over the limit it is conclusive, within it is not."""
    largest: str = ""
    """If over the limit: the layer that contributes most, with its contribution; empty if unknown."""

    @property
    def feasible(self) -> bool:
        """True if the value is within the limit."""
        return self.value <= self.limit

    @property
    def reason(self) -> str:
        """By how much the value exceeds the limit, and the largest layer; empty if it is within."""
        if self.feasible:
            return ""
        largest = f" (largest: {self.largest})" if self.largest else ""
        least = "at least " if self.is_bound else ""
        return f"{self.quantity} {least}{self.value:,} over {self.limit:,} by {self.value - self.limit:,}{largest}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of checking a network against the rules."""

    checks: tuple[Check, ...]
    refused: str = ""
    """Why the export mode is not allowed; empty if it is."""

    @property
    def over(self) -> tuple[Quantity, ...]:
        """Quantities over their limits."""
        return tuple(check.quantity for check in self.checks if not check.feasible)

    @property
    def feasible(self) -> bool:
        """True if every check passes and the export mode is allowed."""
        return not self.over and not self.refused

    @property
    def reason(self) -> str:
        """All violations: export mode, then each quantity over its limit with the largest layer; empty if feasible."""
        reasons = [self.refused, *(check.reason for check in self.checks)]
        return "; ".join(reason for reason in reasons if reason)


def check(
    rules: RulesConfig,
    quantities: Mapping[str, int],
    largest: Callable[[Quantity], str] | None = None,
    *,
    modes: Collection[str] = (),
    bounds: Collection[Quantity] = (),
) -> Verdict:
    """Return the verdict on `quantities`. Limits on quantities that are not given are skipped.

    Args:
        rules: the limits.
        quantities: {quantity: value}.
        largest: called with a quantity over its limit; returns the layer that contributes most, with its contribution.
        modes: the export modes, if known; an ensemble may have several.
        bounds: quantities of which the given value is a lower bound.
    """
    checks = []
    for name, limit in rules.in_force().items():
        if name in quantities:
            is_over = quantities[name] > limit
            layer = largest(name) if largest and is_over else ""
            checks.append(Check(name, quantities[name], limit, name in bounds, layer))
    return Verdict(tuple(checks), rules.refused(modes))
