"""Retrained candidates, their `metrics.json`, and how they are ranked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from asc_models.candidate import RETRAIN_AGAIN, require_unchanged
from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.files.files import read_json, write_json
from results.candidates.predictions import PredictedSystem
from results.rundir import CandidateFiles, RunDirectory


def _with_numbers(scores: dict[str, Any]) -> dict[str, Any]:
    for name in ("macro_accuracy", "log_loss"):
        if not isinstance(scores.get(name), int | float | None):
            raise ValueError(f"{name} must be a number, is {str(scores[name])[:40]!r}")
    return scores


@dataclass(frozen=True)
class CandidateMetrics:
    """Scores and sizes of a retrained candidate, measured on its exported file."""

    splits: dict[str, Annotated[dict[str, Any], AfterValidator(_with_numbers)]] = field(repr=False)
    """{split: result of `asc_models.metrics.summarize`}."""
    weight_bytes: int
    """Bytes of all weights in the file, without quantization parameters (`quantization_bytes`)."""
    nonzero_weight_bytes: int
    """Bytes of the nonzero weights, which the size rule of 2021 counts."""
    file_bytes: int
    quantization_bytes: int
    n_params: int
    """Parameters of the network."""
    macs: int
    """Multiply–accumulates per inference."""
    agreement: float | None
    """Share of validation clips for which the exported file and the trained network choose the same scene."""
    mode: str
    """Quantization mode of the weights."""
    best_epoch: int | None
    """Epoch whose weights were kept."""
    epochs: int
    """Epochs trained."""
    seed: int
    """Seed of the retraining."""
    trial_id: str | None
    """Trial that was retrained; None for a system given by name."""
    n_nonzero: int | None = None
    """Nonzero weights in the exported file; None if not counted."""
    agreement_beyond_chance: float | None = None
    """Cohen's κ between file and network over validation and calibration clips, excluding near-ties."""
    export_seconds: float | None = None
    """Duration of the export."""
    float_scores: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)
    """{split: {score: value}} of the float32 network before its export: `macro_accuracy`, and `log_loss` in nats.
    Out-of-fold predictions have none."""
    general: dict[str, Annotated[dict[str, Any], AfterValidator(_with_numbers)]] = field(
        default_factory=dict, repr=False
    )
    """{split: scores} of the general network alone, if devices have networks; `splits` is with these. Out-of-fold
    predictions have none."""
    devices: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """{device with a network: sizes of its file, and its agreement with the network}. The limits apply to each file by
    itself, so the candidate's sizes are those of the largest."""
    peak_activation_bytes: int | None = None
    """Estimated peak memory of simultaneously live float32 activations; None in files of older versions."""
    ms_per_clip: float | None = None
    """Median time of the file per clip on one thread, in ms, without the features, on the machine that scored it,
    possibly beside other trainings (`asc bench` times it alone); None in files of older versions."""
    trained_on: tuple[str, ...] = ("train",)
    """Splits used for training. If they include validation, only out-of-fold validation scores exist."""
    inner_folds: int = 0
    """Parts of the inner cross-validation. If not 0, the validation scores are computed from out-of-fold predictions
    of all recorded training clips; if 0, from the validation split."""
    sha256: dict[str, str] = field(default_factory=dict, repr=False)
    """{file in the candidate's folder: SHA-256} of the files that were measured; empty in files of older versions."""

    def value(self, split: str, name: str) -> float:
        """Return a score of a split, NaN if missing."""
        value = self.splits.get(split, {}).get(name)
        return math.nan if value is None else float(value)


def write_metrics(path: Path, metrics: CandidateMetrics) -> None:
    """Write `metrics.json`, with the splits at its top level."""
    unknown = sorted(set(metrics.splits) - set(SPLITS))
    if unknown:
        raise ValueError(f"unknown split {', '.join(unknown)}; splits: {', '.join(SPLITS)}")
    fields = {key: value for key, value in dataclasses.asdict(metrics).items() if key != "splits"}
    for name in ("float_scores", "general", "devices", "inner_folds", "sha256"):
        if not fields[name]:
            del fields[name]
    write_json(path, {**metrics.splits, **fields})


def read_metrics(path: Path) -> CandidateMetrics:
    """Return the contents of `metrics.json`.

    Raises:
        DataError: if the file is missing, is not JSON, lacks a field, or has one of another type.
    """
    try:
        data = read_json(path)
    except DataError as error:
        raise DataError(f"{error}. {RETRAIN_AGAIN}") from None
    fields = {entry.name: entry for entry in dataclasses.fields(CandidateMetrics) if entry.name != "splits"}
    unset = dataclasses.MISSING
    required = [name for name, entry in fields.items() if entry.default is entry.default_factory is unset]
    missing = [name for name in required if not isinstance(data, Mapping) or name not in data]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}. {RETRAIN_AGAIN}")
    splits: dict[str, dict[str, Any]] = {split: data[split] for split in SPLITS if split in data}
    known = {**_older_float_scores(data), **{name: data[name] for name in fields if name in data}}
    try:
        return _METRICS.validate_python({**known, "splits": splits})
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        key_path = ".".join(map(str, problem["loc"]))
        raise DataError(f"{path}: damaged at {key_path}: {problem['msg']}. {RETRAIN_AGAIN}") from None


_METRICS = TypeAdapter(CandidateMetrics)


def _older_float_scores(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of the network on validation as older versions wrote them, as the field `float_scores`."""
    names = ("macro_accuracy", "log_loss")
    scores = {name: data[f"float_{name}"] for name in names if data.get(f"float_{name}") is not None}
    return {"float_scores": {"validation": scores}} if scores else {}


@dataclass(frozen=True)
class Candidate(PredictedSystem[CandidateFiles]):
    """A finished candidate with its scores."""

    metrics: CandidateMetrics


DISTILLED = "-kd"
"""Suffix in the name of a candidate that learned from teachers, before those of epochs and splits."""
FULL = "-full"
"""Suffix, before the seed, in the name of a candidate that was trained on train and validation."""


def sibling_name(candidate: Candidate) -> str:
    """Return the name of the same candidate trained on the training split only, whose score is used in its place.

    Returns "" if the candidate has its own validation score.
    """
    seed = f"-s{candidate.metrics.seed}"
    is_full = not has_own_score(candidate) and candidate.name.endswith(FULL + seed)
    return candidate.name.removesuffix(FULL + seed) + seed if is_full else ""


def has_own_score(candidate: Candidate) -> bool:
    """Return whether a candidate has a validation score on clips it was not trained on, possibly out of fold."""
    return candidate.metrics.inner_folds > 0 or "validation" not in candidate.metrics.trained_on


def comparable(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates eligible for selection, whose validation scores cover the same clips.

    Out-of-fold scores cover all recorded training clips, other scores only the validation split. If any candidate has
    out-of-fold scores, only such candidates are returned.
    """
    return [candidate for candidate in candidates if candidate.metrics.inner_folds] or list(candidates)


def without_validation(candidates: Sequence[Candidate]) -> str:
    """Return sentences about the candidates excluded from selection, "" if there are none."""
    return " ".join(filter(None, (_not_scored(candidates), _not_compared(candidates))))


def _not_compared(candidates: Sequence[Candidate]) -> str:
    compared = {candidate.name for candidate in comparable(candidates)}
    names = [c.name for c in candidates if c.name not in compared and has_own_score(c)]
    if not names:
        return ""
    return (
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} scored on the validation split, so not compared with "
        "candidates that are scored out of fold, on all clips of the training side."
    )


def _not_scored(candidates: Sequence[Candidate]) -> str:
    names = [candidate.name for candidate in candidates if not has_own_score(candidate)]
    if not names:
        return ""
    was, it, has = ("was", "it takes", "has") if len(names) == 1 else ("were", "they take", "have")
    return (
        f"{', '.join(names)} {was} trained on train and validation and {has} no validation scores: {it} no part in "
        "choosing, in ensembles or in fitting a temperature."
    )


def fewer_scenes(all_metrics: Iterable[CandidateMetrics]) -> str:
    """Return sentences about splits that lack clips of some scenes, "" if there are none."""
    found = {
        (split, tuple(scores["absent_scenes"])): len(scores["by_scene"])
        for metrics in all_metrics
        for split, scores in metrics.splits.items()
        if scores.get("absent_scenes")
    }
    return " ".join(
        f"Macro accuracy on {split} is over {n} of {n + len(absent)} scenes: there is no {split} clip of "
        f"{', '.join(absent)}."
        for (split, absent), n in found.items()
    )


def read_candidates(run: RunDirectory) -> list[Candidate]:
    """Return the finished candidates, best validation log loss first; those without one are last, by name.

    Raises:
        DataError: if a candidate's files are not those that were scored, or its `metrics.json` is damaged.
    """
    for files in run.candidates():
        require_unchanged(files.root)
    found = [Candidate(files, read_metrics(files.metrics_path)) for files in run.candidates()]

    def rank(candidate: Candidate) -> tuple[float, str]:
        """Return the validation log loss, infinite if missing, and the name."""
        value = candidate.metrics.value("validation", "log_loss")
        return (math.inf if math.isnan(value) else value, candidate.name)

    return sorted(found, key=rank)
