"""Asynchronous successive halving (Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys).

The variant that stops: a trial that reaches a rung goes on at once if it is among the best 1/η of the trials that have
reached that rung so far, else it ends there. Nothing ever waits. Symbols of the paper: η = `eta`; the resources r_k of
the rungs = `epochs[k]`, here the ends of the warm-restart cycles, where the learning rate is lowest and models compare.

Pure logic: it is rebuilt from the ledger by recording the same values in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from asc_models.config import TrainConfig
from asc_models.schedule import cycle_ends

Decision = Literal["continue", "stop", "finish"]

TIE_WEIGHT = 1e-5
"""Share of log loss (at most 34.6 nats after clipping) in the scalar: less than one clip's weight in macro accuracy."""


def rung_epochs(train: TrainConfig, epochs: int, min_epochs: int) -> list[int]:
    """Return the epochs at which trials are compared; the last is `epochs` itself, where a trial is finished."""
    ends = cycle_ends(train.first_cycle, train.cycle_factor, epochs)
    return [end for end in ends if min_epochs <= end < epochs] + [epochs]


def to_scalar(macro_accuracy: float, log_loss: float) -> float:
    """Return one number that orders as (macro_accuracy, −log_loss) does, for a sampler that takes one objective."""
    return macro_accuracy - TIE_WEIGHT * log_loss


def checkpoint_path(checkpoints: Path, trial_id: str) -> Path:
    """Return where the state of a trial at its last rung lies while it may still go on."""
    return checkpoints / f"{trial_id}.npz"


class Rungs:
    """The values that trials have reached at each rung."""

    def __init__(self, epochs: Sequence[int], eta: int) -> None:
        self.epochs = tuple(epochs)
        self.eta = eta
        self._values: list[dict[str, tuple[float, float]]] = [{} for _ in self.epochs]

    def record(self, trial_id: str, rung: int, macro_accuracy: float, log_loss: float) -> Decision:
        """Enter a trial's value at `rung` (from 0) and return what becomes of the trial.

        Values are ordered pairs: log loss breaks ties in macro accuracy. Equal values are treated alike: both go on.
        Among n values max(1, n // eta) go on, so the first trial to reach a rung always does.
        """
        values = self._values[rung]
        value = (macro_accuracy, -log_loss)
        values[trial_id] = value
        if rung == len(self.epochs) - 1:
            return "finish"
        n_kept = max(1, len(values) // self.eta)
        threshold = sorted(values.values(), reverse=True)[n_kept - 1]
        return "continue" if value >= threshold else "stop"

    def values(self, rung: int) -> dict[str, tuple[float, float]]:
        """Return {trial_id: (macro_accuracy, −log_loss)} of a rung."""
        return dict(self._values[rung])
