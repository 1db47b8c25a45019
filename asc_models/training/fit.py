"""A whole training, with its best checkpoint on validation or to its very end, resumable at any moment."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.config import CheckpointMetric
from asc_models.metrics import log_loss, macro_accuracy
from asc_models.training.schedule import cycle_ends
from asc_models.training.trainer import EpochStats, Trainer
from data_prep.reader.reader import FeatureSet

SAVE_EVERY_S = 30.0
"""A training that is killed loses at most this long, and the epoch it was in. Ends of cycles are always saved."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of a training: what it did, and how the float model does on validation behind it.

    The scores are NaN where the training has no validation split.
    """

    epoch: int
    loss: float
    learning_rate: float
    macro_accuracy: float
    log_loss: float
    is_average: bool = False
    """Whether the scores are those of the averaged weights, behind the last epoch."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished training: the epoch whose weights the model now has, and every epoch's record.

    Where weights are averaged, the last record is that of the average.
    """

    best: EpochRecord
    history: tuple[EpochRecord, ...]


def fit(
    trainer: Trainer,
    validation: FeatureSet | None,
    *,
    epochs: int,
    checkpoint: Path,
    metric: CheckpointMetric = "macro_accuracy",
    on_start: Callable[[int], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_save: Callable[[], None] | None = None,
) -> Fit:
    """Train to `epochs` and leave the best validation checkpoint in the model.

    Averaged weights (`train.swa_share`) are one more checkpoint at the end.

    The state is written to `checkpoint` as it goes; called again after a crash, the training goes on from there and
    gives what an undisturbed one gives.

    Args:
        trainer: a fresh trainer.
        validation: chooses the checkpoint; None where it is trained on, too, and the last weights stay, or their
            average.
        epochs: length of the training.
        checkpoint: an .npz file for the state.
        metric: what the best epoch is best in; the other one breaks ties.
        on_start: told once how many epochs were finished by an earlier call.
        on_epoch: called after every epoch.
        on_save: called when the checkpoint has been written.

    Raises:
        TrainingError: if the training diverges, or `checkpoint` belongs to another one.
    """
    history: list[EpochRecord] = []
    best_weights: list[npt.NDArray[Any]] = []
    if checkpoint.exists():
        extra = trainer.load(checkpoint)
        history = [EpochRecord(**record) for record in json.loads(str(extra.pop("history")))]
        best_weights = [extra[f"best_{i}"] for i in range(len(extra))]
    if on_start is not None:
        on_start(trainer.epoch)
    ends = {epochs, *cycle_ends(trainer.config.first_cycle, trainer.config.cycle_factor, epochs)}
    saved_at = time.monotonic()

    def record(stats: EpochStats) -> None:
        """Score the epoch, keep its weights where it is the best, and save now and then."""
        nonlocal best_weights, saved_at
        accuracy, loss = _scores(trainer, validation)
        history.append(EpochRecord(**asdict(stats), macro_accuracy=accuracy, log_loss=loss))
        if validation is not None and best_epoch(history, metric) is history[-1]:
            best_weights = trainer.weights()
        if time.monotonic() - saved_at > SAVE_EVERY_S or stats.epoch in ends:
            best = {f"best_{i}": value for i, value in enumerate(best_weights)}
            trainer.save(checkpoint, history=np.array(json.dumps([asdict(entry) for entry in history])), **best)
            saved_at = time.monotonic()
            if on_save is not None:
                on_save()
        if on_epoch is not None:
            on_epoch(history[-1])

    trainer.train_to(epochs, record)
    if trainer.n_averaged:
        trainer.set_weights(trainer.averaged_weights())
        accuracy, loss = _scores(trainer, validation)
        last = EpochRecord(**{**asdict(history[-1]), "macro_accuracy": accuracy, "log_loss": loss, "is_average": True})
        history.append(last)
        if validation is not None and best_epoch(history, metric) is last:
            best_weights = trainer.weights()
    if validation is not None:
        trainer.set_weights(best_weights)
    return Fit(history[-1] if validation is None else best_epoch(history, metric), tuple(history))


def _scores(trainer: Trainer, validation: FeatureSet | None) -> tuple[float, float]:
    """Return macro accuracy and log loss on validation, NaN where there is none."""
    if validation is None:
        return math.nan, math.nan
    probabilities = trainer.predict(validation)
    return macro_accuracy(validation.labels, probabilities), log_loss(validation.labels, probabilities)


def best_epoch(history: list[EpochRecord], metric: CheckpointMetric) -> EpochRecord:
    """Return the best epoch by `metric`, the other score breaking ties, the earlier epoch those of both."""

    def rank(record: EpochRecord) -> tuple[float, float, int]:
        """Return what is smallest for the best epoch."""
        scores = (-record.macro_accuracy, record.log_loss)
        first, second = scores if metric == "macro_accuracy" else scores[::-1]
        return first, second, record.epoch

    return min(history, key=rank)
