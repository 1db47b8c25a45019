"""The best candidates of the search, and systems given by name, trained at full length, side by side in Ray tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asc_models.config import TrainConfig
from asc_models.errors import ExportError
from asc_models.estimate import estimate
from asc_models.families import parse_network
from data_prep.errors import AscError, BudgetError, RunError
from data_prep.manifest import Manifest, read_manifest
from data_prep.progress import ProgressCallback
from data_prep.store import Location, location_text
from results.candidates import read_metrics
from results.ledger import Ledger
from results.rundir import CandidateFiles, RunDirectory
from search.candidate_config import CandidateConfig
from search.candidate_training import Trained, score_candidate, train_candidate
from search.config import RunConfig
from search.tuner import available_cpus

POLL_S = 0.5
"""How often the driver looks after the trainings."""


@dataclass(frozen=True)
class RetrainOutcome:
    """What retraining has come to."""

    n_candidates: int
    """Finished candidates, earlier calls' included."""
    n_new: int
    """Of these, trained now."""
    exports: tuple[str, ...]
    """What came of the exports, a line for each candidate that was trained now."""
    failures: tuple[str, ...]
    """What went wrong, a line for each candidate that failed."""
    seconds: float


@dataclass(frozen=True)
class _Job:
    config: CandidateConfig
    files: CandidateFiles


def retrain(
    run: RunDirectory,
    config: RunConfig,
    *,
    shards: Location,
    ledger: Ledger,
    address: str | None = None,
    on_progress: ProgressCallback | None = None,
) -> RetrainOutcome:
    """Train what `config.retrain` asks for and the run doesn't have yet.

    Args:
        run: takes the candidates.
        config: the run's configuration.
        shards: folder of the prepared features.
        ledger: the run's, open for writing.
        address: of a running Ray cluster; None starts Ray on this machine.
        on_progress: told (epochs done, epochs in all).

    Raises:
        BudgetError: if a system given by name is over the limit; nothing was trained.
        RunError: if there is nothing to train, or every training failed.
    """
    started = time.monotonic()
    manifest = read_manifest(shards)
    jobs = _jobs(run, config, manifest, ledger)
    open_jobs = [job for job in jobs if not job.files.is_finished]
    failures = _train_all(open_jobs, jobs, shards, ledger, address, on_progress) if open_jobs else []
    n_finished = sum(job.files.is_finished for job in jobs)
    if not n_finished:
        raise RunError("every training failed:\n" + "\n".join(f"  {line}" for line in failures))
    return RetrainOutcome(
        n_candidates=n_finished,
        n_new=sum(job.files.is_finished for job in open_jobs),
        exports=tuple(_export_line(job) for job in open_jobs if job.files.is_finished),
        failures=tuple(failures),
        seconds=time.monotonic() - started,
    )


def _export_line(job: _Job) -> str:
    metrics = read_metrics(job.files.metrics_path)
    agreement, seconds = metrics.agreement, metrics.export_seconds
    return (
        f"{job.files.name}: exported as {metrics.mode} in {seconds or 0:.1f} s, {metrics.weight_bytes:,} weight bytes; "
        f"chooses as its network does on {agreement or 0:.2%} of validation"
    )


def best_trials(events: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Return the `trial_started` events of the `n` best trials: furthest rung first, then macro accuracy, log loss.

    A trial that was stopped early comes behind every one that went further, whatever its value: that is of a shorter
    training. Where fewer than `n` finished, the best of the stopped ones fill up.
    """
    started = {event["trial_id"]: event for event in events if event["event"] == "trial_started"}
    reached: dict[str, tuple[float, float, float]] = {}
    for event in events:
        if event["event"] == "rung":
            reached[event["trial_id"]] = (event["epochs"], event["macro_accuracy"], -event["log_loss"])
    failed = {event["trial_id"] for event in events if event["event"] == "trial_ended" and event["state"] == "failed"}
    ranked = sorted(set(reached) - failed, key=lambda trial_id: (reached[trial_id], trial_id), reverse=True)
    return [started[trial_id] for trial_id in ranked[:n]]


def _jobs(run: RunDirectory, config: RunConfig, manifest: Manifest, ledger: Ledger) -> list[_Job]:
    """Return every training that the configuration asks for, the longest first."""
    wanted = config.retrain
    networks: list[tuple[str, str | None, Any, TrainConfig]] = [
        (system.name, None, system.network, config.train.updated(epochs=system.epochs or config.train.epochs))
        for system in wanted.systems
    ]
    for event in best_trials(ledger.events(), wanted.n_candidates):
        network = parse_network(event["config"]["model"])
        own = TrainConfig.model_validate({**event["config"]["train"], "epochs": config.train.epochs})
        networks.append((event["trial_id"], event["trial_id"], network, own))
    if not networks:
        raise RunError(
            "there is nothing to retrain: the search has no trial that reached a rung, and retrain.systems names none"
        )
    jobs = []
    for seed in wanted.seeds:
        for name, trial_id, network, train in networks:
            _require_feasible(name, network, config, manifest)
            candidate = CandidateConfig(
                name=name,
                trial_id=trial_id,
                model=network,
                train=train,
                features=manifest.spec,
                reader=config.reader,
                classes=manifest.classes,
                mode=wanted.mode,
                checkpoint=wanted.checkpoint,
                seed=seed,
                fold=config.fold,
                data_hash=manifest.hash(),
            )
            jobs.append(_Job(candidate, run.candidate(name, seed)))
    return sorted(jobs, key=lambda job: -_cost(job, manifest))


def _cost(job: _Job, manifest: Manifest) -> int:
    config = job.config
    return config.train.epochs * estimate(config.model, config.reader.input_shape(manifest.spec), 2).macs


def _require_feasible(name: str, network: Any, config: RunConfig, manifest: Manifest) -> None:
    cost = estimate(network, config.reader.input_shape(manifest.spec), len(manifest.classes))
    verdict = cost.verdict(config.rules, config.retrain.mode)
    if not verdict.feasible:
        raise BudgetError(
            f"{name} is over the limit as {config.retrain.mode}: {verdict.reason}. Narrow that layer, lower the "
            "expansion, or choose a smaller retrain.mode."
        )


def _train_all(
    open_jobs: list[_Job],
    jobs: list[_Job],
    shards: Location,
    ledger: Ledger,
    address: str | None,
    on_progress: ProgressCallback | None,
) -> list[str]:
    from search.ray_session import ray_session

    n_epochs = sum(job.config.train.epochs for job in jobs)
    epochs = {job.files.name: job.config.train.epochs if job.files.is_finished else 0 for job in jobs}
    failures = []
    with ray_session(address, min(available_cpus(), len(open_jobs))):
        import ray

        mailbox = ray.remote(num_cpus=0)(_Mailbox).remote()
        train = ray.remote(num_cpus=1, max_calls=1, max_retries=2)(_train_in_worker)
        pending = {}
        for job in open_jobs:
            ledger.append(
                "candidate_started", candidate=job.files.name, trial_id=job.config.trial_id, seed=job.config.seed
            )
            config = job.config.model_dump(mode="json")
            pending[train.remote(config, location_text(shards), str(job.files.root.absolute()), mailbox)] = job
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=POLL_S)
            epochs |= ray.get(mailbox.take.remote())
            for reference in done:
                job = pending.pop(reference)
                failure = _finish(job, _result(reference), shards, ledger)
                if failure is not None:
                    failures.append(f"{job.files.name}: {failure}")
            if on_progress is not None:
                on_progress(sum(epochs.values()), n_epochs)
    return failures


def _finish(job: _Job, result: Trained | str, shards: Location, ledger: Ledger) -> str | None:
    """Score what was trained; return why the candidate failed, or None. Every reading of test is a line first."""
    name = job.files.name

    def on_read(split: str) -> None:
        """Note a reading of a split that nothing may be chosen by."""
        if split != "validation":
            ledger.append("test_read", candidate=name, split=split)

    failure = result if isinstance(result, str) else None
    if not isinstance(result, str):
        try:
            score_candidate(job.config, shards, job.files, result, on_read=on_read)
        except ExportError as error:
            failure = str(error)
    if failure is None:
        ledger.append("candidate_finished", candidate=name)
    else:
        ledger.append("candidate_failed", candidate=name, reason=failure)
    return failure


class _Mailbox:
    """An actor that holds how far the trainings are until the driver asks.

    They tell without waiting: a task that waits for a Ray call gives its processor back meanwhile, and Ray would start
    another training on it.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def put(self, candidate: str, epoch: int) -> None:
        """Keep the number of epochs that a candidate has finished."""
        self._epochs[candidate] = epoch

    def take(self) -> dict[str, int]:
        """Return {candidate: finished epochs}."""
        return self._epochs


def _result(reference: Any) -> Trained | str:
    """Return what a training came to, or why it failed."""
    import ray

    try:
        result: Trained | str = ray.get(reference)
    except ray.exceptions.RayError as error:
        return f"its process died: {str(error).splitlines()[0]}"
    return result


def _train_in_worker(config: dict[str, Any], shards: str, root: str, mailbox: Any) -> Trained | str:
    """Train one candidate in a process of its own; return what it came to, or why it failed."""
    from asc_models.training import limit_threads

    limit_threads(1)
    files = CandidateFiles(Path(root))
    try:
        return train_candidate(
            CandidateConfig.model_validate(config),
            shards,
            files,
            on_epoch=lambda epoch: mailbox.put.remote(files.name, epoch),
        )
    except AscError as error:
        return str(error)
