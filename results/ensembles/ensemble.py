"""The ensemble of a run: selected from the retrained candidates on validation, written to `ensembles.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from asc_models.ensemble import combined
from data_prep.errors import DataError
from data_prep.files.files import read_json, write_json
from data_prep.progress import ProgressCallback
from results.candidates.candidates import Candidate
from results.candidates.differences import mean_loss_difference
from results.candidates.limits import Limits, Sized
from results.candidates.predictions import Predictions
from results.config import EnsembleConfig
from results.ensembles.calibration import calibrate, location_parts, locations_of
from results.ensembles.eligible import eligible_candidates
from results.ensembles.members import Found, find_members, make_pool
from results.ensembles.outside import RESERVED, OutsideSystem, read_outside
from results.ensembles.package import pack_ensemble
from results.rundir import RunDirectory

ENSEMBLE_NAME, JOINT_NAME = RESERVED
"""Names of the ensemble of the run's candidates, and of the one that other systems joined."""
Member = Candidate | OutsideSystem


@dataclass(frozen=True)
class Ensemble:
    """One ensemble of `ensembles.json`."""

    name: str
    """Name of the ensemble as a system."""
    members: dict[str, float]
    """{candidate: weight}, largest weight first; weights sum to 1."""
    temperature: float
    """1.0 if none was fitted."""
    total_bytes: int
    """Total of the displayed limited quantity (`Limits.main`) over the distinct members."""
    metrics: dict[str, dict[str, Any]]
    """{split: result of `asc_models.metrics.summarize`}."""
    totals: dict[str, int] = field(default_factory=dict)
    """{limited quantity: total over the distinct members}; {} in files of older versions."""
    method: str = ""
    """Method that found the members (`results.ensembles.members`); "" in files of older versions."""
    held_out: dict[str, float] = field(default_factory=dict)
    """{method: log loss on locations that nothing was selected on}."""
    gain: tuple[float, float, float] | None = None
    """Held-out log loss minus that of the best single candidate, with the bounds of its 95 % interval over locations;
    None if nothing was held out or the members are a single candidate. With outside members, minus that of the run's
    own ensemble."""
    outside: dict[str, int] = field(default_factory=dict)
    """{member: stated bytes} of the members that are other systems; with any, the ensemble can't be packed."""

    @property
    def is_single(self) -> bool:
        """Whether the ensemble has a single member."""
        return len(self.members) == 1


def build_ensemble(
    run: RunDirectory, config: EnsembleConfig, limits: Limits, on_progress: ProgressCallback | None = None
) -> Ensemble:
    """Select an ensemble from the run's candidates on validation, write it, and return it.

    It is written as `ensemble.zip`, which can be run (`pack_ensemble`), and described in `ensembles.json`.

    If other systems joined the run, a second ensemble is selected from both and written if it has any of them: the
    first can be packed, the second not. See `eligible_candidates` for those that take part. Test metrics are computed
    from the members' stored test predictions; no model is run.

    Raises:
        BudgetError: if no candidate is eligible or none is within the limits.
        DataError: if the candidates' predictions differ in their clips or class order.
    """
    candidates, outside = eligible_candidates(run, limits), read_outside(run)
    _require_same_clips(candidates[0], outside)
    own, found = _select(ENSEMBLE_NAME, candidates, config, limits, on_progress)
    ensembles = [own]
    if outside:
        joint, joint_found = _select(JOINT_NAME, [*candidates, *outside], config, limits, on_progress)
        if joint.outside:
            locations = locations_of(candidates[0].predictions("validation"))
            ensembles.append(replace(joint, gain=_difference(joint_found, found, locations)))
    pack_ensemble(run, own.members, own.temperature)
    _write(run, ensembles, limits, config)
    return own


def _difference(found: Found, other: Found, locations: Sequence[str]) -> tuple[float, float, float] | None:
    """Return the held-out loss of one result minus that of another, with its interval; None if nothing was held out."""
    if not found.losses:
        return None
    return mean_loss_difference(found.losses[found.method] - other.losses[other.method], locations)


def _require_same_clips(candidate: Candidate, outside: Sequence[OutsideSystem]) -> None:
    for system in outside:
        try:
            align([candidate.predictions("validation"), system.predictions("validation")])
        except DataError:
            raise DataError(
                f"{system.files.root}: has other clips or scenes than the candidates, which have been retrained "
                "since; rerun `asc ensemble` with --member FILE:BYTES, or without it"
            ) from None


def _select(
    name: str,
    candidates: Sequence[Member],
    config: EnsembleConfig,
    limits: Limits,
    on_progress: ProgressCallback | None,
) -> tuple[Ensemble, Found]:
    """Return the ensemble selected from `candidates` on validation, with its metrics, and how it was found."""
    aligned = align([candidate.predictions("validation") for candidate in candidates])
    stack = np.stack([predictions.probabilities for predictions in aligned])

    def together(indices: Sequence[int]) -> list[Sized]:
        """Return the sizes of the candidates with these indices."""
        return [candidates[i].metrics for i in indices]

    def fits(indices: Sequence[int]) -> bool:
        """Return whether the candidates with these indices are within the limits together."""
        return limits.verdict(together(indices)).feasible

    labels, locations = aligned[0].labels, locations_of(aligned[0])
    parts = location_parts(locations)
    sizes = np.array([max(1, limits.size([candidate.metrics])) for candidate in candidates], dtype=np.float64)
    found = find_members(make_pool(stack, labels, sizes, fits, config), parts, on_progress)
    order = [int(i) for i in np.argsort(-found.counts, kind="stable") if found.counts[i]]
    members = {candidates[i].name: float(found.weights[i]) for i in order}
    mean = np.tensordot(found.weights, stack.astype(np.float64), axes=1)
    ensemble = Ensemble(
        name=name,
        members=members,
        temperature=calibrate(labels, mean, parts).temperature if config.temperature else 1.0,
        total_bytes=limits.size(together(order)),
        metrics={},
        totals=limits.totals(together(order)),
        method=found.method,
        held_out=found.held_out,
        gain=_gain(found, locations),
        outside={
            one.name: one.metrics.n_bytes
            for one in candidates
            if isinstance(one, OutsideSystem) and one.name in members
        },
    )
    ensemble.metrics.update(_metrics(ensemble, {candidate.name: candidate for candidate in candidates}))
    return ensemble, found


def _gain(found: Found, locations: Sequence[str]) -> tuple[float, float, float] | None:
    """Return `Ensemble.gain`."""
    if not found.losses or np.count_nonzero(found.counts) == 1:
        return None
    return mean_loss_difference(found.losses[found.method] - found.losses["single"], locations)


def was_selected_otherwise(run: RunDirectory, config: EnsembleConfig) -> bool:
    """Return whether the run has an ensemble that was selected with settings other than `config`, or is damaged."""
    if not run.ensembles_path.is_file():
        return False
    try:
        read_ensembles(run)
        return bool(read_json(run.ensembles_path).get("config") != config.model_dump(mode="json"))
    except (DataError, AttributeError):
        return True


def read_ensembles(run: RunDirectory) -> list[Ensemble]:
    """Return the run's ensembles, [] if none was built.

    Raises:
        DataError: if `ensembles.json` is damaged.
    """
    if not run.ensembles_path.is_file():
        return []
    data = read_json(run.ensembles_path)
    try:
        return [
            Ensemble(
                name=entry["name"],
                members={member["candidate"]: float(member["weight"]) for member in entry["members"]},
                temperature=float(entry["temperature"]),
                total_bytes=int(entry["total_bytes"]),
                metrics=entry["metrics"],
                totals={str(quantity): int(total) for quantity, total in entry.get("totals", {}).items()},
                method=str(entry.get("method", "")),
                held_out={str(method): float(loss) for method, loss in entry.get("held_out", {}).items()},
                gain=_read_gain(entry.get("gain")),
                outside={str(member): int(n_bytes) for member, n_bytes in entry.get("outside", {}).items()},
            )
            for entry in data["ensembles"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{run.ensembles_path}: damaged ({error!r}); rerun `asc ensemble`") from None


def _read_gain(values: Sequence[float] | None) -> tuple[float, float, float] | None:
    if values is None:
        return None
    mean, low, high = map(float, values)
    return mean, low, high


def ensemble_predictions(ensemble: Ensemble, members: Mapping[str, Predictions]) -> Predictions:
    """Return the ensemble's probabilities: the weighted mean of its members, with the temperature applied.

    Args:
        ensemble: members with weights.
        members: {candidate name: predictions}, all of the same clips in any order.
    """
    aligned = align([members[name] for name in ensemble.members])
    weights = list(ensemble.members.values())
    probabilities = combined([one.probabilities for one in aligned], weights, ensemble.temperature)
    return Predictions(aligned[0].clips, probabilities, aligned[0].classes)


def align(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions with all clips in the order of the first predictions.

    Raises:
        DataError: if they differ in their clips or class order.
    """
    first = predictions[0]
    order = first.clips["clip_id"].tolist()
    aligned = [first]
    for other in predictions[1:]:
        if other.classes != first.classes:
            raise DataError(
                f"members disagree on the class order: {', '.join(first.classes)} and {', '.join(other.classes)}"
            )
        row_of = {clip_id: row for row, clip_id in enumerate(other.clips["clip_id"])}
        if len(row_of) != len(order) or set(row_of) != set(order):
            raise DataError("members have predictions of different clips; retrain those of another fold or data set")
        rows = np.array([row_of[clip_id] for clip_id in order], dtype=np.int64)
        aligned.append(Predictions(first.clips, other.probabilities[rows], other.classes))
    return aligned


def _metrics(ensemble: Ensemble, candidates: Mapping[str, Member]) -> dict[str, dict[str, Any]]:
    """Return {split: metrics} for the splits of which every member has labelled predictions."""
    table = {}
    for split in ("validation", "test"):
        if all(candidates[name].has_predictions(split) for name in ensemble.members):
            predictions = ensemble_predictions(
                ensemble, {name: candidates[name].predictions(split) for name in ensemble.members}
            )
            if predictions.is_labelled:
                table[split] = predictions.summarize()
    return table


def _write(run: RunDirectory, ensembles: Sequence[Ensemble], limits: Limits, config: EnsembleConfig) -> None:
    entries = [_entry(ensemble) for ensemble in ensembles]
    record = {"rules": limits.described, "config": config.model_dump(mode="json"), "ensembles": entries}
    write_json(run.ensembles_path, record)


def _entry(ensemble: Ensemble) -> dict[str, Any]:
    """Return an ensemble as in `ensembles.json`."""
    members = [{"candidate": name, "weight": weight} for name, weight in ensemble.members.items()]
    return {
        "name": ensemble.name,
        "members": members,
        "temperature": ensemble.temperature,
        "total_bytes": ensemble.total_bytes,
        "totals": ensemble.totals,
        "method": ensemble.method,
        "held_out": ensemble.held_out,
        "gain": ensemble.gain,
        "metrics": ensemble.metrics,
        **({"outside": ensemble.outside} if ensemble.outside else {}),
    }
