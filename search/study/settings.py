"""The part of a run's configuration that a search needs; training and size of a point of the space under it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asc_models.config import TrainConfig
from asc_models.errors import SizeError
from asc_models.networks.estimate import LOWER_BOUNDS, estimate
from asc_models.rules import RulesConfig, check
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import canonical_json, content_hash
from search.halving import HALVINGS, Halving, rung_epochs, rung_folds
from search.objectives import Objective, Objectives
from search.space.config import SpaceConfig
from search.space.knobs import Params
from search.space.point import build
from search.space.sizing import Sizing
from search.space.space import Space
from search.study.config import SearchConfig

SPARSITY = "train.sparsity"
"""Knob of pruning."""
INNER_FOLDS = "search.inner_folds"
"""Key of the number of parts that trials are scored over, for messages."""


@dataclass(frozen=True)
class SearchSettings:
    """The sections of a run's configuration that its search needs."""

    space: SpaceConfig
    """Section `space`."""
    search: SearchConfig
    """Section `search`."""
    train: TrainConfig
    """Section `train`."""
    reader: ReaderSpec
    """Section `reader`."""
    rules: RulesConfig
    """Section `rules`."""
    fold: int
    """Fold to train on."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Epochs of the rungs, which each network of a trial is trained for."""
        return tuple(rung_epochs(self.train, self.search.epochs, self.search.min_epochs))

    @property
    def folds(self) -> tuple[int, ...]:
        """Networks of a trial at each rung; more than one with `search.inner_folds` only."""
        return tuple(rung_folds(self.search.inner_folds, len(self.epochs)))

    @property
    def costs(self) -> tuple[int, ...]:
        """Epochs that a trial has been trained for at each rung, summed over its networks."""
        return tuple(folds * epochs for folds, epochs in zip(self.folds, self.epochs, strict=True))

    @property
    def objectives(self) -> Objectives:
        """The objectives as configured, or by default accuracy, bytes, and MACs if the rules limit them.

        If trials are pruned, the bytes are those of the non-zero weights.
        """
        if self.search.objectives is not None:
            return Objectives(self.search.objectives)
        names: list[Objective] = ["macro_accuracy", "nonzero_weight_bytes" if self.is_pruned else "weight_bytes"]
        return Objectives([*names, "macs"] if "macs" in self.rules.in_force() else names)

    @property
    def is_pruned(self) -> bool:
        """Whether a trial may be pruned (`train.sparsity`)."""
        knob = self.space.knobs.get(SPARSITY)
        return bool(self.train.sparsity or (knob is not None and max(knob.ends)))

    def halving(self) -> Halving:
        """Return the configured halving, without any recorded trial."""
        return HALVINGS[self.search.scheduler](self.epochs, self.search.eta, self.objectives)


def point_reader(reader: ReaderSpec, changes: Mapping[str, Any]) -> ReaderSpec:
    """Return the reader of a point: the run's with the point's changes.

    Raises:
        ConfigError: if they do not go together.
    """
    try:
        return reader.updated(**changes) if changes else reader
    except ValueError as error:
        raise ConfigError(str(error)) from None


def make_space(config: SpaceConfig, reader: ReaderSpec, features: FeatureSpec, n_classes: int) -> Space:
    """Return the points of a space on features that `reader`, or that of a point, makes of the stored ones."""
    return Space(
        config,
        reader.network_shape(features),
        n_classes,
        lambda changes: point_reader(reader, changes).network_shape(features),
    )


def trial_description(config: SearchSettings, data_hash: str, params: Params) -> tuple[str, dict[str, Any]]:
    """Return a trial's ledger key, hash(canonical configuration, data, seed, epochs), and its configuration."""
    search = config.search
    settings = build(config.space.family, params)
    described = {
        "model": settings.model.canonical(),
        "train": dict(_recipe(config.train, canonical_json({"epochs": search.epochs, **settings.train_overrides}))),
        "reader": point_reader(config.reader, settings.reader_overrides).canonical(),
        "mode": settings.mode or search.mode,
        "fold": config.fold,
        **({"inner_folds": search.inner_folds} if search.inner_folds else {}),
    }
    return content_hash([described, data_hash, search.seed, search.epochs]), described


@lru_cache(1024)
def _recipe(train: TrainConfig, changes: str) -> dict[str, Any]:
    """Return the recipe of a trial as JSON values; most points have the same."""
    return train.updated(**json.loads(changes)).canonical()


def candidate_sizing(
    config: SearchSettings, features: FeatureSpec, n_classes: int, params: Params, *, names_layers: bool = True
) -> Sizing:
    """Return a point's size and cost by closed forms, and whether they meet the rules.

    With `names_layers` the reason of an infeasible point names its largest layer, which is slower than all the rest.

    Raises:
        ConfigError: if the reader's windows do not fit the clips.
    """
    config.reader.windows(features)  # raises if the run's own do not fit
    size_limit = config.rules.size_limit()
    limit = None if size_limit is None else size_limit[1]
    try:
        settings = build(config.space.family, params)
        reader = point_reader(config.reader, settings.reader_overrides)
        cost = estimate(
            settings.model,
            reader.input_shape(features),
            n_classes,
            reader.windows(features),
            sparsity=settings.train_overrides.get("sparsity", config.train.sparsity),
        )
    except (ConfigError, SizeError) as error:
        return Sizing(feasible=False, weight_bytes=0, limit=limit, reason=str(error))
    mode = settings.mode or config.search.mode
    verdict = (
        cost.verdict(config.rules, mode)
        if names_layers
        else check(config.rules, cost.quantities(mode), modes=(mode,), bounds=LOWER_BOUNDS)
    )
    return Sizing(
        feasible=verdict.feasible,
        weight_bytes=cost.weight_bytes_as(mode),
        nonzero_weight_bytes=cost.nonzero_weight_bytes_as(mode),
        limit=limit,
        reason=verdict.reason,
        n_params=cost.n_params,
        macs=cost.macs,
        peak_activation_bytes=cost.peak_activation_bytes,
    )
