"""Mean and spread of a candidate's scores over several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from results.candidates.candidates import Candidate

SCORES = tuple((split, score) for split in ("validation", "test") for score in ("macro_accuracy", "log_loss"))
"""(split, score) pairs that are averaged over seeds."""


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a score over seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation (n − 1); None for a single seed."""
    low: float
    high: float

    def text(self, *, span: bool = False) -> str:
        """Return `mean ± sd`, followed by the range if `span`; for a single seed, only the mean."""
        if self.sd is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ± {self.sd:.3f}" + (f" ({self.low:.3f}–{self.high:.3f})" if span else "")


@dataclass(frozen=True)
class SeedGroup:
    """One candidate with all of its seeds."""

    name: str
    """Name of the candidate without a seed."""
    members: tuple[Candidate, ...]
    """Retrainings, lowest seed first."""
    scores: dict[tuple[str, str], Spread]
    """{(split, score): spread} for the splits that all members have scores for."""

    @property
    def seeds(self) -> list[int]:
        """Seeds in ascending order."""
        return [member.metrics.seed for member in self.members]

    def size(self, quantity: str) -> int:
        """Return the maximum of `quantity` over the members; the number of zero weights differs between seeds."""
        return max(int(getattr(member.metrics, quantity) or 0) for member in self.members)

    def summary(self, quantity: str = "weight_bytes") -> dict[str, Any]:
        """Return the group as plain values: one row of a table, or JSON."""
        metrics = self.members[0].metrics
        row = {
            "candidate": self.name,
            "trial_id": metrics.trial_id,
            "trained_on": " + ".join(metrics.trained_on),
            "epochs": metrics.epochs,
            "n_seeds": len(self.members),
            "seeds": self.seeds,
            quantity: self.size(quantity),
        }
        for split, score in SCORES:
            spread = self.scores.get((split, score))
            for part in ("mean", "sd", "low", "high"):
                row[f"{split}_{score}_{part}"] = None if spread is None else getattr(spread, part)
        return row


def seed_groups(candidates: Iterable[Candidate]) -> list[SeedGroup]:
    """Return the candidates grouped over seeds, best mean validation log loss first, then by name."""
    members: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        members.setdefault(candidate.name.removesuffix(f"-s{candidate.metrics.seed}"), []).append(candidate)
    groups = [_group(name, found) for name, found in members.items()]

    def rank(group: SeedGroup) -> tuple[float, str]:
        """Return the mean validation log loss, infinite if missing, and the name."""
        spread = group.scores.get(("validation", "log_loss"))
        return (float("inf") if spread is None else spread.mean, group.name)

    return sorted(groups, key=rank)


def _group(name: str, found: list[Candidate]) -> SeedGroup:
    members = tuple(sorted(found, key=lambda candidate: candidate.metrics.seed))
    scores = {}
    for split, score in SCORES:
        values = [member.metrics.value(split, score) for member in members]
        if all(value == value for value in values):
            sd = statistics.stdev(values) if len(values) > 1 else None
            scores[split, score] = Spread(statistics.fmean(values), sd, min(values), max(values))
    return SeedGroup(name, members, scores)
