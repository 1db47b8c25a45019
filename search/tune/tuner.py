"""The driver's side of a search: starts Ray if trials are left to train, and trains them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import AscError, RunError
from data_prep.files.scratch import scratch_folder
from data_prep.progress import ProgressCallback
from data_prep.reader.parts import require_parts
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location, location_text
from data_prep.workers import available_cpus
from results.ledger.ledger import Ledger
from results.ledger.running import RunningReports
from results.ledger.trial import Trial
from results.rundir import RunDirectory
from results.storage.storage import RunStorage
from search.space.point import READER
from search.space.sizing import Assess, require_feasible
from search.space.space import Space
from search.strategies.proposer import Proposer
from search.strategies.warm_start import earlier_name, read_warm_start
from search.study.settings import INNER_FOLDS, SearchSettings, candidate_sizing, make_space, trial_description
from search.study.state import EventLog, SearchState
from search.tune.checkpoints import Checkpoints

if TYPE_CHECKING:
    from ray import tune

    from search.tune.scheduler import KeepFailure, SearchErrors
    from search.tune.searcher import ConstrainedSearcher


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search, including earlier sessions."""

    n_trials: int
    """Trials started."""
    n_finished: int
    """Trials that reached the last rung."""
    n_stopped: int
    """Trials stopped early."""
    n_paused: int
    """Trials that wait for a promotion."""
    n_failed: int
    """Trials that failed."""
    n_infeasible: int
    """Proposals over the limit, which were not trained."""
    is_exhausted: bool
    """Whether the search ended because no candidate was found that fits and is new."""
    n_new: int
    """Trials started, resumed or promoted in this session."""
    seconds: float
    """Duration of this session."""


def run_search(
    run: RunDirectory,
    *,
    shards: Location,
    config: SearchSettings,
    address: str | None = None,
    on_progress: ProgressCallback | None = None,
    ledger: EventLog | None = None,
    storage: RunStorage | None = None,
    earlier: Sequence[Path] = (),
    on_note: Callable[[str], None] = lambda text: None,
) -> SearchOutcome:
    """Train the trials that the run lacks, and return the result.

    The work of earlier sessions is kept: it is rebuilt from the ledger. Ray is neither imported nor started if nothing
    is left to do.

    Args:
        run: the run directory, for ledger and rung checkpoints.
        shards: folder or URI of the feature shards.
        config: settings of the search.
        address: of a running Ray cluster; None starts Ray on this machine and stops it afterwards.
        on_progress: called with (trials that have reached a rung or ended, trials requested).
        ledger: the run's ledger, if the caller has already locked it.
        storage: the run's shared storage, locked by the caller; None keeps checkpoints in the run directory.
        earlier: directories of earlier runs, whose comparable trials inform this search.
        on_note: called with notes on presets and earlier runs.

    Raises:
        BudgetError: if no candidate meets the rules; nothing was started.
        DataError: if the shards cannot be read, or have too few locations for `search.inner_folds`.
        RunError: if every trial failed, the run has other settings, or another driver is working on it.
    """
    started = time.monotonic()
    manifest = read_manifest(shards)
    n_classes = len(manifest.classes)
    space = make_space(config.space, config.reader, manifest.spec, n_classes)
    assess = partial(candidate_sizing, config, manifest.spec, n_classes)
    require_feasible(space, assess)
    if config.search.inner_folds:
        require_parts(manifest, config.fold, config.search.inner_folds, key=INNER_FOLDS)
    with _opened(run, ledger) as log:
        location = run.checkpoints_dir if storage is None else storage.checkpoints
        checkpoints, reports = Checkpoints(location), RunningReports(location)
        if storage is not None:
            checkpoints.adopt(run.checkpoints_dir)
        state = _state(log, space, assess, config, manifest, checkpoints, on_progress)
        if on_progress is not None:
            on_progress(state.n_reported, config.search.n_trials)
        _warm_start(state, space, config, manifest, earlier, on_note)
        if not state.is_done:
            state.require_few_failures()
            if (first := state.next_trial()) is not None:
                reports.clear()
                with _session(log, config):
                    _train(state, first, config, shards, location, address, run.keep_failure)
        reports.clear()
        _remove_leftovers(checkpoints, state)
        state.require_success()
    return _outcome(state, time.monotonic() - started)


def _opened(run: RunDirectory, ledger: EventLog | None) -> AbstractContextManager[EventLog]:
    """Return the caller's ledger, or without one the run's, which is locked until the block ends."""
    return Ledger.open_for_writing(run.ledger_path) if ledger is None else nullcontext(ledger)


def _outcome(state: SearchState, seconds: float) -> SearchOutcome:
    states = ["paused" if state.is_paused(trial) else trial.state for trial in state.trials.values()]
    return SearchOutcome(
        n_trials=len(states),
        n_finished=states.count("finished"),
        n_stopped=states.count("stopped"),
        n_paused=states.count("paused"),
        n_failed=states.count("failed"),
        n_infeasible=state.n_infeasible,
        is_exhausted=state.is_exhausted,
        n_new=state.n_new,
        seconds=seconds,
    )


@contextmanager
def _session(ledger: EventLog, config: SearchSettings) -> Iterator[None]:
    """Write the start of a session with its expected trials, and its end with the reason; a kill leaves no end."""
    n_trials = config.search.n_trials
    expected = config.halving().expected_trials(n_trials)
    rungs = {"epochs": list(config.epochs), "folds": list(config.folds), "expected": expected}
    ledger.append("session_started", n_trials=n_trials, **rungs)
    try:
        yield
    except BaseException as error:
        with suppress(AscError):  # a full disk may be why the session ended
            ledger.append("session_ended", reason="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    ledger.append("session_ended", reason="done")


def _warm_start(
    state: SearchState,
    space: Space,
    config: SearchSettings,
    manifest: Manifest,
    earlier: Sequence[Path],
    on_note: Callable[[str], None],
) -> None:
    """Enter the presets of a new search, and the trials of earlier runs that are not entered yet."""
    named = {earlier_name(run): run for run in earlier}
    for name in named.keys() & state.warm_runs:
        on_note(f"{name}: already used by this search; trials it has trained since are ignored")
    runs = {name: run for name, run in named.items() if name not in state.warm_runs}
    presets = () if state.trials or state.is_warm else config.search.presets
    if not runs and not presets:
        return
    warm = read_warm_start(
        list(runs.values()),
        presets,
        space=space,
        describe=lambda params: trial_description(config, manifest.hash(), params)[1],
        recipe={
            **config.train.model_dump(mode="json"),
            **{f"{READER}{name}": value for name, value in config.reader.model_dump(mode="json").items()},
            "mode": config.search.mode,
        },
        data_hash=manifest.hash(),
        input_shape=config.reader.network_shape(manifest.spec),
        n_classes=len(manifest.classes),
        has_prior=config.search.strategy == "front",
    )
    for note in warm.notes:
        on_note(note)
    if warm.presets or warm.trials:
        state.warm_start(warm, list(runs))


def _state(
    ledger: EventLog,
    space: Space,
    assess: Assess,
    config: SearchSettings,
    manifest: Manifest,
    checkpoints: Checkpoints,
    on_progress: ProgressCallback | None,
) -> SearchState:
    search = config.search
    describe = partial(trial_description, config, manifest.hash())

    def on_change(trial: Trial, n_reported: int) -> None:
        """Delete an ended trial's checkpoint, and report the progress."""
        if trial.has_ended:
            checkpoints.remove(trial.trial_id)
        if on_progress is not None:
            on_progress(n_reported, search.n_trials)

    proposer = Proposer(
        space,
        assess,
        lambda params: describe(params)[0],
        seed=search.seed,
        n_startup=search.n_startup,
        strategy=search.strategy,
        objectives=config.objectives,
    )
    return SearchState(
        ledger,
        proposer,
        config.halving(),
        n_trials=search.n_trials,
        seed=search.seed,
        describe=describe,
        max_failed_share=search.max_failed_share,
        on_change=on_change,
    )


def _train(
    state: SearchState,
    first: Trial,
    config: SearchSettings,
    shards: Location,
    checkpoints: Location,
    address: str | None,
    keep_failure: KeepFailure,
) -> None:
    """Run trials, starting with `first`, until none is left."""
    from search.cluster.session import cluster_address, ray_session

    search = config.search
    n_concurrent = search.n_concurrent
    cluster = cluster_address(address)
    if n_concurrent is None and cluster is None:  # on a cluster Ray knows the size
        n_concurrent = max(1, available_cpus() // search.cpus_per_trial)
    n_cpus = search.cpus_per_trial * (n_concurrent or 1)
    if isinstance(checkpoints, Path):
        checkpoints.mkdir(parents=True, exist_ok=True)
    with ray_session(address, n_cpus), scratch_folder("asc-tune-") as storage:
        from search.cluster.nodes import require_gpus, require_shared_folder
        from search.tune.scheduler import SearchErrors
        from search.tune.searcher import ConstrainedSearcher
        from search.tune.trainable import SharedConfig

        if isinstance(checkpoints, Path):
            require_shared_folder(checkpoints)
        if cluster is None:  # a cluster may grow
            require_gpus(search.gpus_per_trial)
        shared = SharedConfig(
            shards=location_text(shards),
            checkpoints=location_text(checkpoints),
            fold=config.fold,
            reader=config.reader,
            rules=config.rules,
            rungs=config.epochs,
            inner_folds=search.inner_folds,
            seed=search.seed,
            cpus_per_trial=search.cpus_per_trial,
            gpus_per_trial=search.gpus_per_trial,
        )
        errors = SearchErrors()
        searcher = ConstrainedSearcher(state, first, shared.model_dump(mode="json"), n_concurrent)
        try:
            _tuner(searcher, state, errors, keep_failure, storage, search.max_failures).fit()
        except Exception:
            if errors.first is not None:
                raise errors.first from None
            raise
    if state.n_training:
        raise RunError(
            f"Ray ended with {state.n_training} trials unfinished. Finished work is kept: rerun the same command to "
            "resume."
        )


def _tuner(
    searcher: ConstrainedSearcher,
    state: SearchState,
    errors: SearchErrors,
    keep_failure: KeepFailure,
    storage: Path,
    max_failures: int,
) -> tune.Tuner:
    """Return Ray's tuner. It stores nothing of a trial: the ledger and the rung checkpoints do."""
    from ray import tune

    from search.tune.scheduler import LostTrials, RungScheduler
    from search.tune.trainable import SceneTrial

    return tune.Tuner(
        SceneTrial,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=RungScheduler(state, errors, keep_failure),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(storage),
            verbose=0,
            callbacks=[LostTrials(state, errors, keep_failure)],
            failure_config=tune.FailureConfig(max_failures=max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )


def _trial_name(trial: Any) -> str:
    return str(trial.config["trial_id"])


def _remove_leftovers(checkpoints: Checkpoints, state: SearchState) -> None:
    """Delete the checkpoints of ended trials that a crash left behind, and the folder if it is empty."""
    for trial_id in checkpoints.trial_ids():
        if trial_id in state.trials and state.trials[trial_id].has_ended:
            checkpoints.remove(trial_id)
    checkpoints.tidy()
