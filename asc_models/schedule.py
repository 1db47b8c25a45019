"""Cosine learning rates with warm restarts (SGDR: Loshchilov and Hutter, 2017), in closed form."""

from __future__ import annotations

import math

from asc_models.config import TrainConfig


def cycle_ends(first_cycle: int, cycle_factor: int, last_epoch: int) -> list[int]:
    """Return the numbers of finished epochs at which a cycle ends, up to `last_epoch`: 2, 6, 14, 30, 62, 126, ….

    There the rate is at its lowest, a model at its best: these are the rungs at which models are compared.
    """
    ends, end, length = [], 0, first_cycle
    while (end := end + length) <= last_epoch:
        ends.append(end)
        length *= cycle_factor
    return ends


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """Return the rate at `epoch` (finished epochs, with the fraction of the running one)."""
    start, length = 0.0, float(config.first_cycle)
    while epoch >= start + length:
        start += length
        length *= config.cycle_factor
    share = (epoch - start) / length
    span = config.learning_rate - config.min_learning_rate
    return config.min_learning_rate + 0.5 * span * (1.0 + math.cos(math.pi * share))
