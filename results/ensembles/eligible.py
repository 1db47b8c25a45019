"""Candidates that can be members of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.errors import BudgetError
from results.candidates.candidates import Candidate, comparable, read_candidates
from results.candidates.limits import Limits
from results.rundir import RunDirectory


def eligible_candidates(run: RunDirectory, limits: Limits) -> list[Candidate]:
    """Return the candidates within the limits whose validation scores cover the same clips, best log loss first.

    Excluded are candidates without validation predictions (trained on train and validation) and, if any candidate is
    scored out of fold, those scored on the validation split.

    Raises:
        BudgetError: if there is none.
    """
    candidates = [candidate for candidate in read_candidates(run) if candidate.has_predictions("validation")]
    if not candidates:
        raise BudgetError(
            f"{run.candidates_dir}: no retrained candidate has validation predictions; run `asc retrain` first"
        )
    return comparable(_within(candidates, limits))


def _within(candidates: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    reasons = {candidate.name: limits.verdict([candidate.metrics]).reason for candidate in candidates}
    within = [candidate for candidate in candidates if not reasons[candidate.name]]
    if not within:
        lines = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
        raise BudgetError(
            f"no candidate is within the limits ({limits.rules.name}):{lines}\nNarrow the space, or raise the limits."
        )
    return within
