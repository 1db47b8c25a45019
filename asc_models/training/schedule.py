"""Learning rates in closed form: cosine with warm restarts (the default), one cosine, one cycle, steps, a plateau."""

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


def last_cycle_end(config: TrainConfig, epochs: int) -> int:
    """Return the last end of a cycle within `epochs`; `epochs` where no cycle ends before, or there are no cycles."""
    ends = cycle_ends(config.first_cycle, config.cycle_factor, epochs) if config.schedule == "sgdr" else []
    return ends[-1] if ends else epochs


WARM_UP_SHARE = 0.3
"""Share of `one-cycle` in which the rate rises."""
WARM_UP_FACTOR = 25.0
"""`one-cycle` starts at the highest rate divided by this."""


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """Return the rate at `epoch` (finished epochs, with the fraction of the running one).

    Sources: SGDR, Loshchilov and Hutter 2017; one-cycle, Smith and Topin 2018, with the shares that fast.ai made
    customary, a cosine fall, and the momentum left as it is; warm-up, Goyal et al. 2017.
    """
    rate = _scheduled(config, epoch)
    if epoch >= config.warm_up_epochs:
        return rate
    # A factor on the schedule rather than epochs before it: cycles, and with them a search's rungs, end where they did.
    low = config.min_learning_rate
    return low + (rate - low) * epoch / config.warm_up_epochs


def _scheduled(config: TrainConfig, epoch: float) -> float:
    """Return the rate of the schedule, without the warm-up."""
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
    """Return how many epochs' ends SWA averages: the last ones, at least one; 0 where it is off."""
    return max(1, round(config.swa_share * config.epochs)) if config.swa_share else 0


def mid_cycle_warning(config: TrainConfig, epochs: int) -> str:
    """Return what to say of a training that ends between two restarts; empty where it ends at one, or has none."""
    # The end after E finished epochs, itself an end or not, is at most factor · E + first.
    ends = cycle_ends(config.first_cycle, config.cycle_factor, epochs * config.cycle_factor + config.first_cycle)
    if config.schedule != "sgdr" or epochs in ends:
        return ""
    before = [end for end in ends if end < epochs][-1:]
    clean = [*before, next(end for end in ends if end > epochs)]
    return (
        f"{epochs} epochs end in the middle of a warm-restart cycle, at a rate of {learning_rate(config, epochs):.2g}: "
        f"the rate is lowest at {' and '.join(map(str, clean))}"
    )


def _cosine(start: float, end: float, share: float) -> float:
    """Return what lies `share` of the way down half a cosine from `start` to `end`."""
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * share))
