"""Cross-validation of frozen systems: every fold of a data set, several seeds, exported files.

Each fold has an ordinary run directory, so that a cross-validation resumes like a run, and each read of a test split is
in a ledger. The trainings of all folds and seeds run in parallel as far as there are processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_prep.errors import ConfigError, DataError, RunError
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.crossval.page import write_crossval
from results.crossval.scores import Crossval, read_crossval
from results.rundir import CrossvalDirectory
from results.storage.storage import open_ledger
from search.cluster.session import cluster_address
from search.config import RunConfig
from search.recipe import facts_of_audio
from search.retrain.job import TrainingJob
from search.retrain.retrain import requested_jobs
from search.retrain.teaching import opened_teachers
from search.retrain.trained import read_trained
from search.retrain.workers import train_all
from search.run_config import bind_data, check_fold, open_run, unless_refused
from search.stages import N_NAMED, Narrator, prepare_stage, recipe_stage, shards_stage
from search.study.config import SearchConfig


def cross_validate(
    config: RunConfig,
    out: CrossvalDirectory,
    narrator: Narrator,
    *,
    data: Path | None = None,
    shards: Location | None = None,
    folds: Sequence[int] = (),
    inner: int = 0,
    test_every: int = 0,
    lent: SearchConfig | None = None,
    address: str | None = None,
    n_workers: int = 1,
) -> Crossval:
    """Train the systems of `config` on every fold with every seed, and score the exported files on the test splits.

    Repeat the same call to resume. More folds or seeds may be added by a later call.

    Args:
        config: configuration with `retrain.systems` and `retrain.seeds`, without a search.
        out: folder of the cross-validation.
        narrator: shows the progress.
        data: folder of the data set; None if `shards` are prepared.
        shards: folder or URI of the feature shards; None means `out`/shards.
        folds: folds to train and test on; () means all folds of the data.
        inner: if not 0, only the training side of each fold is used: its clips are predicted out of fold, in this many
            parts, and no test split is read. For choosing between systems.
        test_every: epochs between scores on the test split, for a column of its own that nothing is chosen by.
        lent: resources of each training: `cpus_per_trial`, `gpus_per_trial`, `max_failures`.
        address: address of a Ray cluster; None starts Ray on this machine.
        n_workers: processes that read audio.

    Raises:
        ConfigError: if the data have no such fold, or `config` has a search.
        BudgetError: if a system is over the limit; nothing is trained then.
        RunError: if a folder belongs to another configuration, or a training failed.
    """
    _require_frozen(config)
    cluster_address(address)  # raises if it is wrong, before anything is written
    shards = out.shards_dir if shards is None else shards
    first = out.fold(folds[0] if folds else config.fold)
    if data is not None:
        config = recipe_stage(first, config, partial(facts_of_audio, data, config.prepare), narrator)
        prepare_stage(data, shards, config, narrator, n_workers, address)
    manifest = _read_manifest(shards)
    wanted = tuple(folds) or tuple(sorted(manifest.folds))
    for fold in wanted:
        check_fold(fold, manifest)
    if data is None:
        config = shards_stage(first, config, manifest, narrator)
    retrain = config.retrain.updated(inner_folds=inner, all_clips=config.retrain.all_clips or inner > 0)
    with ExitStack() as stack:
        configs = [config.updated(fold=fold, retrain=retrain) for fold in wanted]
        jobs = [replace(job, test_every=test_every) for one in configs for job in _jobs(stack, one, out, manifest)]
        if warning := without_curve(jobs):
            narrator.warn(warning)
        failures = _train(jobs, shards, lent or SearchConfig(), address, narrator, only_parts=inner > 0)
    _require_none_failed(failures, out)
    write_crossval(out, scores := read_crossval(out, inner=inner > 0))
    return scores


def without_curve(jobs: Sequence[TrainingJob]) -> str | None:
    """Return which candidates were trained without the scores on test that are asked for now; None if none were."""
    trained = [job for job in jobs if job.test_every and (job.files.is_finished or read_trained(job.files) is not None)]
    lacking = [
        f"fold {job.config.fold}, {job.files.name}" for job in trained if not job.files.test_curve_path.is_file()
    ]
    if not lacking:
        return None
    more = f" and {len(lacking) - N_NAMED} more" if len(lacking) > N_NAMED else ""
    return (
        f"--test-curve has no effect on what is trained; without a curve: {'; '.join(lacking[:N_NAMED])}{more}. To "
        "have one, choose another --out, or move the folders of these candidates away to train them again."
    )


def _require_frozen(config: RunConfig) -> None:
    """Raise ConfigError if `config` has what a cross-validation cannot have."""
    if config.search is not None:
        raise ConfigError("a cross-validation has no search: set search: null")
    if config.retrain.distillation is not None and config.retrain.distillation.probabilities is not None:
        raise ConfigError(
            "retrain.distillation.probabilities: the teacher of one file knows clips that some fold tests; use "
            "distillation.teachers, which are trained within each fold"
        )


def _read_manifest(shards: Location) -> Manifest:
    try:
        return read_manifest(shards)
    except DataError as error:
        raise DataError(f"{error}\nPass --data DATA to prepare the shards, or --shards for shards elsewhere.") from None


def _require_none_failed(failures: Sequence[str], out: CrossvalDirectory) -> None:
    if failures:
        lines = "\n".join(f"  {line}" for line in failures)
        raise RunError(
            f"{len(failures)} trainings failed; rerun the same command to repeat them. Their tracebacks are in the "
            f"folders failures below {out.root}:\n{lines}"
        )


def _jobs(stack: ExitStack, config: RunConfig, out: CrossvalDirectory, manifest: Manifest) -> list[TrainingJob]:
    """Open the run directory of a fold until `stack` closes; return its trainings."""
    run = out.fold(config.fold)
    stack.enter_context(unless_refused(run))
    ledger = stack.enter_context(open_ledger(run, None))
    open_run(run, config)
    bind_data(run, manifest)
    of_teachers = stack.enter_context(opened_teachers(run, config, manifest, None))
    jobs, _ = requested_jobs(run, config, manifest, ledger, of_teachers=of_teachers)
    return jobs


def _train(
    jobs: list[TrainingJob],
    shards: Location,
    lent: SearchConfig,
    address: str | None,
    narrator: Narrator,
    *,
    only_parts: bool,
) -> list[str]:
    """Train what is missing, and return one line per failed training."""
    # Longest first over all folds: they are sorted by cost within a fold.
    n_folds = len({job.config.fold for job in jobs})
    per_fold = len(jobs) // n_folds
    ordered = [jobs[fold * per_fold + i] for i in range(per_fold) for fold in range(n_folds)]
    left = [job for job in ordered if not job.files.is_finished]
    n_trainings = len(jobs) * (jobs[0].config.inner_folds if only_parts else 1)
    narrator.note(f"{n_trainings} trainings: {n_folds} folds, {len({job.config.seed for job in jobs})} seeds")
    if not left:
        return []
    with narrator.stage("Train", "epochs") as on_progress:
        return train_all(left, jobs, shards, lent, address, on_progress, only_parts=only_parts)
