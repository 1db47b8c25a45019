"""The limits of a run, as its configuration states them, and what candidates and ensembles are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asc_models.rules import LARGEST_COUNTS, Quantity, RulesConfig, Verdict, check
from data_prep.schema import parse_config
from results.candidates.candidates import CandidateMetrics

SHOWN_FIRST: tuple[Quantity, ...] = (
    *("nonzero_weight_bytes", "weight_bytes", "file_bytes", "n_params", "macs", "peak_activation_bytes"),
)
"""The first of these that is limited is the one that pictures and tables show."""


@dataclass(frozen=True)
class SizeLimit:
    """The one limit that pictures and tables show. What is within the rules is told by `Limits`, never by this alone.

    Attributes:
        quantity: a field of CandidateMetrics, such as `nonzero_weight_bytes`.
        limit: the most that is allowed.
        rule: the rule set's name.
    """

    quantity: Quantity
    limit: int
    rule: str


@dataclass(frozen=True)
class Limits:
    """The limits of a run: all that its rules limit, held for a candidate as for an ensemble as a whole.

    Bytes, parameters and multiply–accumulates add up over an ensemble's distinct members. They run one after the other,
    so that of their peak activation bytes the largest counts.
    """

    rules: RulesConfig = field(default_factory=RulesConfig)

    @property
    def main(self) -> SizeLimit:
        """The limit that pictures and tables show: on bytes where there is one, else parameters, else operations."""
        in_force = self.rules.in_force()
        quantity = next(quantity for quantity in SHOWN_FIRST if quantity in in_force)
        return SizeLimit(quantity, in_force[quantity], self.rules.name)

    @property
    def text(self) -> str:
        """All limits in words, such as `128,000 weight bytes, 30,000,000 macs`."""
        return ", ".join(f"{limit:,} {quantity.replace('_', ' ')}" for quantity, limit in self.rules.in_force().items())

    @property
    def described(self) -> dict[str, Any]:
        """The limits as plain values: {"name": rule set, "limits": {quantity: most that is allowed}}."""
        return {"name": self.rules.name, "limits": dict(self.rules.in_force())}

    def totals(self, members: Sequence[CandidateMetrics]) -> dict[str, int]:
        """Return {limited quantity: what distinct members have of it together}.

        A quantity that a member's metrics don't state is left out, as `asc_models.rules.check` passes it over.
        """
        totals: dict[str, int] = {}
        for quantity in self.rules.in_force():
            values = [getattr(member, quantity) for member in members]
            if None not in values:
                totals[quantity] = max(values) if quantity in LARGEST_COUNTS else sum(values)
        return totals

    def verdict(self, members: Sequence[CandidateMetrics]) -> Verdict:
        """Return whether one candidate, or distinct members together, are within every limit."""
        return check(self.rules, self.totals(members), modes=[member.mode for member in members])

    def size(self, members: Sequence[CandidateMetrics]) -> int:
        """Return what members have together of the quantity that is shown; 0 where their metrics don't state it."""
        return self.totals(members).get(self.main.quantity, 0)


def read_limits(config: Mapping[str, Any]) -> Limits:
    """Return the limits in a run's resolved configuration; the default rules' where it has no section `rules`.

    Raises:
        ConfigError: if the section is none.
    """
    return Limits(parse_config(RulesConfig, config.get("rules") or {}, "rules of the run"))
