"""Ranking of the candidates and ensembles that can be submitted as systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import DataError
from results.candidates.candidates import Candidate, CandidateMetrics, comparable, read_candidates, sibling_name
from results.candidates.limits import Limits, read_limits
from results.candidates.predictions import Predictions
from results.config import SubmissionConfig
from results.ensembles.ensemble import Ensemble, ensemble_predictions, read_ensembles
from results.rundir import RunDirectory


@dataclass(frozen=True)
class System:
    """One candidate or ensemble as a system of the package."""

    name: str
    """Name of the candidate or ensemble."""
    members: tuple[Candidate, ...]
    """Distinct candidates of the system."""
    ensemble: Ensemble | None
    """None for a single candidate."""
    validation_log_loss: float
    """Score by which systems are ranked."""
    size: int
    """Members' total of the displayed limited quantity (`Limits.main`)."""
    development: dict[str, Any]
    """Metrics of the test split, {} if there are none."""

    @property
    def distinct(self) -> frozenset[str]:
        """Names of the members. Systems with equal names consist of the same networks and may differ in weights."""
        return frozenset(member.name for member in self.members)

    @property
    def metrics(self) -> list[CandidateMetrics]:
        """Metrics of the members, to which the limits apply together."""
        return [member.metrics for member in self.members]

    def predictions(self, by_candidate: Mapping[str, Predictions]) -> Predictions:
        """Return the system's predictions, computed from its members' unless `by_candidate` contains the system.

        Raises:
            DataError: if predictions of a member are missing.
        """
        if self.name in by_candidate:
            return by_candidate[self.name]
        missing = [member.name for member in self.members if member.name not in by_candidate]
        if missing or self.ensemble is None:
            raise DataError(f"system {self.name}: no evaluation predictions of {', '.join(missing) or self.name}")
        return ensemble_predictions(self.ensemble, by_candidate)


def packed_members(run: RunDirectory, config: SubmissionConfig) -> list[Candidate]:
    """Return the distinct candidates of the systems that `write_submission` would pack."""
    systems, _ = rank_systems(run, read_limits(run.read_config()))
    members = {member.name: member for system in systems[: config.max_systems] for member in system.members}
    return list(members.values())


def rank_systems(run: RunDirectory, limits: Limits) -> tuple[list[System], dict[str, str]]:
    """Rank the candidates and ensembles that are within all limits.

    Of several systems with the same members, such as a candidate and the ensemble of only this candidate with another
    temperature, the best is kept. A candidate that was also trained on validation has no validation score: it replaces
    its sibling, the same network with the same seed trained on the training split only, and is ranked by the sibling's
    score.

    Returns:
        The systems, best validation log loss first, and {name: reason} for those left out.
    """
    candidates = {candidate.name: candidate for candidate in read_candidates(run)}
    siblings = {
        name: sibling
        for name, candidate in candidates.items()
        if (sibling := candidates.get(sibling_name(candidate))) is not None
    }
    found = [
        System(
            name=name,
            members=(candidate,),
            ensemble=None,
            validation_log_loss=siblings.get(name, candidate).metrics.value("validation", "log_loss"),
            size=limits.size([candidate.metrics]),
            development=candidate.metrics.splits.get("test", {}),
        )
        for name, candidate in candidates.items()
    ]
    left_out = {
        sibling.name: f"replaced by {name}: the same network, also trained on validation"
        for name, sibling in siblings.items()
    }
    found = [system for system in found if system.name not in left_out]
    for ensemble in read_ensembles(run):
        gone = [name for name in ensemble.members if name not in candidates]
        if gone:
            left_out[ensemble.name] = f"its members {', '.join(gone)} are missing; rerun `asc ensemble`"
        elif ensemble.is_single and (ensemble.temperature == 1.0 or next(iter(ensemble.members)) in left_out):
            member = next(iter(ensemble.members))
            left_out[ensemble.name] = f"its only member is {member}" + (
                "; " + left_out[member] if member in left_out else ""
            )
        else:
            found.append(_ensemble_system(ensemble, candidates, limits))
    within = [candidate for candidate in candidates.values() if limits.verdict([candidate.metrics]).feasible]
    compared = {candidate.name for candidate in comparable(within)}
    systems: dict[frozenset[str], System] = {}
    for system in sorted(found, key=lambda system: (system.validation_log_loss, system.size, system.name)):
        if reason := limits.verdict(system.metrics).reason:
            left_out[system.name] = f"is over the limit: {reason}"
        elif np.isnan(system.validation_log_loss):
            left_out[system.name] = "has no validation scores to rank it by, and neither has a sibling"
        elif not system.distinct <= compared:
            left_out[system.name] = "is scored on the validation split, unlike others, which are scored out of fold"
        elif (better := systems.setdefault(system.distinct, system)) is not system:
            left_out[system.name] = f"has the same members as {better.name}, which is ranked better"
    return list(systems.values()), left_out


def _ensemble_system(ensemble: Ensemble, candidates: Mapping[str, Candidate], limits: Limits) -> System:
    members = tuple(candidates[name] for name in ensemble.members)
    return System(
        name=ensemble.name,
        members=members,
        ensemble=ensemble,
        validation_log_loss=float(ensemble.metrics.get("validation", {}).get("log_loss", np.nan)),
        size=limits.size([member.metrics for member in members]),
        development=ensemble.metrics.get("test", {}),
    )
