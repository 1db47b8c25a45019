"""The trials of a run that are retrained: those that the method of `choice` picks, or those that a user names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asc_models.config import ExportMode, TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import parse_network
from asc_models.networks.network import NetworkConfig
from asc_models.networks.trace import trace
from data_prep.config import ReaderSpec
from data_prep.errors import BudgetError, RunError
from data_prep.schema import content_hash
from data_prep.shards.manifest import Manifest
from search.config import RunConfig
from search.objectives import Objectives, Score
from search.retrain.choice import ChosenTrials, Contender, choose, guess, read_contenders


def choose_trials(
    events: Sequence[dict[str, Any]], config: RunConfig, manifest: Manifest, wanted: Sequence[str] = ()
) -> ChosenTrials:
    """Return the `config.retrain.n_candidates` trials to retrain (search/retrain/choice.py describes the method).

    Args:
        events: events of the run's ledger.
        config: configuration of the run.
        manifest: manifest of the data.
        wanted: IDs of the trials to retrain instead, in any number.

    Raises:
        BudgetError: if no trial is within the limit in the export mode of its retraining, or a wanted one is not.
        RunError: if a wanted trial does not exist, or has no score.
    """
    n_classes = len(manifest.classes)

    def identity(trained: Mapping[str, Any]) -> str:
        """Return a key that is equal for the same network and recipe, ignoring settings without effect."""
        shape = reader_of(trained, config).network_shape(manifest.spec)
        layers = trace(parse_network(trained["model"]), shape, n_classes)
        return content_hash([repr(layers), {key: trained.get(key) for key in ("train", "reader", "mode")}])

    objectives = Objectives() if config.search is None else config.search_settings().objectives
    score: Score = "log_loss" if objectives.names[0] == "log_loss" else "macro_accuracy"
    found = read_contenders(events, identity, objectives)
    over = [
        one
        for one in found
        if over_limit(
            parse_network(one.config["model"]),
            mode_of(one, config),
            config,
            manifest,
            reader_of(one.config, config),
            full_length(one.config, config).sparsity,
        )
    ]
    fitting = [one for one in found if one not in over]
    if wanted:
        return ChosenTrials(tuple(_wanted(wanted, fitting, over, config)), ())
    n = config.retrain.n_candidates
    if n and over and not fitting:
        limited = config.retrain.int4_limit_bytes
        raise BudgetError(
            f"no trained network is within the limit as {config.retrain.mode} ({len(over)} are over it), "
            + (
                f"which retrain.int4_limit_bytes sets to {limited:,} bytes. Raise it."
                if limited
                else "since they were searched in another mode. Choose a smaller one, such as --set "
                "retrain.mode=int4_int8_weights."
            )
        )
    choice = choose(fitting, n, floor=guess(score, n_classes))
    notes = [f"{len(over)} trials are over the limit as {config.retrain.mode}; they are excluded"] if n and over else []
    return ChosenTrials(choice.trials, (*choice.notes, *notes, *_what_was_chosen(choice, score, config, manifest)))


def _wanted(
    names: Sequence[str], fitting: Sequence[Contender], over: Sequence[Contender], config: RunConfig
) -> Iterator[Contender]:
    """Yield the trials with these IDs; a trial of the same network and recipe stands for its twin."""
    of = {name: one for one in [*fitting, *over] for name in (one.trial_id, *one.twins)}
    for name in dict.fromkeys(names):
        if name not in of:
            raise RunError(
                f"--trial {name}: the run has no trial of this name that reached a rung; it has "
                f"{', '.join(sorted(of)) or 'none'}"
            )
        if of[name] in over:
            raise BudgetError(f"--trial {name}: is over the limit as {mode_of(of[name], config)}; lower retrain.mode")
        yield of[name]


def _what_was_chosen(choice: ChosenTrials, score: Score, config: RunConfig, manifest: Manifest) -> list[str]:
    if not choice.trials:
        return []
    merits = [abs(one.merit) for one in choice.trials]
    trials = ", ".join(
        f"{one.trial_id} ({one.size:,} bytes, {merit:.3f})" for one, merit in zip(choice.trials, merits, strict=True)
    )
    n_clips, where = _scored_clips(config, manifest)
    share = min(merits[0], 1.0)
    error = f" (± {math.sqrt(share * (1 - share) / n_clips):.3f})" if score == "macro_accuracy" and n_clips else ""
    name = score.replace("_", " ")
    return [f"chosen, by size and {name} {where}{error}: {trials}"]


def _scored_clips(config: RunConfig, manifest: Manifest) -> tuple[int, str]:
    """Return how many clips finished trials are scored on (0 if not known), and which, as text."""
    n_validation = manifest.counts[config.fold].get("validation", 0)
    n_parts = 0 if config.search is None else config.search.inner_folds
    if not n_parts:
        return n_validation, f"on {n_validation:,} validation clips"
    if manifest.validation.holdout_devices:  # their clips in validation are in no part
        return 0, f"out of fold over {n_parts} parts"
    recorded = manifest.folds[config.fold].items() - dict.fromkeys(manifest.sources, "train").items()
    n_clips = sum(split in ("train", "validation") for _, split in recorded)
    return n_clips, f"out of fold on {n_clips:,} clips of {n_parts} parts"


def mode_of(trial: Contender, config: RunConfig) -> ExportMode:
    """Return the export mode of a trial's retraining: the trial's own if the search sampled it, else the configured."""
    mode: ExportMode = trial.params.get("mode", config.retrain.mode)
    return mode


def full_length(trained: Mapping[str, Any], config: RunConfig) -> TrainConfig:
    """Return the recipe of a trial's training at full length."""
    return TrainConfig.model_validate({**trained["train"], **config.retrain.train, "epochs": config.full_recipe.epochs})


def reader_of(trained: Mapping[str, Any], config: RunConfig) -> ReaderSpec:
    """Return the reader that a trial was trained with; ledgers made by hand may lack it."""
    return ReaderSpec.model_validate(trained["reader"]) if "reader" in trained else config.reader


def over_limit(
    network: NetworkConfig,
    mode: ExportMode,
    config: RunConfig,
    manifest: Manifest,
    reader: ReaderSpec,
    sparsity: float,
) -> str:
    """Return why a network is over the limit in an export mode, "" if it is not."""
    spec = manifest.spec
    shape, windows = reader.input_shape(spec), reader.windows(spec)
    cost = estimate(network, shape, len(manifest.classes), windows, sparsity=sparsity)
    # With int4_limit_bytes, the least that a file may have: the bytes with all large kernels in int4.
    rules = config.rules.updated(limits={**config.rules.limits, **config.int4_limits(mode)})
    verdict = cost.verdict(rules, mode)
    return "" if verdict.feasible else verdict.reason
