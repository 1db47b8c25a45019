"""A complete training that keeps the best epoch on validation, or the last one, and resumes from its checkpoint."""

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
from asc_models.training.schedule import cycle_ends, n_unfinished
from asc_models.training.trainer import EpochStats, Trainer
from data_prep.reader.reader import FeatureSet

Weights = list[npt.NDArray[Any]]
"""Of a model, in Keras's order."""

SAVE_EVERY_S = 30.0
"""Least time between checkpoints; the ends of cycles are always saved. A killed training loses at most this time and
the current epoch."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Statistics of one epoch, and the float model's validation scores after it.

    The scores are NaN without a validation split.
    """

    epoch: int
    """Number of finished epochs."""
    loss: float
    """Mean training cross-entropy over the augmented batches."""
    learning_rate: float
    """Learning rate of the last step."""
    macro_accuracy: float
    """Macro accuracy on validation, in [0, 1]."""
    log_loss: float
    """Log loss on validation, in nats."""
    is_average: bool = False
    """Whether the scores are of the averaged weights, after the last epoch."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished training: the epoch whose weights the model now has, and the records of all epochs.

    With averaged weights, the last record is that of the average.
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
    """Train for `epochs` epochs and leave the weights of the best epoch on validation in the model.

    Averaged weights (`train.swa_share`) compete as one more epoch at the end.

    The state is saved to `checkpoint` regularly. Call again after a crash to resume; the result is the same as that of
    an uninterrupted training.

    Args:
        trainer: a new trainer.
        validation: selects the best epoch. None keeps the last weights, or their average; used when validation is
            trained on.
        epochs: total number of epochs.
        checkpoint: path of the .npz file with the state.
        metric: score that selects the best epoch; the other score breaks ties.
        on_start: called once with the number of epochs finished by an earlier call.
        on_epoch: called after every epoch.
        on_save: called when the checkpoint has been written.

    Raises:
        TrainingError: if the training diverges, or `checkpoint` belongs to another training.
    """
    state = _State(trainer, validation, metric, checkpoint)
    if on_start is not None:
        on_start(trainer.epoch)
    ends = {epochs, *cycle_ends(trainer.config.first_cycle, trainer.config.cycle_factor, epochs)}
    saved_at = time.monotonic()

    def record(stats: EpochStats) -> None:
        """Enter the epoch, and save a checkpoint if one is due."""
        nonlocal saved_at
        state.enter(stats)
        if time.monotonic() - saved_at > SAVE_EVERY_S or stats.epoch in ends:
            state.save()
            saved_at = time.monotonic()
            if on_save is not None:
                on_save()
        if on_epoch is not None:
            on_epoch(state.history[-1])

    trainer.train_to(epochs, record)
    if trainer.n_averaged:
        trainer.set_weights(trainer.averaged_weights())
        last = state.history[-1]
        state.enter(EpochStats(last.epoch, last.loss, last.learning_rate), is_average=True)
    if validation is not None:
        trainer.set_weights(state.best_weights)
    return Fit(state.best, tuple(state.history))


class _State:
    """The records of a training's epochs and the weights of the best one, as a checkpoint keeps them.

    If the checkpoint exists, `trainer` continues from it.
    """

    def __init__(
        self, trainer: Trainer, validation: FeatureSet | None, metric: CheckpointMetric, checkpoint: Path
    ) -> None:
        self._trainer, self._validation, self._metric, self._checkpoint = trainer, validation, metric, checkpoint
        self.history: list[EpochRecord] = []
        self.best_weights: Weights = []
        if checkpoint.exists():
            extra = trainer.load(checkpoint)
            self.history = [EpochRecord(**record) for record in json.loads(str(extra.pop("history")))]
            self.best_weights = [extra[f"best_{i}"] for i in range(len(extra))]

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights are kept: the best one, or the last one without validation."""
        if self._validation is None:
            return self.history[-1]
        return best_epoch([record for record in self.history if self._may_be_kept(record)], self._metric)

    def enter(self, stats: EpochStats, *, is_average: bool = False) -> None:
        """Score the trainer's weights as those of an epoch, and keep them if it is the best."""
        accuracy, loss = _scores(self._trainer, self._validation)
        record = EpochRecord(**asdict(stats), macro_accuracy=accuracy, log_loss=loss, is_average=is_average)
        self.history.append(record)
        if self._validation is not None and self._may_be_kept(record) and self.best is record:
            self.best_weights = self._trainer.weights()

    def _may_be_kept(self, record: EpochRecord) -> bool:
        """Return whether the network is what is exported: before, it is larger (pruning), or rounding changes it."""
        return record.epoch > n_unfinished(self._trainer.config)

    def save(self) -> None:
        """Write the checkpoint."""
        best = {f"best_{i}": value for i, value in enumerate(self.best_weights)}
        history = np.array(json.dumps([asdict(entry) for entry in self.history]))
        self._trainer.save(self._checkpoint, history=history, **best)


def _scores(trainer: Trainer, validation: FeatureSet | None) -> tuple[float, float]:
    """Return macro accuracy and log loss on validation; NaN without a validation split."""
    if validation is None:
        return math.nan, math.nan
    probabilities = trainer.predict(validation)
    return macro_accuracy(validation.labels, probabilities), log_loss(validation.labels, probabilities)


def best_epoch(history: list[EpochRecord], metric: CheckpointMetric) -> EpochRecord:
    """Return the best epoch by `metric`. Ties are broken by the other score, then by the earlier epoch."""

    def rank(record: EpochRecord) -> tuple[float, float, int]:
        """Return the sort key, smallest for the best epoch."""
        scores = (-record.macro_accuracy, record.log_loss)
        first, second = scores if metric == "macro_accuracy" else scores[::-1]
        return first, second, record.epoch

    return min(history, key=rank)
