"""The truth of a running sweep: proposals, rungs and ledger joined, rebuilt from the ledger's events alone.

Only the driver holds one. Ray's searcher, scheduler and callback are thin adapters that ask it (search/searcher.py,
search/scheduler.py), so that everything that decides can run, and be tested, without Ray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from data_prep.errors import RunError
from search.proposer import EndState, Proposer, Sizing
from search.rungs import Decision, Rungs
from search.space import Params

MEASURED = ("macro_accuracy", "log_loss", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "seconds")
"""What a trial tells at a rung, beside which rung it is."""
MAX_FAILED_AT_FIRST = 5
"""Where this many trials have failed and none has reached a rung, the fault is not theirs: the sweep ends."""


class EventLog(Protocol):
    """What the sweep needs of a ledger."""

    def append(self, event: str, **fields: Any) -> None:
        """Write one event."""

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""


@dataclass(slots=True)
class Trial:
    """One candidate with one seed, as far as it has come."""

    trial_id: str
    key: str
    params: Params | None
    """Its point; None where an earlier session searched a space that this point has left since."""
    config: dict[str, Any]
    """What is trained: the key's description."""
    values: dict[int, tuple[float, float]] = field(default_factory=dict)
    """{rung: (macro_accuracy, log_loss)}."""
    state: EndState | None = None
    """How it ended; None while it has not."""
    reason: str | None = None
    number: int | None = None
    """Its trial in the study, in this session."""
    decision: Decision = "continue"
    """What its last rung decided."""

    @property
    def next_rung(self) -> int:
        """The rung it trains to next."""
        return max(self.values, default=-1) + 1


class SweepState:
    """Trials from proposal to end, every step written to the ledger before it counts."""

    def __init__(
        self,
        ledger: EventLog,
        proposer: Proposer,
        rungs: Rungs,
        *,
        n_trials: int,
        seed: int,
        describe: Callable[[Params], tuple[str, dict[str, Any]]],
        on_end: Callable[[Trial, int], None] = lambda trial, n_ended: None,
    ) -> None:
        """Rebuild the sweep from `ledger`.

        Args:
            ledger: its events are the only memory.
            proposer: fresh; earlier trials are entered into it here.
            rungs: fresh; earlier values are recorded here.
            n_trials: trials to train in all, earlier ones included.
            seed: of every trial's training.
            describe: a point's ledger key and what is trained.
            on_end: told about every trial that ends, and how many have.

        Raises:
            RunError: if the ledger's trials were trained on other data or by other settings.
        """
        self.trials: dict[str, Trial] = {}
        self.n_infeasible = 0
        self.n_new = 0
        self._ledger = ledger
        self._proposer = proposer
        self._rungs = rungs
        self._n_trials = n_trials
        self._seed = seed
        self._describe = describe
        self._on_end = on_end
        proposer.on_infeasible = self.on_infeasible
        for event in ledger.events():
            self._replay(event)
        self._resumable = self._settle()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Pickle as nothing: Tune takes snapshots of whoever holds this, and none of them is ever restored."""
        return dict, ()

    @property
    def n_ended(self) -> int:
        """Trials that have ended."""
        return sum(trial.state is not None for trial in self.trials.values())

    @property
    def is_done(self) -> bool:
        """Whether as many trials as were asked for have ended (a space may be exhausted before)."""
        return self.n_ended >= self._n_trials

    @property
    def n_running(self) -> int:
        """Trials handed out in this session that have not ended."""
        return sum(trial.state is None and trial.number is not None for trial in self.trials.values())

    def next_trial(self) -> Trial | None:
        """Return the next trial to train, interrupted ones first; None where there is nothing left to train.

        Its `trial_started` is in the ledger when this returns.
        """
        if self._resumable:
            return self._resume(self._resumable.pop(0))
        if len(self.trials) >= self._n_trials:
            return None
        proposal = self._proposer.propose()
        if proposal is None:
            return None
        key, config = self._describe(proposal.params)
        trial = Trial(f"t{len(self.trials) + 1:04d}", key, proposal.params, config, number=proposal.number)
        self._ledger.append(
            "trial_started",
            trial_id=trial.trial_id,
            key=key,
            params=proposal.params,
            config=config,
            seed=self._seed,
            n_params=proposal.sizing.n_params,
            macs=proposal.sizing.macs,
            weight_bytes=proposal.sizing.weight_bytes,
        )
        self.trials[trial.trial_id] = trial
        self.n_new += 1
        return trial

    def on_rung(self, trial_id: str, rung: int, measured: Mapping[str, Any]) -> bool:
        """Enter what a trial measured at `rung`; return whether it goes on."""
        trial = self.trials[trial_id]
        if rung != trial.next_rung:
            raise ValueError(f"trial {trial_id} tells of rung {rung}, but it was training to rung {trial.next_rung}")
        epochs = self._rungs.epochs[rung]
        self._ledger.append(
            "rung", trial_id=trial_id, rung=rung, epochs=epochs, **{name: measured[name] for name in MEASURED}
        )
        value = (float(measured["macro_accuracy"]), float(measured["log_loss"]))
        trial.values[rung] = value
        if trial.number is not None:
            self._proposer.report(trial.number, epochs, *value)
        trial.decision = self._rungs.record(trial_id, rung, *value)
        return not self._end_as_decided(trial)

    def on_failure(self, trial_id: str, reason: str) -> None:
        """Enter that a trial failed; the sweep goes on without it.

        Raises:
            RunError: if the first trials have all failed.
        """
        trial = self.trials[trial_id]
        if trial.state is None:
            self._end(trial, "failed", reason)
        if self.n_ended >= MAX_FAILED_AT_FIRST:
            self.require_success()

    def on_infeasible(self, params: Params, sizing: Sizing) -> None:
        """Enter a proposal that the rules forbid to train."""
        self.n_infeasible += 1
        self._ledger.append(
            "infeasible",
            params=params,
            weight_bytes=sizing.weight_bytes,
            n_params=sizing.n_params,
            macs=sizing.macs,
            limit=sizing.limit,
            reason=sizing.reason,
        )

    def require_success(self) -> None:
        """Raise RunError if trials have ended and every one of them failed, with the commonest reason."""
        reasons = Counter(trial.reason or "unknown" for trial in self.trials.values() if trial.state == "failed")
        if not reasons or any(trial.values for trial in self.trials.values()):
            return
        reason, count = reasons.most_common(1)[0]
        raise RunError(
            f"all {reasons.total()} trials so far have failed, {count} of them with: {reason}. Mend that, then search "
            "in a new run directory (a failed trial is not trained again)."
        )

    def _replay(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "infeasible":
            self.n_infeasible += 1
            params = self._proposer.space.parse(event["params"])
            if params is not None:
                self._proposer.mark_infeasible(params)
        elif kind == "trial_started":
            self._replay_start(event)
        elif kind == "rung":
            self._replay_rung(event)
        elif kind == "trial_ended":
            trial = self.trials[event["trial_id"]]
            trial.state, trial.reason = event["state"], event.get("reason")

    def _replay_start(self, event: Mapping[str, Any]) -> None:
        params = self._proposer.space.parse(event["params"])
        if params is not None and self._describe(params)[0] != event["key"]:
            raise RunError(
                f"trial {event['trial_id']} of this run was trained on other data or by other settings (ledger key "
                f"{event['key']}, now {self._describe(params)[0]}): take the configuration and data of the run, or a "
                "new run directory."
            )
        self.trials[event["trial_id"]] = Trial(event["trial_id"], event["key"], params, dict(event["config"]))
        self._proposer.mark_seen(event["key"])

    def _replay_rung(self, event: Mapping[str, Any]) -> None:
        trial, rung = self.trials[event["trial_id"]], event["rung"]
        if self._rungs.epochs[rung : rung + 1] != (event["epochs"],):
            raise RunError(
                f"trial {trial.trial_id} of this run was compared at epoch {event['epochs']}, which is not rung {rung} "
                f"of {list(self._rungs.epochs)}: take the run's own search.min_epochs, or a new run directory."
            )
        value = (event["macro_accuracy"], event["log_loss"])
        trial.values[rung] = value
        trial.decision = self._rungs.record(trial.trial_id, rung, *value)

    def _settle(self) -> list[Trial]:
        """Write the ends that a crash kept back, enter what has ended into the study, return the interrupted trials."""
        interrupted = []
        for trial in self.trials.values():
            if trial.state is None and not self._end_as_decided(trial):
                interrupted.append(trial)
            elif trial.state is not None and trial.params is not None:
                values = {self._rungs.epochs[rung]: value for rung, value in trial.values.items()}
                self._proposer.restore(trial.params, trial.state, values)
        return interrupted

    def _resume(self, trial: Trial) -> Trial:
        if trial.params is None:
            raise RunError(
                f"trial {trial.trial_id} was interrupted, and its point is no longer in the space: take the run's "
                "own configuration, or a new run directory."
            )
        trial.number = self._proposer.take(trial.params).number
        for rung, value in sorted(trial.values.items()):
            self._proposer.report(trial.number, self._rungs.epochs[rung], *value)
        self._ledger.append("trial_resumed", trial_id=trial.trial_id, rung=trial.next_rung)
        self.n_new += 1
        return trial

    def _end(self, trial: Trial, state: EndState, reason: str | None) -> None:
        self._ledger.append("trial_ended", trial_id=trial.trial_id, state=state, reason=reason)
        trial.state, trial.reason = state, reason
        if trial.number is not None:
            self._proposer.end(trial.number, state)
        self._on_end(trial, self.n_ended)

    def _end_as_decided(self, trial: Trial) -> bool:
        """End `trial` if its last rung said so; return whether it did."""
        if trial.decision == "continue":
            return False
        if trial.decision == "finish":
            self._end(trial, "finished", None)
            return True
        rung = max(trial.values)
        n, epochs = len(self._rungs.values(rung)), self._rungs.epochs[rung]
        self._end(
            trial,
            "stopped",
            f"not among the best 1/{self._rungs.eta} of the {n} trials that had reached epoch {epochs}",
        )
        return True
