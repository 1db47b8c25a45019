"""Schedules in closed form: learning rate, averaging, sparsity."""

from __future__ import annotations

import math

from asc_models.config import TrainConfig


def cycle_ends(first_cycle: int, cycle_factor: int, last_epoch: int) -> list[int]:
    """Return the numbers of finished epochs at which a cycle ends, up to `last_epoch`: 2, 6, 14, 30, 62, 126, ….

    The rate is lowest there, so these are the rungs at which a search compares models.
    """
    ends, end, length = [], 0, first_cycle
    while (end := end + length) <= last_epoch:
        ends.append(end)
        length *= cycle_factor
    return ends


def last_cycle_end(config: TrainConfig, epochs: int) -> int:
    """Return the last end of a cycle within `epochs`; `epochs` itself if no cycle ends by then or there are none."""
    ends = cycle_ends(config.first_cycle, config.cycle_factor, epochs) if config.schedule == "sgdr" else []
    return ends[-1] if ends else epochs


WARM_UP_SHARE = 0.3
"""Share of the epochs of `one-cycle` in which the rate rises."""
WARM_UP_FACTOR = 25.0
"""`one-cycle` starts at the highest rate divided by this factor."""


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """Return the learning rate at `epoch`, the number of finished epochs plus the fraction of the current one.

    Sources: SGDR, Loshchilov and Hutter 2017; one-cycle, Smith and Topin 2018, with the shares used by fast.ai, cosine
    annealing and constant momentum; warm-up, Goyal et al. 2017.
    """
    rate = _scheduled(config, epoch)
    if epoch >= config.warm_up_epochs:
        return rate
    # Warm-up scales the schedule instead of delaying it, so that cycles and the rungs of a search stay where they are.
    low = config.min_learning_rate
    return low + (rate - low) * epoch / config.warm_up_epochs


def _scheduled(config: TrainConfig, epoch: float) -> float:
    """Return the rate of the schedule without warm-up."""
    high, low = config.learning_rate, config.min_learning_rate
    if config.schedule == "sgdr":
        start, length = 0.0, float(config.first_cycle)
        while epoch >= start + length:
            start += length
            length *= config.cycle_factor
        return _cosine(high, low, (epoch - start) / length)
    share = min(1.0, epoch / config.epochs)
    if config.schedule == "cosine":
        return _cosine(high, low, share)
    if config.schedule == "step":
        return max(low, high * config.step_factor ** sum(share >= milestone for milestone in config.milestones))
    if config.schedule == "plateau-cosine":
        plateau = config.plateau_share
        return _cosine(high, low, max(0.0, share - plateau) / (1.0 - plateau))
    if share < WARM_UP_SHARE:
        first = max(low, high / WARM_UP_FACTOR)
        return first + (high - first) * share / WARM_UP_SHARE
    return _cosine(high, low, (share - WARM_UP_SHARE) / (1.0 - WARM_UP_SHARE))


def n_averaged(config: TrainConfig) -> int:
    """Return how many of the last epochs SWA averages, at least one; 0 if it is off."""
    return max(1, round(config.swa_share * config.epochs)) if config.swa_share else 0


def sparsity(config: TrainConfig, epoch: int) -> float:
    """Return the share of zeros to which kernels are pruned before the next epoch, after `epoch` finished ones.

    s · (1 − (1 − t)³), where t rises from 0 to 1 over `sparsity_span` (Zhu and Gupta 2017, equation 1).
    """
    begin = min(int(config.sparsity_span[0] * config.epochs), n_unpruned(config))  # a span may begin where it ends
    left = n_unpruned(config) - epoch
    if epoch < begin:
        return 0.0
    if left <= 0:
        return config.sparsity
    return config.sparsity * (1.0 - (left / (n_unpruned(config) - begin)) ** 3)


def n_unpruned(config: TrainConfig) -> int:
    """Return the number of epochs before the one that begins with all its zeros; 0 if nothing is pruned.

    At least one epoch, and every averaged one, has them all.
    """
    if not config.sparsity:
        return 0
    return min(int(config.sparsity_span[1] * config.epochs), config.epochs - max(1, n_averaged(config)))


def n_unrounded(config: TrainConfig) -> int:
    """Return the number of epochs before the first whose kernels are rounded to int4; 0 if none is rounded.

    At least one epoch, and every averaged one, has rounded kernels.
    """
    if not config.int4_share:
        return 0
    return config.epochs - max(1, round(config.int4_share * config.epochs), n_averaged(config))


def n_unfinished(config: TrainConfig) -> int:
    """Return the number of epochs before the first that may be kept: those that are not yet pruned or rounded."""
    return max(n_unpruned(config), n_unrounded(config))


def mid_cycle_warning(config: TrainConfig, epochs: int) -> str:
    """Return a warning if a training ends within a warm-restart cycle; otherwise an empty string."""
    # The next end of a cycle after E epochs is at most factor · E + first.
    ends = cycle_ends(config.first_cycle, config.cycle_factor, epochs * config.cycle_factor + config.first_cycle)
    if config.schedule != "sgdr" or epochs in ends:
        return ""
    before = [end for end in ends if end < epochs][-1:]
    clean = [*before, next(end for end in ends if end > epochs)]
    return (
        f"{epochs} epochs end in the middle of a warm-restart cycle, at a rate of {learning_rate(config, epochs):.2g}; "
        f"the rate is lowest at {' and '.join(map(str, clean))}"
    )


def _cosine(start: float, end: float, share: float) -> float:
    """Return the value at `share` of a half cosine from `start` to `end`."""
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * share))
