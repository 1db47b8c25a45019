"""Greedy forward selection of ensembles of retrained candidates, within the limits of one model.

Caruana et al., "Ensemble selection from libraries of models", ICML 2004: start with the best model on validation;
repeatedly add the model that reduces the loss of the mean probabilities most, with replacement; stop if none reduces
it. The size of a member counts once, however often it was added: repetition only changes its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.metrics import Floats, Ints, log_loss
from data_prep.errors import BudgetError, DataError
from data_prep.files import read_json, write_json
from data_prep.progress import ProgressCallback
from results.candidates.candidates import Candidate, CandidateMetrics, comparable, read_candidates
from results.candidates.limits import Limits
from results.candidates.predictions import Predictions
from results.config import EnsembleConfig
from results.rundir import RunDirectory

ENSEMBLE_NAME = "ensemble"
TEMPERATURES = (0.5, 4.0)
"""Bounds of the fit. Values outside result from a few clips rather than from over- or underconfidence."""


@dataclass(frozen=True)
class Selection:
    """Result of the ensemble selection."""

    counts: npt.NDArray[np.int64]
    """How often each candidate was added, shape (n_candidates,); 0 for candidates that are not members."""
    temperature: float
    """Divisor of the log mean probabilities, which are normalized afterwards."""

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Weights of the candidates, summing to 1."""
        shares: npt.NDArray[np.float64] = self.counts / self.counts.sum()
        return shares


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

    @property
    def is_single(self) -> bool:
        """Whether the ensemble has a single member."""
        return len(self.members) == 1


def temper(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Return p^(1/T), normalized per row, shape (n_clips, n_scenes). T > 1 flattens, T < 1 sharpens."""
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-15, None)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def fit_temperature(labels: Ints, probabilities: Floats) -> float:
    """Return the temperature within `TEMPERATURES` with the lowest log loss.

    Returns 1.0 if no temperature reduces the loss, or if no clip is misclassified.
    """
    from scipy.optimize import minimize_scalar

    # Without a misclassified clip, the loss decreases monotonically towards T → 0, and the fit would return the lower
    # bound. Such sharpening makes the first error on test very expensive.
    if (probabilities.argmax(axis=1) == labels).all():
        return 1.0
    bounds = tuple(np.log(TEMPERATURES))
    fit = minimize_scalar(lambda t: log_loss(labels, temper(probabilities, np.exp(t))), bounds=bounds, method="bounded")
    temperature = float(np.exp(fit.x))
    return temperature if fit.fun < log_loss(labels, probabilities) else 1.0


def select_ensemble(
    probabilities: Floats,
    labels: Ints,
    fits: Callable[[Sequence[int]], bool],
    config: EnsembleConfig,
    on_progress: ProgressCallback | None = None,
) -> Selection:
    """Return the ensemble selected on validation by greedy forward selection.

    Args:
        probabilities: probabilities of each candidate, shape (n_members, n_clips, n_scenes). Each candidate alone must
            be within the limits.
        labels: class indices, shape (n_clips,).
        fits: returns whether the distinct candidates with the given indices are within the limits together.
        config: maximum numbers of members and rounds, and whether to fit a temperature.
        on_progress: called after each round.
    """
    alone = np.array([log_loss(labels, member) for member in probabilities])
    counts = np.zeros(len(alone), dtype=np.int64)
    counts[alone.argmin()] = 1
    best = float(alone.min())
    for done in range(1, config.max_rounds):
        losses = [
            _loss_with(probabilities, labels, counts, i) if _may_join(counts, i, fits, config.max_members) else np.inf
            for i in range(len(counts))
        ]
        if on_progress is not None:
            on_progress(done, config.max_rounds)
        if not min(losses) < best:
            break
        best = min(losses)
        counts[int(np.argmin(losses))] += 1
    if on_progress is not None:
        on_progress(config.max_rounds, config.max_rounds)
    mean = np.tensordot(counts / counts.sum(), probabilities.astype(np.float64), axes=1)
    temperature = fit_temperature(labels, mean) if config.temperature else 1.0
    return Selection(counts, temperature)


def build_ensemble(
    run: RunDirectory, config: EnsembleConfig, limits: Limits, on_progress: ProgressCallback | None = None
) -> Ensemble:
    """Select an ensemble from the run's candidates on validation, write `ensembles.json`, and return it.

    Excluded are candidates without validation predictions (trained on train and validation) and, if any candidate is
    scored out of fold, those scored on the validation split. Test metrics are computed from the members' stored test
    predictions; no model is run.

    Raises:
        BudgetError: if no candidate is eligible or none is within the limits.
        DataError: if the candidates' predictions differ in their clips or class order.
    """
    candidates = [candidate for candidate in read_candidates(run) if candidate.has_predictions("validation")]
    if not candidates:
        raise BudgetError(
            f"{run.candidates_dir}: no retrained candidate has validation predictions; run `asc retrain` first"
        )
    candidates = comparable(_within(candidates, limits))
    aligned = align([candidate.predictions("validation") for candidate in candidates])
    stack = np.stack([predictions.probabilities for predictions in aligned])

    def together(indices: Sequence[int]) -> list[CandidateMetrics]:
        """Return the metrics of the candidates with these indices."""
        return [candidates[i].metrics for i in indices]

    def fits(indices: Sequence[int]) -> bool:
        """Return whether the candidates with these indices are within the limits together."""
        return limits.verdict(together(indices)).feasible

    chosen = select_ensemble(stack, aligned[0].labels, fits, config, on_progress)
    order = [int(i) for i in np.argsort(-chosen.counts, kind="stable") if chosen.counts[i]]
    members = {candidates[i].name: float(chosen.weights[i]) for i in order}
    size, totals = limits.size(together(order)), limits.totals(together(order))
    ensemble = Ensemble(ENSEMBLE_NAME, members, chosen.temperature, size, {}, totals)
    ensemble.metrics.update(_metrics(ensemble, {candidate.name: candidate for candidate in candidates}))
    _write(run, ensemble, limits, config)
    return ensemble


def was_selected_otherwise(run: RunDirectory, config: EnsembleConfig) -> bool:
    """Return whether the run has an ensemble that was selected with settings other than `config`, or is damaged."""
    if not run.ensembles_path.is_file():
        return False
    try:
        read_ensembles(run)
        return bool(read_json(run.ensembles_path).get("config") != config.model_dump(mode="json"))
    except (DataError, AttributeError):
        return True


def _within(candidates: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    reasons = {candidate.name: limits.verdict([candidate.metrics]).reason for candidate in candidates}
    within = [candidate for candidate in candidates if not reasons[candidate.name]]
    if not within:
        lines = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
        raise BudgetError(
            f"no candidate is within the limits ({limits.rules.name}):{lines}\nNarrow the space, or raise the limits."
        )
    return within


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
            )
            for entry in data["ensembles"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{run.ensembles_path}: damaged ({error!r}); rerun `asc ensemble`") from None


def ensemble_predictions(ensemble: Ensemble, members: Mapping[str, Predictions]) -> Predictions:
    """Return the ensemble's probabilities: the weighted mean of its members, with the temperature applied.

    Args:
        ensemble: members with weights.
        members: {candidate name: predictions}, all of the same clips in any order.
    """
    aligned = align([members[name] for name in ensemble.members])
    weights = np.array(list(ensemble.members.values()))
    mean = np.tensordot(weights, np.stack([p.probabilities.astype(np.float64) for p in aligned]), axes=1)
    tempered = temper(mean, ensemble.temperature).astype(np.float32)
    return Predictions(aligned[0].clips, tempered, aligned[0].classes)


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


def _may_join(counts: Ints, index: int, fits: Callable[[Sequence[int]], bool], max_members: int) -> bool:
    members = np.flatnonzero((counts > 0) | (np.arange(len(counts)) == index)).tolist()
    return len(members) <= max_members and fits(members)


def _loss_with(probabilities: Floats, labels: Ints, counts: Ints, index: int) -> float:
    raised = counts + (np.arange(len(counts)) == index)
    return log_loss(labels, np.tensordot(raised / raised.sum(), probabilities.astype(np.float64), axes=1))


def _metrics(ensemble: Ensemble, candidates: Mapping[str, Candidate]) -> dict[str, dict[str, Any]]:
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


def _write(run: RunDirectory, ensemble: Ensemble, limits: Limits, config: EnsembleConfig) -> None:
    members = [{"candidate": name, "weight": weight} for name, weight in ensemble.members.items()]
    entry = {
        "name": ensemble.name,
        "members": members,
        "temperature": ensemble.temperature,
        "total_bytes": ensemble.total_bytes,
        "totals": ensemble.totals,
        "metrics": ensemble.metrics,
    }
    record = {"rules": limits.described, "config": config.model_dump(mode="json"), "ensembles": [entry]}
    write_json(run.ensembles_path, record)
