"""The part of a run's configuration that a search needs; training and size of a point of the space under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asc_models.config import TrainConfig
from asc_models.errors import SizeError
from asc_models.networks.estimate import LOWER_BOUNDS, estimate
from asc_models.rules import RulesConfig, check
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import content_hash
from search.halving import HALVINGS, Halving, rung_epochs
from search.objectives import Objectives
from search.space.config import SpaceConfig
from search.space.knobs import Params
from search.space.point import build
from search.space.sizing import Sizing
from search.study.config import SearchConfig


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
        """Epochs of the rungs."""
        return tuple(rung_epochs(self.train, self.search.epochs, self.search.min_epochs))

    @property
    def objectives(self) -> Objectives:
        """The objectives as configured, or by default accuracy, bytes, and MACs if the rules limit them."""
        if self.search.objectives is not None:
            return Objectives(self.search.objectives)
        if "macs" in self.rules.in_force():
            return Objectives(("macro_accuracy", "weight_bytes", "macs"))
        return Objectives()

    def halving(self) -> Halving:
        """Return the configured halving, without any recorded trial."""
        return HALVINGS[self.search.scheduler](self.epochs, self.search.eta, self.objectives)


def trial_description(config: SearchSettings, data_hash: str, params: Params) -> tuple[str, dict[str, Any]]:
    """Return a trial's ledger key, hash(canonical configuration, data, seed, epochs), and its configuration."""
    search = config.search
    settings = build(config.space.family, params)
    described = {
        "model": settings.model.canonical(),
        "train": config.train.updated(epochs=search.epochs, **settings.train_overrides).canonical(),
        "reader": config.reader.canonical(),
        "mode": settings.mode or search.mode,
        "fold": config.fold,
    }
    return content_hash([described, data_hash, search.seed, search.epochs]), described


def candidate_sizing(
    config: SearchSettings, features: FeatureSpec, n_classes: int, params: Params, *, names_layers: bool = True
) -> Sizing:
    """Return a point's size and cost by closed forms, and whether they meet the rules.

    With `names_layers` the reason of an infeasible point names its largest layer, which is slower than all the rest.

    Raises:
        ConfigError: if the reader's windows do not fit the clips.
    """
    reader = config.reader
    input_shape, windows = reader.input_shape(features), reader.windows(features)
    size_limit = config.rules.size_limit()
    limit = None if size_limit is None else size_limit[1]
    try:
        settings = build(config.space.family, params)
        cost = estimate(settings.model, input_shape, n_classes, windows)
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
        limit=limit,
        reason=verdict.reason,
        n_params=cost.n_params,
        macs=cost.macs,
        peak_activation_bytes=cost.peak_activation_bytes,
    )
