"""Ranking of the candidates and ensembles that can be submitted as systems.

All are calibrated alike: each has a temperature where one lowers its cross-fitted log loss
(results.ensembles.calibration), and they are ranked by that loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.metrics import log_losses
from data_prep.errors import DataError
from results.candidates.candidates import Candidate, CandidateMetrics, comparable, read_candidates, sibling_name
from results.candidates.limits import Limits
from results.candidates.predictions import Predictions, tempered
from results.ensembles.calibration import (
    Calibration,
    calibrate,
    cross_fitted,
    location_parts,
    locations_of,
)
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
    calibration: Calibration
    """Temperature of a candidate, and the cross-fitted log loss by which systems are ranked; NaN without one."""
    validation: Predictions | None
    """Validation predictions before the temperature, None if they are not stored."""
    size: int
    """Members' total of the displayed limited quantity (`Limits.main`)."""
    development: dict[str, Any]
    """Metrics of the test split, {} if there are none."""

    @property
    def validation_log_loss(self) -> float:
        """Cross-fitted log loss on validation in nats, NaN if there is none."""
        return self.calibration.log_loss

    @property
    def scored(self) -> str:
        """Where `validation_log_loss` is from: `on validation`, or `out of fold`, on all clips of the training side."""
        return "out of fold" if any(member.metrics.inner_folds for member in self.members) else "on validation"

    @property
    def temperature(self) -> float:
        """Temperature that is applied to the probabilities; 1.0 is none."""
        return self.calibration.temperature if self.ensemble is None else self.ensemble.temperature

    def losses(self) -> npt.NDArray[np.float64]:
        """Return the log loss of each validation clip, calibrated as for the ranking (`cross_fitted`).

        Raises:
            DataError: if there are no validation predictions.
        """
        if self.validation is None:
            raise DataError(f"system {self.name}: has no validation predictions")
        calibrated = cross_fitted(self.validation)
        return log_losses(calibrated.labels, calibrated.probabilities)

    @property
    def distinct(self) -> frozenset[str]:
        """Names of the members. Systems with equal names consist of the same networks and may differ in weights."""
        return frozenset(member.name for member in self.members)

    @property
    def metrics(self) -> list[CandidateMetrics]:
        """Metrics of the members, to which the limits apply together."""
        return [member.metrics for member in self.members]

    def predictions(self, by_candidate: Mapping[str, Predictions]) -> Predictions:
        """Return the system's predictions, computed from its members' unless `by_candidate` contains the ensemble.

        The temperature is applied to a candidate's predictions.

        Raises:
            DataError: if predictions of a member are missing.
        """
        if self.name in by_candidate:
            given = by_candidate[self.name]
            return given if self.ensemble is not None else tempered(given, self.temperature)
        missing = [member.name for member in self.members if member.name not in by_candidate]
        if missing or self.ensemble is None:
            raise DataError(f"system {self.name}: no evaluation predictions of {', '.join(missing) or self.name}")
        return ensemble_predictions(self.ensemble, by_candidate)


def rank_systems(run: RunDirectory, limits: Limits) -> tuple[list[System], dict[str, str]]:
    """Rank the candidates and ensembles that are within all limits.

    Of several systems with the same members the best is kept. A candidate that was also trained on validation has no
    validation score: it replaces its sibling, the same network with the same seed trained on the training split only,
    and is ranked by the sibling's score.

    Returns:
        The systems, best validation log loss first, and {name: reason} for those left out.
    """
    candidates = {candidate.name: candidate for candidate in read_candidates(run)}
    siblings = {
        name: sibling
        for name, candidate in candidates.items()
        if (sibling := candidates.get(sibling_name(candidate))) is not None
    }
    found = [_single_system(candidate, siblings.get(name, candidate), limits) for name, candidate in candidates.items()]
    left_out = {
        sibling.name: f"replaced by {name}: the same network, also trained on validation"
        for name, sibling in siblings.items()
    }
    found = [system for system in found if system.name not in left_out]
    for ensemble in read_ensembles(run):
        gone = [name for name in ensemble.members if name not in candidates]
        if ensemble.outside:
            left_out[ensemble.name] = (
                f"its members {', '.join(ensemble.outside)} are other systems: there is no network of them to pack"
            )
        elif gone:
            left_out[ensemble.name] = f"its members {', '.join(gone)} are missing; rerun `asc ensemble`"
        elif not ensemble.is_single:  # of a single member, the member is the system
            found.append(_ensemble_system(ensemble, candidates, limits))
    within = [candidate for candidate in candidates.values() if limits.verdict([candidate.metrics]).feasible]
    compared = {candidate.name for candidate in comparable(within)}
    systems: dict[frozenset[str], System] = {}
    for system in sorted(found, key=_rank):
        if reason := limits.verdict(system.metrics).reason:
            left_out[system.name] = f"is over the limit: {reason}"
        elif np.isnan(system.validation_log_loss):
            left_out[system.name] = "has no validation scores to rank it by, and neither has a sibling"
        elif not system.distinct <= compared:
            left_out[system.name] = "is scored on the validation split, unlike others, which are scored out of fold"
        elif (better := systems.setdefault(system.distinct, system)) is not system:
            left_out[system.name] = f"has the same members as {better.name}, which is ranked better"
    return list(systems.values()), left_out


def _rank(system: System) -> tuple[bool, float, int, str]:
    """Return the sorting key; a NaN compares with nothing, so that systems without a score are last by a flag."""
    loss = system.validation_log_loss
    return bool(np.isnan(loss)), loss, system.size, system.name


def _single_system(candidate: Candidate, scored: Candidate, limits: Limits) -> System:
    """Return a candidate as a system, with validation scores and temperature of `scored`: itself or its sibling."""
    validation = scored.predictions("validation") if scored.has_predictions("validation") else None
    if validation is None:
        calibration = Calibration(1.0, scored.metrics.value("validation", "log_loss"))
    else:
        calibration = _calibrated(validation)
    development = candidate.metrics.splits.get("test", {})
    if development and calibration.temperature != 1.0 and candidate.has_predictions("test"):
        development = tempered(candidate.predictions("test"), calibration.temperature).summarize()
    return System(
        name=candidate.name,
        members=(candidate,),
        ensemble=None,
        calibration=calibration,
        validation=validation,
        size=limits.size([candidate.metrics]),
        development=development,
    )


def _ensemble_system(ensemble: Ensemble, candidates: Mapping[str, Candidate], limits: Limits) -> System:
    members = tuple(candidates[name] for name in ensemble.members)
    validation, calibration = None, Calibration(1.0, float(np.nan))
    if all(member.has_predictions("validation") for member in members):
        plain = replace(ensemble, temperature=1.0)
        validation = ensemble_predictions(plain, {one.name: one.predictions("validation") for one in members})
        calibration = _calibrated(validation)
    return System(
        name=ensemble.name,
        members=members,
        ensemble=ensemble,
        calibration=calibration,
        validation=validation,
        size=limits.size([member.metrics for member in members]),
        development=ensemble.metrics.get("test", {}),
    )


def _calibrated(validation: Predictions) -> Calibration:
    parts = location_parts(locations_of(validation))
    return calibrate(validation.labels, validation.probabilities, parts)
