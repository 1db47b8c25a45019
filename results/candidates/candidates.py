"""Retrained candidates: what `metrics.json` says, and the order in which they are preferred."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.files import read_json, write_json
from results.candidates.predictions import Predictions, read_predictions
from results.rundir import CandidateFiles, RunDirectory


@dataclass(frozen=True)
class CandidateMetrics:
    """Scores and sizes of a retrained candidate, measured on its exported file.

    Attributes:
        splits: {split: what asc_models.metrics.summarize gives}.
        weight_bytes: bytes of every weight in the file; quantization_bytes, file_bytes stand beside.
        nonzero_weight_bytes: bytes of the weights that are not zero: what the size rule of 2021 counts.
        n_params: parameters of the network.
        macs: multiply–accumulates per inference.
        peak_activation_bytes: float32 activations that live together, by the estimate; None in files of versions that
            did not state it.
        agreement: share of validation clips on which the exported file and the trained network choose the same scene.
        mode: how the weights are stored.
        best_epoch: the epoch whose weights were kept.
        epochs: epochs trained.
        seed: seed of the retraining.
        trial_id: the trial that proposed it.
        agreement_beyond_chance: Cohen's κ of the two over validation and calibration clips, near-ties left out.
        export_seconds: what the export took.
        n_nonzero: weights in the exported file that are not zero, where they were counted.
        trained_on: splits that were trained on. With validation among them there are no validation scores, unless
            they are out of fold.
        inner_folds: parts of the inner cross-validation whose out-of-fold predictions, of every recorded clip that was
            trained on, the validation scores are of; 0 where they are of the validation split.
    """

    splits: dict[str, dict[str, Any]] = field(repr=False)
    weight_bytes: int
    nonzero_weight_bytes: int
    file_bytes: int
    quantization_bytes: int
    n_params: int
    macs: int
    agreement: float | None
    mode: str
    best_epoch: int | None
    epochs: int
    seed: int
    trial_id: str | None
    n_nonzero: int | None = None
    agreement_beyond_chance: float | None = None
    export_seconds: float | None = None
    peak_activation_bytes: int | None = None
    trained_on: tuple[str, ...] = ("train",)
    inner_folds: int = 0

    def value(self, split: str, name: str) -> float:
        """Return a score of a split, NaN where there is none."""
        value = self.splits.get(split, {}).get(name)
        return math.nan if value is None else float(value)


def write_metrics(path: Path, metrics: CandidateMetrics) -> None:
    """Write `metrics.json`, the splits at its top level."""
    unknown = sorted(set(metrics.splits) - set(SPLITS))
    if unknown:
        raise ValueError(f"splits are {', '.join(SPLITS)}, got {', '.join(unknown)}")
    fields = {key: value for key, value in dataclasses.asdict(metrics).items() if key != "splits"}
    if not metrics.inner_folds:
        del fields["inner_folds"]
    write_json(path, {**metrics.splits, **fields})


def read_metrics(path: Path) -> CandidateMetrics:
    """Return what `metrics.json` says.

    Raises:
        DataError: if the file is missing, no JSON, or lacks a field.
    """
    data = read_json(path)
    fields = {entry.name: entry for entry in dataclasses.fields(CandidateMetrics) if entry.name != "splits"}
    required = [name for name, entry in fields.items() if entry.default is dataclasses.MISSING]
    missing = [name for name in required if not isinstance(data, Mapping) or name not in data]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; retrain this candidate, or delete its folder")
    splits: dict[str, dict[str, Any]] = {split: data[split] for split in SPLITS if split in data}
    known = {name: data[name] for name in fields if name in data}
    return CandidateMetrics(splits=splits, **{**known, "trained_on": tuple(data.get("trained_on", ("train",)))})


@dataclass(frozen=True)
class Candidate:
    """A finished candidate with its scores; predictions are read on demand."""

    files: CandidateFiles
    metrics: CandidateMetrics

    @property
    def name(self) -> str:
        """`<candidate>-s<seed>`."""
        return self.files.name

    def has_predictions(self, split: str) -> bool:
        """Whether the probabilities of a split were kept."""
        return self.files.predictions_path(split).is_file()

    def predictions(self, split: str) -> Predictions:
        """Return the probabilities of a split."""
        return read_predictions(self.files.predictions_path(split))


FULL = "-full"
"""What the name of a candidate that was trained on validation, too, ends with, before its seed."""


def sibling_name(candidate: Candidate) -> str:
    """Return the name of the same candidate trained on the training split alone, whose score stands for its own.

    Empty for one that has a score of its own.
    """
    seed = f"-s{candidate.metrics.seed}"
    is_full = not has_own_score(candidate) and candidate.name.endswith(FULL + seed)
    return candidate.name.removesuffix(FULL + seed) + seed if is_full else ""


def has_own_score(candidate: Candidate) -> bool:
    """Return whether a candidate is scored on clips that it was not trained on, or out of fold."""
    return candidate.metrics.inner_folds > 0 or "validation" not in candidate.metrics.trained_on


def comparable(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that take part in choosing: those whose scores are of the same clips.

    Out-of-fold scores are of every clip of the training side, the others of the validation split alone. Where some
    candidates have the first, the others take no part.
    """
    return [candidate for candidate in candidates if candidate.metrics.inner_folds] or list(candidates)


def without_validation(candidates: Sequence[Candidate]) -> str:
    """Return sentences on the candidates that nothing is chosen by, empty where there are none."""
    return " ".join(filter(None, (_not_scored(candidates), _not_compared(candidates))))


def _not_compared(candidates: Sequence[Candidate]) -> str:
    compared = {candidate.name for candidate in comparable(candidates)}
    names = [c.name for c in candidates if c.name not in compared and has_own_score(c)]
    if not names:
        return ""
    return (
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} scored on the validation split and not compared with "
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
    """Return a sentence on the scores that are over fewer scenes than the classes, empty where there are none."""
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
    """Return the finished candidates, best validation log loss first; those without validation come last, by name."""
    found = [Candidate(files, read_metrics(files.metrics_path)) for files in run.candidates()]

    def rank(candidate: Candidate) -> tuple[float, str]:
        """Return the validation log loss, infinite where there is none, then the name."""
        value = candidate.metrics.value("validation", "log_loss")
        return (math.inf if math.isnan(value) else value, candidate.name)

    return sorted(found, key=rank)
