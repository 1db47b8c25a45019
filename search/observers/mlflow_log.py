"""MLflow: one MLflow run per trial with its scores over epochs, and one per retrained candidate with its files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import ConfigError
from data_prep.store.object_stores import require_no_secrets
from results.ledger.events import Event
from results.ledger.trial import Trial, Trials
from results.rundir import CandidateFiles
from search.observers.base import candidate_facts, facts_of, finished_files

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "paused": "SCHEDULED"}
"""{state of a trial: MLflow's status}; unfinished trials that are not in training are SCHEDULED."""
TAG = "asc."


class MlflowLog:
    """Keeps one MLflow run per trial, identified by tags, so that a session resumes the runs of earlier ones."""

    name = "MLflow"

    def __init__(self, uri: str, experiment: str) -> None:
        """Check that MLflow is installed; nothing is sent yet.

        Args:
            uri: of the tracking server, or `sqlite:///FILE`.
            experiment: name of the experiment; created if it does not exist.

        Raises:
            ConfigError: if MLflow is not installed.
            DataError: if the URI contains credentials.
        """
        require_no_secrets(uri, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        if find_spec("mlflow") is None:
            raise ConfigError("--mlflow: MLflow is not installed; install it with: pip install 'asc-search[mlflow]'")
        self._uri = _absolute(uri)
        self._experiment = experiment
        self._begun: str | None = None
        self._trials = Trials()
        self._runs: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        """{trial_id: epochs of the last rung that was sent}."""
        self._client: MlflowClient | None = None
        self._experiment_id = ""

    def begin(self, earlier: Sequence[Event]) -> None:
        """Send what the server lacks."""
        self._connect()
        for event in earlier:
            self._note_begin(event)
            self._trials.apply(event)
        states = {}
        for run in self._own_runs() if earlier else ():
            trial_id = run.data.tags.get(f"{TAG}trial_id")
            if trial_id is None:  # a candidate's
                continue
            self._runs[trial_id], self._sent[trial_id] = run.info.run_id, int(run.data.tags.get(f"{TAG}epochs", 0))
            states[trial_id] = run.data.tags.get(f"{TAG}state")
        for trial in self._trials.values():
            if states.get(trial.trial_id) != trial.state or trial.epochs > self._sent.get(trial.trial_id, -1):
                self._send(trial, is_training=False)

    def on_event(self, event: Event) -> None:
        """Send the change of the event's trial."""
        self._note_begin(event)
        trial = self._trials.apply(event)
        if trial is not None:
            self._send(trial, is_training=True)

    def close(self) -> None:
        """Leave no run RUNNING."""
        for trial in self._trials.values():
            if trial.state == "running" and trial.trial_id in self._runs:
                self._send(trial, is_training=False)

    def send_candidates(self, events: Sequence[Event], candidates: Sequence[CandidateFiles]) -> None:
        """Send scores, sizes and files of the candidates that the server lacks."""
        self._begun = events[0]["time"] if events else None
        client = self._connect()
        known = {run.data.tags.get(f"{TAG}candidate"): run for run in self._own_runs()}
        for files in candidates:
            found = known.get(files.name)
            if found is not None and found.info.status == "FINISHED":
                continue
            names = {f"{TAG}candidate": files.name, f"{TAG}begun": self._begun}
            run = found or client.create_run(self._experiment_id, tags=names, run_name=files.name)
            for name, value in candidate_facts(files).items():
                client.log_metric(run.info.run_id, name, value)
            for path in finished_files(files):
                client.log_artifact(run.info.run_id, str(path))
            client.set_terminated(run.info.run_id)

    def _connect(self) -> MlflowClient:
        """Open the experiment, and create it if the server lacks it."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # data are sent to the named server only
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is for results
        from mlflow.tracking import MlflowClient

        self._client = client = MlflowClient(tracking_uri=self._uri)
        known = client.get_experiment_by_name(self._experiment)
        self._experiment_id = (
            known.experiment_id if known else client.create_experiment(self._experiment, _artifacts_of(self._uri))
        )
        return client

    def _note_begin(self, event: Event) -> None:
        """Store the time of the ledger's first event, which identifies the search: names of runs may be equal."""
        self._begun = self._begun or event["time"]

    def _own_runs(self) -> list[Run]:
        assert self._client is not None
        runs: list[Run] = []
        token = None
        while True:
            query = f"tags.`{TAG}begun` = '{self._begun}'"
            page = self._client.search_runs([self._experiment_id], query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _send(self, trial: Trial, *, is_training: bool) -> None:
        from mlflow.entities import Metric, Param, RunTag

        assert self._client is not None
        if trial.trial_id not in self._runs:
            names = {f"{TAG}trial_id": trial.trial_id, f"{TAG}begun": self._begun}
            run = self._client.create_run(
                self._experiment_id, _milliseconds(trial.started), tags=names, run_name=trial.trial_id
            )
            self._runs[trial.trial_id] = run.info.run_id
            params = [Param(name, _text(value)) for name, value in trial.params.items()]
            self._client.log_batch(run.info.run_id, params=params)
        run_id, sent = self._runs[trial.trial_id], self._sent.get(trial.trial_id, 0)
        metrics = [
            Metric(name, value, _milliseconds(None), epochs)
            for epochs, score in sorted(trial.scores.items())
            if epochs > sent
            for name, value in {**score._asdict(), "n_params": trial.n_params, "macs": trial.macs}.items()
            if value is not None
        ]
        facts = {**facts_of(trial), "state": trial.state}
        tags = [RunTag(f"{TAG}{name}", _text(value)) for name, value in facts.items() if value is not None]
        self._client.log_batch(run_id, metrics=metrics, tags=tags)
        self._sent[trial.trial_id] = trial.epochs
        status = STATUS.get(trial.state, "RUNNING" if is_training else "SCHEDULED")
        if trial.ended is not None:
            self._client.set_terminated(run_id, status, _milliseconds(trial.ended))
        else:
            self._client.update_run(run_id, status=status)


def _absolute(uri: str) -> str:
    """Return `uri` with an absolute path of a database file: while Ray starts, another folder is the current one."""
    database = uri.removeprefix("sqlite:///")
    return uri if database == uri else f"sqlite:///{Path(database).absolute()}"


def _artifacts_of(uri: str) -> str | None:
    """Return where an experiment in a database file keeps its files, next to it; None where the server decides."""
    database = uri.removeprefix("sqlite:///")
    return None if database == uri else (Path(database).absolute().parent / "mlflow-artifacts").as_uri()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _milliseconds(time: str | None) -> int:
    when = datetime.now().astimezone() if time is None else datetime.fromisoformat(time)
    return int(1000 * when.timestamp())
