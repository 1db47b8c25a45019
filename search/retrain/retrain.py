"""Retraining of the best trials of the search and of named systems at full length, in parallel Ray tasks.

A candidate is named after its trial or system. If its training differs from the run's configuration, the name states
the difference, so that candidates are never confused: `t0003-e510-full-s0` is trial t0003 trained for 510 epochs on
train and validation, with seed 0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asc_models.candidate import CandidateConfig, DistilledFrom, read_candidate_config, require_unchanged
from asc_models.config import ExportMode, TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import parse_network
from asc_models.networks.network import NetworkConfig
from asc_models.networks.trace import trace
from asc_models.training.schedule import last_cycle_end
from data_prep.config import ReaderSpec
from data_prep.errors import BudgetError, RunError
from data_prep.progress import ProgressCallback
from data_prep.schema import content_hash, differing_keys
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import DISTILLED, FULL, read_metrics
from results.candidates.limits import Limits
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import RunStorage
from search.config import RetrainConfig, RunConfig
from search.objectives import Score
from search.retrain.choice import ChosenTrials, Contender, choose, guess, read_contenders
from search.retrain.store import exchange_candidates
from search.retrain.teaching import (
    candidate_teachers,
    distilled_from,
    opened_teachers,
    read_probabilities,
    require_may_teach,
    teachers_config,
)
from search.retrain.training import remove_leftovers
from search.retrain.workers import TrainingJob, train_all
from search.study.config import SearchConfig


@dataclass(frozen=True)
class Variant:
    """Differences between the trainings of one call and the run's configuration."""

    epochs: int | None = None
    """Number of epochs; None uses the configuration's."""
    with_validation: bool = False
    """Whether to train on validation as well, for a final submission; no checkpoint is selected then."""
    trials: tuple[str, ...] = ()
    """Trials to retrain instead of those chosen by size and score; () for these."""

    def under(self, asked: RetrainConfig) -> Variant:
        """Return this variant combined with the configuration's `all_clips`."""
        return replace(self, with_validation=self.with_validation or asked.all_clips)

    def suffix(self, configured: int) -> str:
        """Return the suffix of a candidate's name if its configured number of epochs is `configured`."""
        length = "" if self.epochs in (None, configured) else f"-e{self.epochs}"
        return length + (FULL if self.with_validation else "")

    def recipe(self, configured: TrainConfig) -> TrainConfig:
        """Return the recipe `configured` with the differences applied."""
        train = configured.updated(epochs=self.epochs or configured.epochs)
        if self.with_validation:  # no checkpoint is selected, so it must end at the lowest rate
            return train.updated(epochs=last_cycle_end(train, train.epochs))
        return train


@dataclass(frozen=True)
class RetrainOutcome:
    """Result of retraining."""

    names: tuple[str, ...]
    """Requested candidates that are finished, including those finished by earlier calls."""
    n_new: int
    """Number of these that were trained by this call."""
    exports: tuple[str, ...]
    """One line on the export of each candidate trained by this call."""
    notes: tuple[str, ...]
    """Notes on the choice of trials."""
    failures: tuple[str, ...]
    """One line per failed candidate, with the reason."""
    seconds: float


def retrain(
    run: RunDirectory,
    config: RunConfig,
    *,
    shards: Location,
    ledger: Ledger,
    variant: Variant = Variant(),
    lent: SearchConfig | None = None,
    address: str | None = None,
    storage: RunStorage | None = None,
    on_progress: ProgressCallback | None = None,
) -> RetrainOutcome:
    """Train the candidates requested by `config.retrain` that are not finished in the run.

    Args:
        run: run directory that the candidates are written to.
        config: configuration of the run.
        shards: folder of the prepared features.
        ledger: ledger of the run, open for writing.
        variant: differences of this call's trainings from the configuration.
        lent: resources of each training (`train_all`); None uses those of the search's trials.
        address: address of a running Ray cluster; None starts Ray on this machine.
        storage: the run's shared storage, locked by the caller; None keeps everything in the run directory.
        on_progress: called with (epochs done, total epochs).

    Raises:
        BudgetError: if a named system is over the limit; nothing is trained then.
        RunError: if there is nothing to train, every training failed, or a candidate was trained with other settings.
    """
    started = time.monotonic()
    manifest = read_manifest(shards)
    if storage is not None:
        exchange_candidates(run, storage)
        exchange_candidates(run.teachers, storage.teachers)
    with opened_teachers(run, config, manifest, storage) as of_teachers:
        jobs, notes = requested_jobs(run, config, manifest, ledger, variant, storage=storage, of_teachers=of_teachers)
        open_jobs = [job for job in jobs if not job.files.is_finished]
        lent = lent or config.search or SearchConfig()
        failures = train_all(open_jobs, jobs, shards, lent, address, on_progress) if open_jobs else []
    names = sorted(job.files.name for job in jobs if job.files.is_finished)
    if not names:
        raise RunError("every training failed:\n" + "\n".join(f"  {line}" for line in failures))
    return RetrainOutcome(
        names=tuple(names),
        n_new=sum(job.files.is_finished for job in open_jobs),
        exports=tuple(_export_line(job, Limits(config.rules)) for job in open_jobs if job.files.is_finished),
        notes=notes,
        failures=tuple(failures),
        seconds=time.monotonic() - started,
    )


def requested_jobs(
    run: RunDirectory,
    config: RunConfig,
    manifest: Manifest,
    ledger: Ledger,
    variant: Variant = Variant(),
    *,
    storage: RunStorage | None = None,
    of_teachers: Ledger | None = None,
) -> tuple[list[TrainingJob], tuple[str, ...]]:
    """Return the trainings requested by `config.retrain`, the longest first, and notes on the choice of trials.

    Args:
        run: run directory of the candidates.
        config: configuration of the run.
        manifest: manifest of the data.
        ledger: ledger of the run, open for writing.
        variant: differences of the trainings from the configuration.
        storage: the run's shared storage, locked by the caller; None keeps everything in the run directory.
        of_teachers: ledger of the teachers' run directory (`opened_teachers`); None if none are to be trained.

    Raises:
        BudgetError: if a named system is over the limit.
        RunError: if there is nothing to train, a candidate was trained with other settings, or a candidate can't teach.
    """
    require_systems_fit(config, manifest)
    choice = choose_trials(ledger.events(), config, manifest, variant.trials)
    teachers = _teachers(run, config, manifest, ledger, variant, storage, of_teachers)
    distillation = config.retrain.distillation
    learned = distilled_from(distillation, tuple(teacher.files.name for teacher in teachers))
    requested = _candidates(choice, config, manifest, variant.under(config.retrain), learned)
    output = None if distillation is None else read_probabilities(distillation, manifest.classes)
    jobs = [
        TrainingJob(one.updated(seed=seed), run.candidate(one.name, seed), ledger, storage, teachers, output)
        for seed in config.retrain.seeds
        for one in requested
    ]
    for teacher in teachers:
        for job in jobs:
            require_may_teach(teacher.files, teacher.config, job.config)
    for job in jobs:
        if job.files.is_finished:
            require_unchanged(job.files.root)
            remove_leftovers(job.files)
        _require_same(job)
    return sorted(jobs, key=lambda job: -_cost(job, manifest)), choice.notes


def _teachers(
    run: RunDirectory,
    config: RunConfig,
    manifest: Manifest,
    ledger: Ledger,
    variant: Variant,
    storage: RunStorage | None,
    of_teachers: Ledger | None,
) -> tuple[TrainingJob, ...]:
    """Return the teachers of all candidates: those that the configuration describes, and finished candidates."""
    found: list[TrainingJob] = []
    of_config = teachers_config(config)
    if of_config is not None:
        assert of_teachers is not None  # both follow from the configuration
        own = None if storage is None else storage.teachers
        lasting = replace(variant, epochs=None, trials=())
        found, _ = requested_jobs(run.teachers, of_config, manifest, of_teachers, lasting, storage=own)
    if (distillation := config.retrain.distillation) is not None:
        found = [
            *found,
            *(TrainingJob(one, files, ledger, storage) for files, one in candidate_teachers(run, distillation)),
        ]
    return tuple(found)


def require_systems_fit(config: RunConfig, manifest: Manifest) -> None:
    """Raise BudgetError if a named system is over the limit, before anything is trained."""
    for system in config.retrain.systems:
        _require_feasible(system.name, system.network, config, manifest)


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
        shape = _reader_of(trained, config).network_shape(manifest.spec)
        layers = trace(parse_network(trained["model"]), shape, n_classes)
        return content_hash([repr(layers), {key: trained.get(key) for key in ("train", "reader", "mode")}])

    objectives = (config.search and config.search.objectives) or ("macro_accuracy",)
    score: Score = "log_loss" if objectives[0] == "log_loss" else "macro_accuracy"
    found = read_contenders(events, identity, score)
    over = [
        one
        for one in found
        if _over_limit(
            parse_network(one.config["model"]),
            _mode_of(one, config),
            config,
            manifest,
            _reader_of(one.config, config),
        )
    ]
    fitting = [one for one in found if one not in over]
    if wanted:
        return ChosenTrials(tuple(_wanted(wanted, fitting, over, config)), ())
    n = config.retrain.n_candidates
    if n and over and not fitting:
        raise BudgetError(
            f"no trained network is within the limit as {config.retrain.mode} ({len(over)} are over it), since they "
            "were searched in another mode. Choose a smaller one, such as --set retrain.mode=int4_int8_weights."
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
            raise BudgetError(f"--trial {name}: is over the limit as {_mode_of(of[name], config)}; lower retrain.mode")
        yield of[name]


def _what_was_chosen(choice: ChosenTrials, score: Score, config: RunConfig, manifest: Manifest) -> list[str]:
    if not choice.trials:
        return []
    merits = [abs(one.merit) for one in choice.trials]
    trials = ", ".join(
        f"{one.trial_id} ({one.weight_bytes:,} bytes, {merit:.3f})"
        for one, merit in zip(choice.trials, merits, strict=True)
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


def _candidates(
    choice: ChosenTrials, config: RunConfig, manifest: Manifest, variant: Variant, learned: DistilledFrom | None
) -> list[CandidateConfig]:
    """Return the candidates for the named systems and the chosen trials, each to be trained with every seed.

    Raises:
        RunError: if there are none.
    """
    asked: list[tuple[str, str | None, NetworkConfig, TrainConfig, ExportMode, ReaderSpec]] = []
    for system in config.retrain.systems:
        configured = system.recipe(config.full_recipe)
        asked.append((system.name, None, system.network, configured, config.retrain.mode, config.reader))
    for one in choice.trials:
        configured = TrainConfig.model_validate(
            {**one.config["train"], **config.retrain.train, "epochs": config.full_recipe.epochs}
        )
        network = parse_network(one.config["model"])
        reader = _reader_of(one.config, config)
        asked.append((one.trial_id, one.trial_id, network, configured, _mode_of(one, config), reader))
    if not asked:
        raise RunError(
            "there is nothing to retrain: the search has no trial that reached a rung, and retrain.systems names none"
        )
    return [
        CandidateConfig(
            name=name + ("" if learned is None else DISTILLED) + variant.suffix(configured.epochs),
            trial_id=trial_id,
            model=network,
            train=variant.recipe(configured),
            features=manifest.spec,
            reader=reader,
            classes=manifest.classes,
            mode=mode,
            splits=("train", "validation") if variant.with_validation else ("train",),
            checkpoint=None if variant.with_validation else config.retrain.checkpoint,
            inner_folds=config.retrain.inner_folds if variant.with_validation else 0,
            distillation=learned,
            seed=config.retrain.seeds[0],
            fold=config.fold,
            data_hash=manifest.hash(),
        )
        for name, trial_id, network, configured, mode, reader in asked
    ]


def _mode_of(trial: Contender, config: RunConfig) -> ExportMode:
    """Return the export mode of a trial's retraining: the trial's own if the search sampled it, else the configured."""
    mode: ExportMode = trial.params.get("mode", config.retrain.mode)
    return mode


def _reader_of(trained: Mapping[str, Any], config: RunConfig) -> ReaderSpec:
    """Return the reader that a trial was trained with; ledgers made by hand may lack it."""
    return ReaderSpec.model_validate(trained["reader"]) if "reader" in trained else config.reader


def _require_same(job: TrainingJob) -> None:
    """Raise RunError if a candidate of this name was trained with other settings."""
    if not job.files.config_path.exists():
        return
    stored, asked = (
        {key: value for key, value in one.canonical().items() if key != "statistics"}
        for one in (read_candidate_config(job.files.config_path), job.config)
    )
    if differing := differing_keys(stored, asked):
        raise RunError(
            f"{job.files.root}: was trained with other settings ({'; '.join(differing[:3])}). Give the settings it was "
            "trained with, or move its folder away to train it again."
        )


def _over_limit(
    network: NetworkConfig, mode: ExportMode, config: RunConfig, manifest: Manifest, reader: ReaderSpec
) -> str:
    spec = manifest.spec
    cost = estimate(network, reader.input_shape(spec), len(manifest.classes), reader.windows(spec))
    verdict = cost.verdict(config.rules, mode)
    return "" if verdict.feasible else verdict.reason


def _require_feasible(name: str, network: NetworkConfig, config: RunConfig, manifest: Manifest) -> None:
    if reason := _over_limit(network, config.retrain.mode, config, manifest, config.reader):
        raise BudgetError(
            f"{name} is over the limit as {config.retrain.mode}: {reason}. Narrow that layer, lower the "
            "expansion, or choose a smaller retrain.mode."
        )


def _cost(job: TrainingJob, manifest: Manifest) -> int:
    config = job.config
    return config.train.epochs * estimate(config.model, config.reader.network_shape(manifest.spec), 2).macs


def _export_line(job: TrainingJob, limits: Limits) -> str:
    metrics = read_metrics(job.files.metrics_path)
    agreement, seconds = metrics.agreement, metrics.export_seconds
    reason = limits.verdict([metrics]).reason  # the file's size is known only after export
    over = f". It is over the limit and cannot be selected: {reason}" if reason else ""
    return (
        f"{job.files.name}: exported as {metrics.mode} in {seconds or 0:.1f} s, {metrics.weight_bytes:,} weight bytes; "
        f"agrees with its network on {agreement or 0:.2%} of validation{over}"
    )
