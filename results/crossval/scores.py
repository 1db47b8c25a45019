"""Scores of frozen systems over folds and seeds, and paired differences between them.

Accuracy is the mean over folds of macro accuracy, as published for data sets with official folds (ESC-10, ESC-50), of
each fold that over its seeds.
Intervals resample the locations of all folds together; seeds are averaged per clip first, so an interval is about the
clips and the spread over seeds about the training.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.metrics import brier_score, calibration_error, log_loss, macro_accuracy, share_interval
from data_prep.errors import DataError
from results.candidates.candidates import CandidateMetrics, read_metrics
from results.candidates.differences import Difference, clip_scores, paired_difference
from results.candidates.inner import joined_parts, number_of_parts, predicted_parts, require_parts_of
from results.candidates.predictions import Predictions, read_predictions
from results.candidates.seeds import Spread
from results.ensembles.calibration import cross_fitted
from results.ledger.events import of_kind
from results.ledger.ledger import Ledger
from results.rundir import CandidateFiles, CrossvalDirectory, RunDirectory

_SEED = re.compile(r"^(?P<system>.+)-s(?P<seed>\d+)$")

Floats = npt.NDArray[np.float64]
SIZES = ("weight_bytes", "nonzero_weight_bytes", "file_bytes")
QUANTITIES = (*SIZES, "macs")
"""Sizes and cost of a system, by the names of `CandidateMetrics`."""
BEST_ON_TEST = "best_test_epoch_accuracy"
"""Name of `FoldScore.best_on_test` in tables and JSON."""


@dataclass(frozen=True)
class FoldScore:
    """One system, trained with one seed, on one fold."""

    system: str
    fold: int
    seed: int
    predictions: Predictions
    """Predictions of the test split, or the out-of-fold predictions of the training side."""
    metrics: CandidateMetrics | None = None
    """Sizes of the exported file; None out of fold, where several files answer."""
    best_on_test: float | None = None
    """Macro accuracy of the epoch that is best on the test split, of those that were scored there; None if none were.
    It is chosen with the test split in sight, so it is no result."""

    @property
    def accuracy(self) -> float:
        """Macro accuracy."""
        return macro_accuracy(self.predictions.labels, self.predictions.probabilities)

    @property
    def loss(self) -> float:
        """Log loss in nats."""
        return log_loss(self.predictions.labels, self.predictions.probabilities)

    @property
    def brier(self) -> float:
        """Brier score."""
        return brier_score(self.predictions.labels, self.predictions.probabilities)

    @property
    def calibration(self) -> float:
        """Expected calibration error."""
        return calibration_error(self.predictions.labels, self.predictions.probabilities)


@dataclass(frozen=True)
class SystemScores:
    """One system over all folds and seeds."""

    name: str
    scores: tuple[FoldScore, ...]
    """Sorted by fold, then seed."""

    @property
    def folds(self) -> list[int]:
        """Folds, in order."""
        return sorted({one.fold for one in self.scores})

    @property
    def seeds(self) -> list[int]:
        """Seeds, in order."""
        return sorted({one.seed for one in self.scores})

    @property
    def is_complete(self) -> bool:
        """Whether every seed has every fold."""
        return len(self.scores) == len(self.folds) * len(self.seeds)

    @cached_property
    def accuracy(self) -> Spread:
        """Mean over folds of macro accuracy, and its spread over seeds."""
        return self._over_seeds([one.accuracy for one in self.scores])

    @cached_property
    def loss(self) -> Spread:
        """Mean over folds of the log loss, and its spread over seeds."""
        return self._over_seeds([one.loss for one in self.scores])

    @cached_property
    def brier(self) -> Spread:
        """Mean over folds of the Brier score, and its spread over seeds."""
        return self._over_seeds([one.brier for one in self.scores])

    @cached_property
    def calibration(self) -> Spread:
        """Mean over folds of the expected calibration error of each fold, and its spread over seeds."""
        return self._over_seeds([one.calibration for one in self.scores])

    @cached_property
    def calibrated(self) -> SystemScores:
        """The system with a temperature, as it would be packed: one for all folds of a seed.

        The clips of each part of the locations have the temperature that suits the other parts (`cross_fitted`), so
        that no clip is scored with a temperature that was fitted on it. Accuracies stay.
        """
        scores = (one for seed in self.seeds for one in self._calibrated(seed))
        return replace(self, scores=tuple(sorted(scores, key=lambda one: (one.fold, one.seed))))

    def _calibrated(self, seed: int) -> list[FoldScore]:
        scores = [one for one in self.scores if one.seed == seed]
        clips = pd.concat([one.predictions.clips for one in scores], ignore_index=True)
        probabilities = np.concatenate([one.predictions.probabilities for one in scores])
        fitted = cross_fitted(Predictions(clips, probabilities, scores[0].predictions.classes)).probabilities
        ends = np.cumsum([len(one.predictions.clips) for one in scores])[:-1]
        return [
            replace(one, predictions=replace(one.predictions, probabilities=part))
            for one, part in zip(scores, np.split(fitted, ends), strict=True)
        ]

    @property
    def best_on_test(self) -> float | None:
        """Mean over folds of `FoldScore.best_on_test`; None if it is missing for one of them."""
        found = [one.best_on_test for one in self.scores if one.best_on_test is not None]
        if len(found) < len(self.scores):
            return None
        return statistics.fmean(found) if self.is_complete else self._over_folds(found)

    def by_fold(self) -> dict[int, float]:
        """Return {fold: macro accuracy, mean over seeds}."""
        return {fold: statistics.fmean(one.accuracy for one in self.scores if one.fold == fold) for fold in self.folds}

    def quantity(self, name: str) -> int | None:
        """Return the largest value of a size over folds and seeds; None out of fold."""
        values = [getattr(one.metrics, name) for one in self.scores if one.metrics is not None]
        return max(values, default=None)

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One row per clip, indexed by fold and clip: location, label, is_correct and loss, averaged over seeds."""
        frames = [clip_scores(one.predictions).assign(fold=one.fold) for one in self.scores]
        keys = ["fold", "clip_id", "location", "label"]
        return pd.concat(frames).groupby(keys).mean().reset_index(["location", "label"])

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of macro accuracy over the clips of all folds, resampling locations."""
        clips = self.clips
        return share_interval(
            clips["is_correct"].to_numpy(), clips["label"].to_numpy(), clips["location"].astype(str).tolist()
        )

    def _over_seeds(self, values: Sequence[float]) -> Spread:
        """Return the mean over folds of the means over each fold's seeds, and the spread over seeds with all folds.

        Folds differ more than seeds do, so that a fold with more seeds than others must not count more, and the mean
        of a seed without all folds is none of the system.

        Args:
            values: of each of `scores`.
        """
        of_seed = {seed: self._values(values, "seed", seed) for seed in self.seeds}
        means = [statistics.fmean(found) for found in of_seed.values() if len(found) == len(self.folds)]
        mean = statistics.fmean(means) if self.is_complete else self._over_folds(values)
        sd = statistics.stdev(means) if len(means) > 1 else None
        return Spread(mean, sd, min(means, default=mean), max(means, default=mean))

    def _over_folds(self, values: Sequence[float]) -> float:
        return statistics.fmean(statistics.fmean(self._values(values, "fold", fold)) for fold in self.folds)

    def _values(self, values: Sequence[float], of: Literal["fold", "seed"], number: int) -> list[float]:
        """Return the values, one of each of `scores`, of the scores of one fold or seed."""
        return [value for one, value in zip(self.scores, values, strict=True) if getattr(one, of) == number]


def difference(system: SystemScores, reference: SystemScores) -> Difference:
    """Return the paired difference of two systems over the clips of all folds.

    Raises:
        DataError: if they have no clip in common.
    """
    return paired_difference((system.name, system.clips), (reference.name, reference.clips))


@dataclass(frozen=True)
class Crossval:
    """Scores of a cross-validation."""

    split: str
    """`test`, or `out of fold` for the inner cross-validation of the training side."""
    systems: tuple[SystemScores, ...]
    """Lowest log loss first."""
    missing: tuple[str, ...] = ()
    """Fold and seed of each training of this kind without predictions."""

    def differences(self) -> list[Difference]:
        """Return the difference of every other system to the first, but of those without a clip in common with it."""
        return [difference(other, self.systems[0]) for other in self._comparable]

    def calibrated_differences(self) -> list[Difference]:
        """Return the same differences of the calibrated systems."""
        return [difference(other.calibrated, self.systems[0].calibrated) for other in self._comparable]

    @property
    def not_compared(self) -> list[str]:
        """Names of the systems that have no clip in common with the first, since they were trained on other folds."""
        return [other.name for other in self.systems[1:] if other not in self._comparable]

    @property
    def _comparable(self) -> list[SystemScores]:
        """The other systems that have clips of the first: the keys of `clips` are fold and clip."""
        return [other for other in self.systems[1:] if other.clips.index.isin(self.systems[0].clips.index).any()]


def read_crossval(directory: CrossvalDirectory, *, inner: bool = False) -> Crossval:
    """Return the scores of a cross-validation from the files of its folds.

    Args:
        directory: the cross-validation.
        inner: read the out-of-fold predictions of the training side instead of those of the test splits.

    Raises:
        DataError: if there are no predictions, or a file is damaged.
    """
    found: dict[str, list[FoldScore]] = {}
    missing = []
    for fold, run in directory.folds().items():
        n_parts = int(run.read_config().get("retrain", {}).get("inner_folds", 0))
        others = _of_other_mode(run, inner=inner)
        for files in sorted(map(CandidateFiles, run.candidates_dir.glob("*-s*")), key=lambda one: one.name):
            match = _SEED.match(files.name)
            if match is None or not files.root.is_dir():
                continue
            system, seed = match["system"], int(match["seed"])
            read = _out_of_fold(files, n_parts) if inner else _tested(files)
            if read is None and files.name not in others:
                missing.append(f"fold {fold}, {files.name}")
            elif read is not None:
                predictions, metrics = read
                best = None if inner else _best_on_test(files)
                found.setdefault(system, []).append(FoldScore(system, fold, seed, predictions, metrics, best))
    if not found:
        kind = "out-of-fold predictions" if inner else "predictions of a test split"
        raise DataError(f"{directory.root}: no {kind}; run `asc crossval`{' with --inner' if inner else ''} first")
    systems = [
        SystemScores(name, tuple(sorted(scores, key=lambda one: (one.fold, one.seed))))
        for name, scores in found.items()
    ]
    systems.sort(key=lambda one: (one.loss.mean, one.name))
    return Crossval("out of fold" if inner else "test", tuple(systems), tuple(missing))


def _of_other_mode(run: RunDirectory, *, inner: bool) -> set[str]:
    """Return the names of the candidates of a fold that were started only with, or `inner` only without, --inner.

    Without `all_clips`, those with it have other names, since they are trained on train and validation.
    """
    started = {event["candidate"] for event in of_kind(Ledger(run.ledger_path).events(), "candidate_started")}
    of_parts = {name.partition("/")[0] for name in started if "/" in name}
    themselves = {name for name in started if "/" not in name}
    return themselves - of_parts if inner else of_parts - themselves


def _tested(files: CandidateFiles) -> tuple[Predictions, CandidateMetrics] | None:
    if not (files.is_finished and files.predictions_path("test").is_file()):
        return None
    return read_predictions(files.predictions_path("test")), read_metrics(files.metrics_path)


def _best_on_test(files: CandidateFiles) -> float | None:
    """Return the best macro accuracy of a training's curve on the test split; None without a curve."""
    if not files.test_curve_path.is_file():
        return None
    try:
        return float(pd.read_parquet(files.test_curve_path)["macro_accuracy"].max())
    except Exception as error:  # pyarrow raises various exceptions for a file that is not Parquet
        raise DataError(f"{files.test_curve_path}: cannot be read: {error}; delete it") from None


def _out_of_fold(files: CandidateFiles, n_parts: int) -> tuple[Predictions, None] | None:
    """Return the joined predictions of all parts; of a finished candidate, those that it was scored by.

    Args:
        files: files of the candidate.
        n_parts: number of parts of the fold's configuration; 0 if its last call trained none, and its parts state it.

    Raises:
        DataError: if a part is of another number of parts, or two parts contain the same clip.
    """
    if files.is_finished and read_metrics(files.metrics_path).inner_folds:
        return read_predictions(files.predictions_path("validation")), None
    n_parts = n_parts or number_of_parts(files)
    if not n_parts:
        return None
    require_parts_of(files, n_parts)
    parts = list(predicted_parts(files))
    return (joined_parts(files, parts), None) if len(parts) == n_parts else None
