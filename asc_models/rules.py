"""The challenge's size rules: which quantity counts, how much of it is allowed, and in which exports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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
"""What each quantity is called in tables and text; the unit stands beside it."""

RuleName = Literal["dcase2021", "dcase2022", "dcase2023", "dcase2024", "dcase2025", "custom"]

LIMITS: dict[RuleName, dict[Quantity, int]] = {
    "dcase2021": {"nonzero_weight_bytes": 128_000},
    "dcase2022": {"n_params": 128_000, "macs": 30_000_000},
    "dcase2023": {"weight_bytes": 128_000, "macs": 30_000_000},
    "dcase2024": {"weight_bytes": 128_000, "macs": 30_000_000},
    "dcase2025": {"weight_bytes": 128_000, "macs": 30_000_000},
    "custom": {},
}
"""What each year's Task 1 allows. 2021's 128 KB is read as 128,000 bytes: what fits fits its other reading, 131,072."""

MODES: dict[RuleName, tuple[ExportMode, ...]] = {"dcase2022": INT8_MODES}
"""The exports that a rule set takes, where it doesn't take all: 2022's 128,000 parameters are int8 ones. The modes in
which every kernel is stored as int8 or narrower pass for that (asc_models.config.INT8_MODES)."""

LARGEST_COUNTS: tuple[Quantity, ...] = ("peak_activation_bytes",)
"""Of models that run one after the other the largest counts in these quantities; all others add up."""


class RulesConfig(Config):
    """Section `rules`: a named rule set; `limits` adds to it or replaces a limit of it.

    What follows from a network's description is limited before it is trained. A file's size is known with the file: a
    trial of a search whose file is over `file_bytes` fails at its first rung with that reason, and a retrained
    candidate that is over it is taken for nothing. With a `weight_bytes` limit beside it most of these are refused
    untrained. dcase2022 takes exports with int8 kernels alone: int8_weights, int4_int8_weights, int8.
    """

    name: RuleName = "dcase2021"
    """Rule set of a challenge year, or custom."""
    limits: dict[Quantity, int] = Field(default_factory=dict)
    """Quantity → most that is allowed."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.in_force():
            raise ValueError("custom rules need one entry in `limits` at least, such as weight_bytes: 128000")
        for quantity, limit in self.limits.items():
            if limit < 1:
                raise ValueError(f"limits.{quantity} must be at least 1, got {limit}")
        return self

    def in_force(self) -> dict[Quantity, int]:
        """Return {quantity: most that is allowed}."""
        return {**LIMITS[self.name], **self.limits}

    def refused(self, modes: Collection[str]) -> str:
        """Return why an export in one of `modes` is refused, empty where all are taken."""
        taken = MODES.get(self.name)
        over = [] if taken is None else sorted(set(modes) - set(taken))
        if taken is None or not over:
            return ""
        return f"export as {', '.join(over)} leaves kernels wider than int8; {self.name} takes {', '.join(taken)}"

    def size_limit(self) -> tuple[Quantity, int] | None:
        """Return the byte quantity that ensembles and the front are held against, with its limit; None without one."""
        limits = self.in_force()
        for quantity in ("nonzero_weight_bytes", "weight_bytes", "file_bytes"):
            if quantity in limits:
                return quantity, limits[quantity]
        return None


@dataclass(frozen=True, slots=True)
class Check:
    """One quantity against its limit."""

    quantity: Quantity
    value: int
    limit: int
    largest: str = ""
    """Where it is over: the layer with the largest part in it, and that part; empty where that isn't known."""

    @property
    def feasible(self) -> bool:
        """True where the value is within the limit."""
        return self.value <= self.limit

    @property
    def reason(self) -> str:
        """By how much it is over, and the largest layer; empty where it is within."""
        if self.feasible:
            return ""
        largest = f" (largest: {self.largest})" if self.largest else ""
        return f"{self.quantity} {self.value:,} over {self.limit:,} by {self.value - self.limit:,}{largest}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a network is within the rules, check by check."""

    checks: tuple[Check, ...]
    refused: str = ""
    """Why its export is refused, whatever the sizes; empty where it isn't."""

    @property
    def over(self) -> tuple[Quantity, ...]:
        """The quantities that are over their limits."""
        return tuple(check.quantity for check in self.checks if not check.feasible)

    @property
    def feasible(self) -> bool:
        """True where every check passes and the export is taken."""
        return not self.over and not self.refused

    @property
    def reason(self) -> str:
        """The export that is refused; what is over, by how much, and the largest layer; empty where nothing is."""
        reasons = [self.refused, *(check.reason for check in self.checks)]
        return "; ".join(reason for reason in reasons if reason)


def check(
    rules: RulesConfig,
    quantities: Mapping[str, int],
    largest: Callable[[Quantity], str] | None = None,
    *,
    modes: Collection[str] = (),
) -> Verdict:
    """Return the verdict on `quantities`; a limit on a quantity that isn't known yet (a file's size) is passed over.

    Args:
        rules: the limits.
        quantities: {quantity: value}.
        largest: from a quantity that is over to the layer with the largest part in it, and that part.
        modes: the exports, as far as they are known: several of an ensemble.
    """
    checks = []
    for name, limit in rules.in_force().items():
        if name in quantities:
            is_over = quantities[name] > limit
            checks.append(Check(name, quantities[name], limit, largest(name) if largest and is_over else ""))
    return Verdict(tuple(checks), rules.refused(modes))
