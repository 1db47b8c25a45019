"""The limits of a run, from its configuration, applied to candidates and ensembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asc_models.rules import BYTES, QUANTITY_TITLES, Quantity, RulesConfig, Verdict, check, total
from data_prep.schema import parse_config
from results.candidates.candidates import CandidateMetrics

SHOWN_FIRST: tuple[Quantity, ...] = (
    *("nonzero_weight_bytes", "weight_bytes", "file_bytes", "n_params", "macs", "peak_activation_bytes"),
)
"""Figures and tables show the first of these quantities that is limited."""


@dataclass(frozen=True)
class SizeLimit:
    """The limit that figures and tables show. To decide whether a candidate is within the rules, use `Limits`."""

    quantity: Quantity
    """A field of CandidateMetrics, such as `nonzero_weight_bytes`."""
    limit: int
    """Maximum allowed value."""
    rule: str
    """Name of the rule set."""


@dataclass(frozen=True)
class StatedSize:
    """The size of a network of which only a number of bytes is stated, not measured."""

    n_bytes: int
    """Bytes, which count for each quantity of `BYTES`; nothing counts for other quantities."""


Sized = CandidateMetrics | StatedSize
"""What the size of a member is known from."""


@dataclass(frozen=True)
class Limits:
    """All limits of a run. They apply to a candidate and to an ensemble as a whole.

    Bytes, parameters and multiply–accumulates are summed over the distinct members of an ensemble. Members run
    sequentially, so the maximum of their peak activation bytes counts.
    """

    rules: RulesConfig = field(default_factory=RulesConfig)

    @property
    def main(self) -> SizeLimit:
        """The limit that figures and tables show: the first of `SHOWN_FIRST` that is limited."""
        in_force = self.rules.in_force()
        quantity = next(quantity for quantity in SHOWN_FIRST if quantity in in_force)
        return SizeLimit(quantity, in_force[quantity], self.rules.name)

    @property
    def text(self) -> str:
        """All limits as text, such as `128,000 bytes of weights, 30,000,000 multiply-accumulates`."""
        return ", ".join(f"{limit:,} {QUANTITY_TITLES[quantity]}" for quantity, limit in self.rules.in_force().items())

    @property
    def described(self) -> dict[str, Any]:
        """The limits as plain values: {"name": rule set, "limits": {quantity: maximum}}."""
        return {"name": self.rules.name, "limits": dict(self.rules.in_force())}

    def totals(self, members: Sequence[Sized]) -> dict[str, int]:
        """Return {limited quantity: total over distinct members}.

        A quantity that is None for any candidate is left out; `asc_models.rules.check` then does not check it. Of a
        stated size, quantities that are no bytes count as 0.
        """
        totals: dict[str, int] = {}
        for quantity in self.rules.in_force():
            values = [_value(member, quantity) for member in members]
            if None not in values:
                totals[quantity] = total(quantity, [value for value in values if value is not None])
        return totals

    def verdict(self, members: Sequence[Sized]) -> Verdict:
        """Return whether one candidate, or distinct members together, are within all limits."""
        modes = [member.mode for member in members if isinstance(member, CandidateMetrics)]
        return check(self.rules, self.totals(members), modes=modes)

    def size(self, members: Sequence[Sized]) -> int:
        """Return the members' total of the displayed quantity (`main`); 0 if it is unknown for any of them."""
        return self.totals(members).get(self.main.quantity, 0)


def _value(member: Sized, quantity: Quantity) -> int | None:
    if isinstance(member, StatedSize):
        return member.n_bytes if quantity in BYTES else 0
    value: int | None = getattr(member, quantity)
    return value


def read_limits(config: Mapping[str, Any]) -> Limits:
    """Return the limits in a run's resolved configuration; the default rules if it has no section `rules`.

    Raises:
        ConfigError: if the section is invalid.
    """
    return Limits(parse_config(RulesConfig, config.get("rules") or {}, "rules of the run"))
