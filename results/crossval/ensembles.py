"""Ensembles of the networks of a cross-validation, which answer by the mean of their probabilities.

There are ensembles of the seeds of each system, and one of all networks of all systems. Nothing is chosen: members are
the first k seeds or all, weights are equal. So their test scores are as honest as those of the single networks, and a
system's accuracy can be compared with that of several smaller networks in the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asc_models.ensemble import combined
from results.candidates.differences import Difference
from results.candidates.predictions import Predictions
from results.crossval.scores import QUANTITIES, FoldScore, SystemScores, difference
from results.ensembles.ensemble import align

ALL = "all systems"
"""Name of the ensemble of all networks."""


@dataclass(frozen=True)
class CrossvalEnsemble:
    """Several networks, answering by the mean of their probabilities."""

    system: str
    """System of the members; `ALL` if they are of several."""
    n_members: int
    scores: SystemScores
    """Of the mean; its only seed is that of the first member."""
    difference: Difference
    """To the single networks of the system, whose scores are means over all seeds; of `ALL`, to those of the first
    system."""
    sizes: dict[str, int | None]
    """{quantity of QUANTITIES: sum over the members, the largest over folds}; None out of fold."""


def ensembles(systems: Sequence[SystemScores]) -> list[CrossvalEnsemble]:
    """Return the ensembles of the seeds of each system, then that of all systems, if there are several.

    The latter needs every seed of every system on the same folds.
    """
    found = [one for system in systems for one in seed_ensembles(system)]
    if len(systems) > 1 and all(one.is_complete and one.folds == systems[0].folds for one in systems):
        found.append(_together(ALL, [score for one in systems for score in one.scores], systems[0]))
    return found


def seed_ensembles(system: SystemScores) -> list[CrossvalEnsemble]:
    """Return ensembles of the first 2, 4, 8 … seeds and of all; none for a single seed, or if a fold lacks a seed."""
    n_seeds = len(system.seeds)
    if n_seeds < 2 or not system.is_complete:
        return []
    powers = [2**power for power in range(1, n_seeds.bit_length())]
    sizes = sorted({*powers, n_seeds})
    members = ([one for one in system.scores if one.seed in system.seeds[:size]] for size in sizes)
    return [_together(system.name, scores, system) for scores in members]


def _together(name: str, members: Sequence[FoldScore], single: SystemScores) -> CrossvalEnsemble:
    """Return the ensemble of `members`, trainings of several folds, with its difference to `single`."""
    of_fold = {fold: [one for one in members if one.fold == fold] for fold in single.folds}
    n_members = len(members) // len(of_fold)
    title = f"{name} × {n_members}"
    means = (FoldScore(title, fold, members[0].seed, _mean(those)) for fold, those in of_fold.items())
    scores = SystemScores(title, tuple(means))
    sizes = {quantity: _largest_sum(list(of_fold.values()), quantity) for quantity in QUANTITIES}
    return CrossvalEnsemble(name, n_members, scores, difference(scores, single), sizes)


def _mean(members: Sequence[FoldScore]) -> Predictions:
    aligned = align([one.predictions for one in members])
    probabilities = combined([one.probabilities for one in aligned], [1 / len(aligned)] * len(aligned), 1.0)
    return Predictions(aligned[0].clips, probabilities, aligned[0].classes)


def _largest_sum(folds: Sequence[Sequence[FoldScore]], quantity: str) -> int | None:
    sums = [sum(getattr(one.metrics, quantity) for one in members) for members in folds if members[0].metrics]
    return max(sums, default=None)
