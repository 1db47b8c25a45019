"""Weights & Biases: one run per trial with its scores over epochs, and one per retrained candidate with its files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from data_prep.errors import ConfigError
from data_prep.schema import content_hash
from results.ledger.events import Event
from results.ledger.trial import Trial, Trials
from results.rundir import CandidateFiles, RunDirectory
from search.observers.base import candidate_facts, facts_of, finished_files

if TYPE_CHECKING:
    from wandb import Run

PROJECT = re.compile(r"(?:[\w.-]+/)?[\w .-]{1,128}")
API_KEY = re.compile(r"[0-9a-f]{40,}|wandb_v\d_\S+")
SENT = "epochs"
"""Summary value with the epochs of the last rung that was logged."""
SENT_CANDIDATES = "sent-candidates"
"""Begin of the name of a file that lists the candidates sent to a project: offline there is no server to ask."""


class WandbLog:
    """Keeps one run per trial, whose id follows from the ledger, so that later sessions continue it.

    A run is open while its trial trains. Trials without an event in this session are not sent again. With
    `WANDB_MODE=offline` everything is written to `RUN/wandb`, for `wandb sync`.
    """

    name = "wandb"

    def __init__(self, project: str, run: RunDirectory) -> None:
        """Check the project and that wandb is installed; nothing is sent yet.

        Args:
            project: PROJECT or ENTITY/PROJECT.
            run: the run directory; its name is the group of the runs.

        Raises:
            ConfigError: if wandb is not installed, or the name is not one of a project.
        """
        if API_KEY.fullmatch(project):
            raise ConfigError("--wandb: this is an API key, not a project; set it in the environment as WANDB_API_KEY")
        if not PROJECT.fullmatch(project):
            raise ConfigError(f"--wandb {project}: must be PROJECT or ENTITY/PROJECT; the server is WANDB_BASE_URL")
        if find_spec("wandb") is None:
            raise ConfigError("--wandb: wandb is not installed; install it with: pip install 'asc-search[wandb]'")
        self._entity, _, self._project = project.rpartition("/")
        self._root = run.root.absolute()  # while Ray starts, another folder is the current one
        self._begun: str | None = None
        self._trials = Trials()
        self._open: dict[str, Run] = {}
        self._sent: dict[str, int] = {}

    def begin(self, earlier: Sequence[Event]) -> None:
        """Read the events of earlier sessions."""
        for event in earlier:
            self._begun = self._begun or event["time"]
            self._trials.apply(event)

    def on_event(self, event: Event) -> None:
        """Send the change of the event's trial."""
        self._begun = self._begun or event["time"]
        trial = self._trials.apply(event)
        if trial is not None:
            self._send(trial)

    def close(self) -> None:
        """Finish the runs that are open."""
        for trial_id in list(self._open):
            self._open.pop(trial_id).finish()

    def send_candidates(self, events: Sequence[Event], candidates: Sequence[CandidateFiles]) -> None:
        """Send scores, sizes and files of the candidates that were not sent to this project before."""
        self._begun = events[0]["time"] if events else None
        import wandb

        sent_path = self._root / "wandb" / f"{SENT_CANDIDATES}-{self._entity}-{self._project}.txt"
        sent = set(sent_path.read_text(encoding="utf-8").split()) if sent_path.is_file() else set()
        for files in candidates:
            key = content_hash([self._begun, files.name, candidate_facts(files)])
            if key in sent:
                continue
            run = self._started(files.name, {}, job_type="candidate")
            try:
                run.summary.update(candidate_facts(files))
                artifact = wandb.Artifact(f"{self._root.name}-{files.name}", type="model")
                for path in finished_files(files):
                    artifact.add_file(str(path), name=path.name)
                run.log_artifact(artifact)
            finally:
                run.finish()
            sent_path.parent.mkdir(exist_ok=True)
            with sent_path.open("a", encoding="utf-8") as file:
                file.write(f"{key}\n")

    def _send(self, trial: Trial) -> None:
        run = self._open.get(trial.trial_id)
        if run is None:
            run = self._open[trial.trial_id] = self._started(trial.trial_id, trial.params, job_type="trial")
            run.define_metric("*", step_metric="epochs")
            self._sent.setdefault(trial.trial_id, int(run.summary.get(SENT) or 0))
        for epochs, score in sorted(trial.scores.items()):
            if epochs > self._sent[trial.trial_id]:
                run.log({"epochs": epochs, "macro_accuracy": score.macro_accuracy, "log_loss": score.log_loss})
        self._sent[trial.trial_id] = trial.epochs
        run.summary.update({**facts_of(trial), "state": trial.state})
        if trial.ended is not None or trial.state == "paused":
            self._open.pop(trial.trial_id).finish(exit_code=int(trial.state == "failed"))

    def _started(self, name: str, config: Mapping[str, Any], *, job_type: str) -> Run:
        """Open the run of a trial or candidate, the same one in every session."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # data are sent to the named server only
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
            raise ConfigError(
                "no API key for the server: run `wandb login` or set WANDB_API_KEY; WANDB_MODE=offline needs none"
            )
        # Runs of several trials are open at once; output, system metrics, code and machine are not theirs.
        settings = wandb.Settings(
            console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True
        )
        return wandb.init(
            project=self._project,
            entity=self._entity or None,
            group=self._root.name,
            job_type=job_type,
            name=name,
            id=content_hash([self._begun, name]),
            config={**config, "begun": self._begun},
            dir=self._root,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
