"""Retraining in Ray tasks, in separate processes; the driver monitors, restarts and scores them."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asc_models.candidate import CandidateConfig
from asc_models.errors import ExportError
from asc_models.process import start_tensorflow
from data_prep.errors import AscError
from data_prep.files.scratch import scratch_folder
from data_prep.progress import ProgressCallback
from data_prep.store.store import Location, location_text, parse_location
from data_prep.wording import error_line
from data_prep.workers import available_cpus
from results.candidates.predictions import Predictions
from results.ledger.events import of_kind
from results.rundir import CandidateFiles, RunDirectory
from search.retrain.hooks import Hooks
from search.retrain.inner import keep_part, train_part
from search.retrain.job import TrainingJob
from search.retrain.mailbox import Mailbox
from search.retrain.store import StoredCandidate
from search.retrain.teaching import Teaching
from search.retrain.trained import Trained, read_trained
from search.retrain.training import score_candidate, train_candidate
from search.study.config import SearchConfig

POLL_S = 0.5
"""Interval in seconds at which the driver polls the trainings."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """A training that ended with an error."""

    reason: str
    traceback: str


@dataclass(frozen=True, slots=True)
class _Lost:
    """A training whose process or node died; it can resume from its checkpoint."""

    reason: str


def train_all(
    open_jobs: list[TrainingJob],
    jobs: list[TrainingJob],
    shards: Location,
    lent: SearchConfig,
    address: str | None,
    on_progress: ProgressCallback | None,
    *,
    only_parts: bool = False,
) -> list[str]:
    """Train and score `open_jobs`, of one or several runs; return one line per failed job.

    Teachers that are not finished are trained first. If one fails, none of `open_jobs` is trained.

    Args:
        open_jobs: unfinished jobs, in the order in which to start them.
        jobs: all jobs, for the progress.
        shards: folder of the prepared features.
        lent: resources of each training: `cpus_per_trial`, `gpus_per_trial`, `max_failures`.
        address: address of a running Ray cluster; None starts Ray on this machine.
        on_progress: called with (epochs done, total epochs).
        only_parts: train only the parts of the inner cross-validations, and no candidate; no test split is read.
    """
    teachers = list({one.key: one for job in jobs for one in job.teachers}.values())
    trainings = [one for job in (*teachers, *jobs) for one in ((() if only_parts else (job,)) + tuple(job.parts))]
    fleet = _Fleet(trainings, shards, lent, on_progress)
    needed = {one.key for job in open_jobs for one in job.teachers if not one.files.is_finished}
    for wave in ([one for one in teachers if one.key in needed], open_jobs):
        if not fleet.failures and (left := fleet.left(wave, only_parts=only_parts)):
            fleet.train(left, address)
    return fleet.failures


class _Fleet:
    """The driver of the trainings of one call."""

    def __init__(
        self,
        trainings: list[TrainingJob],
        shards: Location,
        lent: SearchConfig,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.failures: list[str] = []
        self._shards = shards
        self._lent = lent
        self._on_progress = on_progress
        self._n_epochs = sum(training.config.n_epochs for training in trainings)
        self._epochs = {one.key: one.config.n_epochs if one.is_done else 0 for one in trainings}
        self._trainings = {one.key: one for one in trainings}
        self._has_folds = len({one.config.fold for one in trainings}) > 1
        self._trained: dict[str, Trained] = {}
        self._begun = _begun(trainings)
        self._n_lost: dict[str, int] = {}

    def left(self, jobs: list[TrainingJob], *, only_parts: bool) -> list[TrainingJob]:
        """Return the trainings that unfinished `jobs` lack, after scoring those that lack nothing else."""
        if only_parts:
            return [part for job in jobs for part in job.parts if not part.is_done]
        for job in jobs:
            self.settle(job)  # an earlier call may have been killed between training and scoring
        unscored = [job for job in jobs if not job.files.is_finished]
        # A trained candidate that only lacks parts is not trained again.
        left = [job for job in unscored if read_trained(job.files) is None or all(part.is_done for part in job.parts)]
        return left + [part for job in unscored for part in job.parts if not part.is_done]

    def train(self, jobs: list[TrainingJob], address: str | None) -> None:
        """Train and score `jobs`."""
        from search.cluster.session import cluster_address, ray_session

        n_cpus, n_gpus = self._lent.cpus_per_trial, self._lent.gpus_per_trial
        with ray_session(address, max(n_cpus, min(available_cpus(), n_cpus * len(jobs)))):
            import ray

            from search.cluster.nodes import require_gpus, require_shared_folder

            if jobs[0].storage is None:
                folder = jobs[0].files.root.parent
                folder.mkdir(parents=True, exist_ok=True)
                require_shared_folder(folder)
            if cluster_address(address) is None:  # a cluster may scale up
                require_gpus(n_gpus)
            self._mailbox = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Mailbox).remote()
            # Ray's own retries are not recorded; instead, lost trainings are restarted below, with a ledger event.
            self._task = ray.remote(
                num_cpus=n_cpus, num_gpus=n_gpus, max_retries=0, runtime_env=_process_kind(n_cpus, n_gpus)
            )(_train_in_worker)
            self._pending = {self._begin(job): job for job in jobs}
            while self._pending:
                done, _ = ray.wait(list(self._pending), num_returns=1, timeout=POLL_S)
                self._take_mail(ray.get(self._mailbox.take.remote()))
                for reference in done:
                    self._end(self._pending.pop(reference), _result(reference))
                if self._on_progress is not None:
                    self._on_progress(sum(self._epochs.values()), self._n_epochs)

    def settle(self, job: TrainingJob) -> None:
        """Score a candidate if it and every part of its inner cross-validation are trained."""
        trained = self._trained.get(job.key) or read_trained(job.files)
        if trained is not None and all(part.is_done for part in job.parts):
            self._finish(job, trained)

    def _finish(self, job: TrainingJob, trained: Trained) -> None:
        """Score a trained candidate. Each read of the test split is recorded in the ledger first."""
        name = job.files.name

        def on_read(split: str) -> None:
            """Record the read of a split that must not be used for selection."""
            if split != "validation":
                job.ledger.append("test_read", candidate=name, split=split)

        stored = _stored(job)
        try:
            if stored is not None and read_trained(job.files) != trained:
                stored.pull_trained(job.files)
            score_candidate(job.config, self._shards, job.files, trained, on_read=on_read)
            if stored is not None:
                stored.push_finished(job.files)
        except ExportError as error:
            self._fail(job, str(error), traceback.format_exc())
            return
        self._epochs[job.key] = job.config.n_epochs
        job.ledger.append("candidate_finished", candidate=name)

    def _begin(self, job: TrainingJob) -> Any:
        config = job.config
        if job.key not in self._begun:
            job.ledger.append(
                "candidate_started",
                candidate=job.name,
                trial_id=config.trial_id,
                seed=config.seed,
                epochs=config.train.epochs,
                splits=config.splits,
            )
        if job.test_every and not job.part:
            job.ledger.append("test_read", candidate=job.name, split="test")
        return self._task.remote(
            job.key,
            config.model_dump(mode="json"),
            job.part,
            location_text(self._shards),
            None if job.storage is None else location_text(job.storage.candidate(job.name)),
            self._mailbox,
            self._lent.cpus_per_trial,
            job.teaching,
            job.test_every,
        )

    def _take_mail(self, mail: tuple[dict[str, int], dict[str, int]]) -> None:
        """Update the progress of the trainings, and record those that resumed from a checkpoint."""
        epochs, begun_at = mail
        self._epochs |= epochs
        for key, epoch in begun_at.items():
            if key in self._begun:
                job = self._trainings[key]
                job.ledger.append("candidate_resumed", candidate=job.name, epoch=epoch)
            self._begun.add(key)

    def _end(self, job: TrainingJob, result: Trained | Predictions | _Lost | _Failed) -> None:
        key = job.key
        if isinstance(result, Trained):
            self._trained[key] = result
            self.settle(job)
        elif isinstance(result, Predictions):
            self._keep_part(job, result)
            self.settle(replace(job, part=0))
        elif isinstance(result, _Failed):
            self._fail(job, result.reason, result.traceback)
        elif self._n_lost.get(key, 0) < self._lent.max_failures:
            self._n_lost[key] = self._n_lost.get(key, 0) + 1
            job.ledger.append("candidate_retried", candidate=job.name, reason=result.reason)
            self._begun.add(key)
            self._pending[self._begin(job)] = job
        else:
            self._fail(job, result.reason, result.reason)

    def _keep_part(self, job: TrainingJob, predictions: Predictions) -> None:
        """Keep what a part has predicted, in the run directory and the shared storage."""
        if job.storage is not None:
            StoredCandidate(job.storage.candidate(job.name)).pull_network(job.own_files)
        keep_part(job.config, job.own_files, predictions)
        if (stored := _stored(job)) is not None:
            stored.push_part(job.files, job.part)
        self._epochs[job.key] = job.config.n_epochs
        job.ledger.append("candidate_finished", candidate=job.name)

    def _fail(self, job: TrainingJob, reason: str, text: str) -> None:
        RunDirectory(job.ledger.path.parent).keep_failure(job.name, text)
        job.ledger.append("candidate_failed", candidate=job.name, reason=reason)
        where = f"fold {job.config.fold}, " if self._has_folds else ""
        self.failures.append(f"{where}{job.name}: {reason}")


def _stored(job: TrainingJob) -> StoredCandidate | None:
    """Return the job's candidate in shared storage; None if it has none."""
    return None if job.storage is None else StoredCandidate(job.storage.candidate(job.files.name))


def _begun(trainings: list[TrainingJob]) -> set[str]:
    """Return the keys of the trainings that an earlier call has started."""
    names = {
        job.ledger.path: {event["candidate"] for event in of_kind(job.ledger.events(), "candidate_started")}
        for job in {job.ledger.path: job for job in trainings}.values()
    }
    return {job.key for job in trainings if job.name in names[job.ledger.path]}


def _process_kind(n_cpus: int, n_gpus: float) -> dict[str, Any]:
    """Return Ray's settings for processes that train with these resources.

    A process trains one candidate after another: TensorFlow takes seconds to start. Its threads and GPUs are fixed by
    then, so that processes for other resources are others, which Ray tells apart by their environment.
    """
    is_usual = (n_cpus, n_gpus) == (1, 0)
    return {} if is_usual else {"env_vars": {"ASC_RESOURCES": f"{n_cpus} CPUs, {n_gpus} GPUs"}}


def _result(reference: Any) -> Trained | Predictions | _Lost | _Failed:
    """Return the result of a training, or why it failed."""
    import ray

    try:
        result: Trained | Predictions | _Failed = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return _Failed(error_line(error.cause), str(error))
    except ray.exceptions.RayError as error:
        return _Lost(f"its process died: {str(error).splitlines()[0]}")
    return result


def _train_in_worker(
    root: str,
    config: dict[str, Any],
    part: int,
    shards: str,
    stored: str | None,
    mailbox: Any,
    n_cpus: int,
    teaching: Teaching | None,
    test_every: int,
) -> Trained | Predictions | _Failed:
    """Train one candidate, or one part of it, into the folder `root` in a separate process.

    Returns the result, or why it failed.

    With shared storage, it trains in a temporary folder and uploads its files and checkpoints.
    """
    start_tensorflow(n_cpus)
    import keras

    keras.backend.clear_session()  # what the process's training before has left
    parsed = CandidateConfig.model_validate(config)

    reporting = Hooks(
        on_start=lambda epoch: mailbox.begin.remote(root, epoch),
        on_epoch=lambda epoch: mailbox.put.remote(root, epoch),
    )

    def train(files: CandidateFiles, hooks: Hooks) -> Trained | Predictions:
        """Train into `files`."""
        if part:
            return train_part(parsed, part, shards, files, teaching=teaching, hooks=hooks)
        return train_candidate(parsed, shards, files, teaching=teaching, test_every=test_every, hooks=hooks)

    try:
        if stored is None:
            return train(CandidateFiles(Path(root)), reporting)
        with scratch_folder("asc-retrain-") as folder:
            files, shared = CandidateFiles(folder / Path(root).name), StoredCandidate(parse_location(stored))
            shared.pull_checkpoint(files)
            saving = replace(
                reporting,
                on_save=lambda: shared.push_checkpoint(files),
                on_device=lambda: shared.push_devices(files),
            )
            trained = train(files, saving)
            if part:
                shared.push_network(files)
            else:
                shared.push_trained(files)
            return trained
    except AscError as error:
        return _Failed(str(error), traceback.format_exc())
