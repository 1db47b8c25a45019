"""Retraining of the best trials of the search and of named systems at full length, in parallel Ray tasks.

A candidate is named after its trial or system. If its training differs from the run's configuration, the name states
the difference, so that candidates are never confused: `t0003-kd-e510-full-s0` is trial t0003 trained with teachers for
510 epochs on train and validation, with seed 0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from asc_models.candidate import CandidateConfig, DistilledFrom, read_candidate_config, require_unchanged
from asc_models.config import ExportMode, TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import parse_network
from asc_models.networks.network import NetworkConfig
from asc_models.training.schedule import last_cycle_end
from data_prep.config import ReaderSpec
from data_prep.errors import BudgetError, ConfigError, RunError
from data_prep.progress import ProgressCallback
from data_prep.schema import differing_keys
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import DISTILLED, FULL, read_metrics
from results.candidates.inner import predicted_parts, require_parts_of, trained_with
from results.candidates.limits import Limits
from results.ledger.ledger import Ledger
from results.rundir import CandidateFiles, RunDirectory
from results.storage.storage import RunStorage
from search.config import RunConfig
from search.retrain.choice import ChosenTrials
from search.retrain.job import TrainingJob
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
from search.retrain.trials import choose_trials, full_length, mode_of, over_limit, reader_of
from search.retrain.workers import train_all
from search.retrain_config import RetrainConfig, SystemConfig
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
        RunError: if there is nothing to train, every training failed, or a candidate or a part of its inner
            cross-validation was trained with other settings.
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
    jobs = [TrainingJob(one, run.candidate(one.name, one.seed), ledger, storage, teachers, output) for one in requested]
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
    """Raise BudgetError if a named system is over the limit, before anything is trained.

    Raises:
        ConfigError: if the windows of a system do not fit into its clips.
    """
    for system in config.retrain.systems:
        try:
            _require_feasible(system, config, manifest)
        except ConfigError as error:
            raise ConfigError(f"retrain.systems, {system.name}: {error}") from None


class _Asked(NamedTuple):
    """A network to train, with its settings."""

    name: str
    trial_id: str | None
    network: NetworkConfig
    recipe: TrainConfig
    mode: ExportMode
    reader: ReaderSpec
    seeds: tuple[int, ...]


def _candidates(
    choice: ChosenTrials, config: RunConfig, manifest: Manifest, variant: Variant, learned: DistilledFrom | None
) -> list[CandidateConfig]:
    """Return the candidates for the named systems and the chosen trials, one for each seed.

    Raises:
        RunError: if there are none.
    """
    retrain, full = config.retrain, config.full_recipe
    asked = [
        _Asked(
            *(one.name, None, one.network, one.recipe(full), retrain.mode, one.input(config.reader)),
            seeds=one.seeds or retrain.seeds,
        )
        for one in retrain.systems
    ]
    for trial in choice.trials:
        network, recipe = parse_network(trial.config["model"]), full_length(trial.config, config)
        mode, reader = mode_of(trial, config), reader_of(trial.config, config)
        asked.append(_Asked(trial.trial_id, trial.trial_id, network, recipe, mode, reader, retrain.seeds))
    if not asked:
        raise RunError(
            "there is nothing to retrain: the search has no trial that reached a rung, and retrain.systems names none"
        )
    return [
        CandidateConfig(
            name=one.name + ("" if learned is None else DISTILLED) + variant.suffix(one.recipe.epochs),
            trial_id=one.trial_id,
            model=one.network,
            train=variant.recipe(one.recipe),
            features=manifest.spec,
            reader=one.reader,
            classes=manifest.classes,
            mode=one.mode,
            int4_limits=config.int4_limits(one.mode),
            splits=("train", "validation") if variant.with_validation else ("train",),
            checkpoint=None if variant.with_validation else retrain.checkpoint,
            inner_folds=retrain.inner_folds if variant.with_validation else 0,
            distillation=learned,
            fine_tuning=retrain.fine_tuning,
            seed=seed,
            fold=config.fold,
            data_hash=manifest.hash(),
        )
        for seed in dict.fromkeys(seed for one in asked for seed in one.seeds)
        for one in asked
        if seed in one.seeds
    ]


def _require_same(job: TrainingJob) -> None:
    """Check that a candidate of this name, and the parts of its inner cross-validation, have these settings.

    Raises:
        DataError: if a part is of another number of parts.
        RunError: if it or a part was trained with other settings.
    """
    if job.files.config_path.exists():
        way_out = "or move its folder away to train it again"
        _require_settings(job.files, read_candidate_config(job.files.config_path), job.config, way_out)
    if job.config.inner_folds:
        require_parts_of(job.files, job.config.inner_folds)
        way_out = f"choose another --out, or move the folder {job.files.inner_dir} away to train its parts again"
        for own in predicted_parts(job.files).values():
            if (config := trained_with(own)) is not None:
                _require_settings(own, config, job.config, way_out)


def _require_settings(files: CandidateFiles, stored: CandidateConfig, asked: CandidateConfig, way_out: str) -> None:
    """Raise RunError with the `way_out` if the settings of a training differ from those asked for."""
    there, here = (
        {key: value for key, value in one.canonical().items() if key not in ("statistics", "devices")}
        for one in (stored, asked)
    )
    if differing := differing_keys(there, here):
        raise RunError(
            f"{files.root}: was trained with other settings ({'; '.join(differing[:3])}). Give the settings it was "
            f"trained with, {way_out}."
        )


def _require_feasible(system: SystemConfig, config: RunConfig, manifest: Manifest) -> None:
    sparsity = system.recipe(config.full_recipe).sparsity
    limited = config.int4_limits(config.retrain.mode)
    mode, reader = config.retrain.mode, system.input(config.reader)
    if reason := over_limit(system.network, mode, config, manifest, reader, sparsity):
        raise BudgetError(
            f"{system.name} is over the limit as {mode}: {reason}. Narrow that layer, lower the "
            f"expansion, or {'raise retrain.int4_limit_bytes' if limited else 'choose a smaller retrain.mode'}."
        )


def _cost(job: TrainingJob, manifest: Manifest) -> int:
    config = job.config
    return config.train.epochs * estimate(config.model, config.reader.network_shape(manifest.spec), 2).macs


def _export_line(job: TrainingJob, limits: Limits) -> str:
    metrics = read_metrics(job.files.metrics_path)
    agreement, seconds = metrics.agreement, metrics.export_seconds
    reason = limits.verdict([metrics]).reason  # the file's size is known only after export
    own = f"; a network each for device {', '.join(metrics.devices)}" if metrics.devices else ""
    over = f". It is over the limit and cannot be selected: {reason}" if reason else ""
    return (
        f"{job.files.name}: exported as {metrics.mode} in {seconds or 0:.1f} s, {metrics.weight_bytes:,} weight bytes; "
        f"agrees with its network on {agreement or 0:.2%} of validation{own}{over}"
    )
