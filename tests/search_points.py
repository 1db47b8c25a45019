"""Spaces, sizes and a made-up truth for tests of proposals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from asc_models.networks.estimate import estimate
from search.objectives import Objectives, Value
from search.space.config import SpaceConfig
from search.space.point import build
from search.space.sizing import Sizing
from search.space.space import Space
from search.strategies.proposer import Proposer

LIMIT = 128_000
SMALL = SpaceConfig(
    stem_filters=16, n_blocks=(1, 2), base_filters=(8, 16), growth=1.0, n_strided=1, kernel_size=3, expansion=(1, 2),
    reduction_ratio=(4, 8), attention=("none", "channel"), dropout=0.0,
)  # fmt: skip
"""24 points, since the ratio has no effect without attention."""
N_SMALL = 24


T = TypeVar("T")


def once_a_point(answer: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """Answer for each point once: a search asks for the same points again and again, and so do all tests' searches."""
    known: dict[str, T] = {}

    @wraps(answer)
    def remembered(params: Mapping[str, Any]) -> T:
        key = repr(params)
        if key not in known:
            known[key] = answer(params)
        return known[key]

    return remembered


@once_a_point
def size_of(params):
    """Return a point's int8 weight bytes and MACs."""
    cost = estimate(build("inverted_residual", params).model, (128, 423, 3), 10)
    return cost.weight_bytes_as("int8_weights"), cost.macs


def sizer(limit=LIMIT):
    def assess(params):
        n_bytes, macs = size_of(params)
        fits = n_bytes <= limit
        return Sizing(fits, n_bytes, limit, "" if fits else f"weight_bytes {n_bytes:,} over {limit:,}", macs=macs)

    return assess


@once_a_point
def key_of(params):
    return build("inverted_residual", params).model.hash()


def proposer(space, limit=LIMIT, seed=0, n_startup=8, strategy="front", objectives=None):
    return Proposer(
        Space(space), sizer(limit), key_of, seed=seed, n_startup=n_startup, strategy=strategy, objectives=objectives
    )


def accuracy_of(params):
    """A made-up truth: width and attention help, with a wave in it so that the largest isn't simply the best."""
    model = build("inverted_residual", params).model
    size = sum(block.filters for block in model.stages) * model.expansion
    attention = {"none": 0.0, "channel": 0.02, "spatial": 0.01, "casam": 0.03}[model.attention]
    return 0.5 + 0.06 * np.log(size) / np.log(2000) + attention + 0.02 * np.sin(size / 97) - params["dropout"] * 0.02


def spend(sampler, n_trials, first=1):
    """Train `n_trials` proposals on the made-up truth, the first rung of each and of every other the second too.

    Returns (params, accuracy) of each; fewer where the proposals end before.
    """
    trained = []
    for number in range(first, first + n_trials):
        proposal = sampler.propose()
        if proposal is None:
            break
        trial_id, accuracy = f"t{number:04d}", accuracy_of(proposal.params)
        sampler.enter(trial_id, proposal.params)
        tell(sampler, trial_id, number, accuracy, proposal.sizing)
        trained.append((proposal.params, accuracy))
    return trained


def tell(sampler, trial_id, number, accuracy, sizing):
    """Tell what a trial came to, as a search or its ledger would."""
    sampler.observe(trial_id, 6, Value(accuracy - 0.1, 1.0, sizing.weight_bytes, sizing.macs))
    if number % 2:
        sampler.observe(trial_id, 14, Value(accuracy, 1.0, sizing.weight_bytes, sizing.macs))
        sampler.end(trial_id, "finished")
    elif number % 4 == 2:
        sampler.end(trial_id, "stopped")


THREE = Objectives(("macro_accuracy", "weight_bytes", "macs"))
