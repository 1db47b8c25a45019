"""The challenge's size rules: which quantity counts, and how much of it is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from data_prep.schema import Config

Quantity = Literal["weight_bytes", "nonzero_weight_bytes", "file_bytes", "n_params", "macs", "peak_activation_bytes"]
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


class RulesConfig(Config):
    """Section `rules`: a named rule set; `limits` adds to it or replaces a limit of it."""

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

    @property
    def feasible(self) -> bool:
        """True where every check passes."""
        return all(check.feasible for check in self.checks)

    @property
    def reason(self) -> str:
        """What is over, by how much, and the largest layer; empty where nothing is."""
        return "; ".join(check.reason for check in self.checks if not check.feasible)


def check(
    rules: RulesConfig, quantities: Mapping[str, int], largest: Callable[[Quantity], str] | None = None
) -> Verdict:
    """Return the verdict on `quantities`; a limit on a quantity that isn't known yet (a file's size) is passed over.

    Args:
        rules: the limits.
        quantities: {quantity: value}.
        largest: from a quantity that is over to the layer with the largest part in it, and that part.
    """
    checks = []
    for name, limit in rules.in_force().items():
        if name in quantities:
            is_over = quantities[name] > limit
            checks.append(Check(name, quantities[name], limit, largest(name) if largest and is_over else ""))
    return Verdict(tuple(checks))
