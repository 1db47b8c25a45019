"""Ensembles of the seeds of each system: the same network trained several times, answering together.

Nothing is chosen: members are the first k seeds, weights are equal. So their test scores are as honest as those of the
single networks, and a system's accuracy can be compared with that of several smaller networks in the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asc_models.ensemble import combined
from results.candidates.differences import Difference
from results.candidates.predictions import Predictions
from results.crossval.scores import QUANTITIES, FoldScore, SystemScores, difference
from results.ensembles.ensemble import align


@dataclass(frozen=True)
class SeedEnsemble:
    """The networks of a system's first seeds, answering by the mean of their probabilities."""

    system: str
    n_members: int
    scores: SystemScores
    """Of the mean; its only seed is that of the first member."""
    difference: Difference
    """To the single networks, whose scores are means over all seeds."""
    sizes: dict[str, int | None]
    """{quantity of QUANTITIES: sum over the members, the largest over folds}; None out of fold."""


def seed_ensembles(system: SystemScores) -> list[SeedEnsemble]:
    """Return ensembles of the first 2, 4, 8 … seeds and of all; none for a single seed, or if a fold lacks a seed."""
    n_seeds = len(system.seeds)
    if n_seeds < 2 or not system.is_complete:
        return []
    powers = [2**power for power in range(1, n_seeds.bit_length())]
    return [_together(system, n_members) for n_members in sorted({*powers, n_seeds})]


def _together(system: SystemScores, n_members: int) -> SeedEnsemble:
    seeds = system.seeds[:n_members]
    of_fold = {fold: [one for one in system.scores if one.fold == fold and one.seed in seeds] for fold in system.folds}
    name = f"{system.name} × {n_members}"
    means = (FoldScore(name, fold, seeds[0], _mean(members)) for fold, members in of_fold.items())
    scores = SystemScores(name, tuple(means))
    sizes = {quantity: _largest_sum(list(of_fold.values()), quantity) for quantity in QUANTITIES}
    return SeedEnsemble(system.name, n_members, scores, difference(scores, system), sizes)


def _mean(members: Sequence[FoldScore]) -> Predictions:
    aligned = align([one.predictions for one in members])
    probabilities = combined([one.probabilities for one in aligned], [1 / len(aligned)] * len(aligned), 1.0)
    return Predictions(aligned[0].clips, probabilities, aligned[0].classes)


def _largest_sum(folds: Sequence[Sequence[FoldScore]], quantity: str) -> int | None:
    sums = [sum(getattr(one.metrics, quantity) for one in members) for members in folds if members[0].metrics]
    return max(sums, default=None)
