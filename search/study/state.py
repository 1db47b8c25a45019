"""The truth of a running sweep: proposals, rungs and ledger joined, rebuilt from the ledger's events alone.

Only the driver holds one. Ray's searcher, scheduler and callback are thin adapters that ask it (search/tune), so that
everything that decides can run, and be tested, without Ray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from data_prep.errors import RunError
from results.ledger.events import EndState
from search.halving import Halving
from search.objectives import Value
from search.space.sizing import Sizing
from search.space.space import Params
from search.strategies.proposer import Proposer
from search.strategies.warm_start import WarmStart, parse_warm_start
from search.study.trial import Trial

MEASURED = (
    *("macro_accuracy", "log_loss", "weight_bytes", "nonzero_weight_bytes", "file_bytes"),
    *("seconds", "train_seconds", "reading_seconds"),
)
"""What a trial tells at a rung, beside which rung it is."""
MIN_FAILED = 5
"""A sweep is not given up for its failures before this many trials have failed."""


class EventLog(Protocol):
    """What the sweep needs of a ledger."""

    def append(self, event: str, **fields: Any) -> None:
        """Write one event."""

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""


class SweepState:
    """Trials from proposal to end, every step written to the ledger before it counts."""

    def __init__(
        self,
        ledger: EventLog,
        proposer: Proposer,
        halving: Halving,
        *,
        n_trials: int,
        seed: int,
        describe: Callable[[Params], tuple[str, dict[str, Any]]],
        max_failed_share: float = 0.5,
        on_change: Callable[[Trial, int], None] = lambda trial, n_told: None,
    ) -> None:
        """Rebuild the sweep from `ledger`.

        Args:
            ledger: its events are the only memory.
            proposer: fresh; earlier trials are entered into it here.
            halving: fresh; earlier values are recorded here.
            n_trials: trials to begin in all, earlier ones included.
            seed: of every trial's training.
            describe: a point's ledger key and what is trained.
            max_failed_share: the sweep ends where more than this share of its trials has failed.
            on_change: told about every trial that has reached a rung or ended, and how many have.

        Raises:
            RunError: if the ledger's trials were trained on other data or by other settings.
        """
        self.trials: dict[str, Trial] = {}
        self.n_infeasible = 0
        self.warm_runs: set[str] = set()
        """Earlier runs whose trials are known here."""
        self.is_warm = False
        """Whether anything was known before the first trial."""
        self.n_new = 0
        """Trials that this session has begun, taken up or promoted."""
        self._ledger = ledger
        self._proposer = proposer
        self._halving = halving
        self._n_trials = n_trials
        self._seed = seed
        self._describe = describe
        self._max_failed_share = max_failed_share
        self._on_change = on_change
        self.is_exhausted = False
        """Whether no candidate was found that fits and is new."""
        proposer.on_infeasible = self.on_infeasible
        for event in ledger.events():
            self._replay(event)
        self._resumable = self._settle()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Pickle as nothing: Tune takes snapshots of whoever holds this, and none of them is ever restored."""
        return dict, ()

    @property
    def n_told(self) -> int:
        """Trials that have come to something: reached a rung, or ended."""
        return sum(bool(trial.values) or trial.state is not None for trial in self.trials.values())

    @property
    def n_training(self) -> int:
        """Trials that this session is training."""
        return sum(trial.is_training for trial in self.trials.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: as many trials begun as were asked for, and all that may go on has.

        Paused trials may be left: with more trials asked for they can be promoted later.
        """
        return (
            not self._resumable
            and not self.n_training
            and (self.is_exhausted or len(self.trials) >= self._n_trials)
            and not self._halving.promotable()
        )

    def warm_start(self, warm: WarmStart, runs: Sequence[str]) -> None:
        """Take up what is known before the first trial; later sessions find it in the ledger.

        Args:
            warm: networks to begin with, and earlier runs' trials.
            runs: names of these runs.
        """
        self._ledger.append("warm_start", runs=list(runs), **warm.fields())
        self._take_up(warm, runs)

    def next_trial(self) -> Trial | None:
        """Return the next trial for a process: interrupted ones, then an earlier session's promoted ones, then new.

        Its line is in the ledger when this returns. None where there is nothing now: something may come as long as
        `is_done` is false.
        """
        if self._resumable:
            return self._resume(self._resumable.pop(0))
        promotable = self._halving.promotable()
        for trial_id in promotable:
            if not self.trials[trial_id].is_handed_out:
                return self._promote(self.trials[trial_id])
        if promotable or self.is_exhausted or len(self.trials) >= self._n_trials:
            return None
        proposal = self._proposer.propose()
        if proposal is None:
            self.is_exhausted = True
            return None
        return self._begin(proposal.params, proposal.sizing)

    def config_of(self, trial: Trial) -> dict[str, Any]:
        """Return what a trial trains: what its key stands for. Made anew each time, for it is large."""
        assert trial.params is not None  # or it is not handed out
        return self._describe(trial.params)[1]

    def next_promotion(self) -> Trial | None:
        """Return the paused trial of this session that goes on now, or None; its line is in the ledger then."""
        for trial_id in self._halving.promotable():
            if self.trials[trial_id].is_handed_out:
                return self._promote(self.trials[trial_id])
        return None

    def on_rung(self, trial_id: str, rung: int, measured: Mapping[str, Any]) -> Trial:
        """Enter what a trial measured at `rung`; return the trial, whose `decision` and `state` say how it goes on."""
        trial = self.trials[trial_id]
        if rung != trial.next_rung:
            raise ValueError(f"trial {trial_id} tells of rung {rung}, but it was training to rung {trial.next_rung}")
        value = _value(measured, trial.macs)
        decision = self._halving.record(trial_id, rung, value)
        self._ledger.append(
            "rung",
            trial_id=trial_id,
            rung=rung,
            epochs=self._halving.epochs[rung],
            **{name: measured[name] for name in MEASURED},
            decision=decision,
        )
        trial.values[rung] = value
        trial.decision = decision
        self._proposer.observe(trial_id, self._halving.epochs[rung], value)
        if not self._end_as_decided(trial):
            self._on_change(trial, self.n_told)
        return trial

    def on_retry(self, trial_id: str, reason: str) -> None:
        """Note that a trial's process died and the trial is taken up again."""
        self._ledger.append("trial_retried", trial_id=trial_id, rung=self.trials[trial_id].next_rung, reason=reason)

    def on_failure(self, trial_id: str, reason: str) -> None:
        """Enter that a trial failed; the sweep goes on without it.

        Raises:
            RunError: if more than the allowed share of the trials has failed.
        """
        trial = self.trials[trial_id]
        if trial.state is None:
            self._halving.drop(trial_id)
            self._end(trial, "failed", reason)
        self.require_few_failures()

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

    def require_few_failures(self) -> None:
        """Raise RunError if more than the allowed share of the trials has failed, with the reasons."""
        n_failed = sum(trial.state == "failed" for trial in self.trials.values())
        if n_failed >= MIN_FAILED and n_failed > self._max_failed_share * len(self.trials):
            raise RunError(self._failure_summary())

    def require_success(self) -> None:
        """Raise RunError if trials have failed and none has ever reached a rung, with the reasons."""
        failed = any(trial.state == "failed" for trial in self.trials.values())
        if failed and not any(trial.values for trial in self.trials.values()):
            raise RunError(self._failure_summary())

    def _failure_summary(self) -> str:
        reasons = Counter(trial.reason or "unknown" for trial in self.trials.values() if trial.state == "failed")
        lines = "".join(f"\n  {count} × {reason}" for reason, count in reasons.most_common(5))
        return (
            f"{reasons.total()} of {len(self.trials)} trials have failed (search.max_failed_share allows "
            f"{self._max_failed_share:.0%}):{lines}\nMend that, then search in a new run directory, for a failed trial "
            "is not trained again; or go on here with a larger search.max_failed_share."
        )

    def _take_up(self, warm: WarmStart, runs: Sequence[str]) -> None:
        self.is_warm = True
        self.warm_runs.update(runs)
        for point in warm.presets:
            self._proposer.queue(point.params)
        for trial in warm.trials:
            self._proposer.observe_elsewhere(trial.params, trial.values)

    def _begin(self, params: Params, sizing: Sizing) -> Trial:
        key, config = self._describe(params)
        trial = Trial(f"t{len(self.trials) + 1:04d}", key, params, sizing.macs, is_handed_out=True)
        self._ledger.append(
            "trial_started",
            trial_id=trial.trial_id,
            key=key,
            params=params,
            config=config,
            seed=self._seed,
            n_params=sizing.n_params,
            macs=sizing.macs,
            peak_activation_bytes=sizing.peak_activation_bytes,
            weight_bytes=sizing.weight_bytes,
        )
        self.trials[trial.trial_id] = trial
        self._proposer.enter(trial.trial_id, params)
        self.n_new += 1
        return trial

    def _promote(self, trial: Trial) -> Trial:
        self._require_params(trial, "can be promoted")
        self._ledger.append("trial_promoted", trial_id=trial.trial_id, rung=trial.next_rung)
        self._halving.promote(trial.trial_id)
        trial.decision = "continue"
        self.n_new += not trial.is_handed_out
        trial.is_handed_out = True
        return trial

    def _resume(self, trial: Trial) -> Trial:
        self._require_params(trial, "was interrupted")
        self._ledger.append("trial_resumed", trial_id=trial.trial_id, rung=trial.next_rung)
        self.n_new += 1
        trial.is_handed_out = True
        return trial

    def _require_params(self, trial: Trial, what: str) -> None:
        if trial.params is None:
            raise RunError(
                f"trial {trial.trial_id} {what}, and its point is no longer in the space: take the run's own "
                "configuration, or a new run directory."
            )

    def _replay(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "infeasible":
            self.n_infeasible += 1
            params = self._proposer.space.parse(event["params"])
            if params is not None:
                self._proposer.mark_infeasible(params)
        elif kind == "warm_start":
            self._take_up(parse_warm_start(event, self._proposer.space), event["runs"])
        elif kind == "trial_started":
            self._replay_start(event)
        elif kind == "rung":
            self._replay_rung(event)
        elif kind == "trial_promoted":
            self._halving.promote(event["trial_id"])
            self.trials[event["trial_id"]].decision = "continue"
        elif kind == "trial_ended":
            trial = self.trials[event["trial_id"]]
            trial.state, trial.reason = event["state"], event.get("reason")
            if trial.state == "failed":
                self._halving.drop(trial.trial_id)
            if trial.params is not None:
                self._proposer.end(trial.trial_id, trial.state)

    def _replay_start(self, event: Mapping[str, Any]) -> None:
        params = self._proposer.space.parse(event["params"])
        if params is not None and self._describe(params)[0] != event["key"]:
            raise RunError(
                f"trial {event['trial_id']} of this run was trained on other data or by other settings (ledger key "
                f"{event['key']}, now {self._describe(params)[0]}): take the configuration and data of the run, or a "
                "new run directory."
            )
        trial = Trial(event["trial_id"], event["key"], params, event["macs"])
        self.trials[trial.trial_id] = trial
        if params is None:
            self._proposer.mark_seen(trial.key)
        else:
            self._proposer.enter(trial.trial_id, params)

    def _replay_rung(self, event: Mapping[str, Any]) -> None:
        trial, rung, epochs = self.trials[event["trial_id"]], event["rung"], event["epochs"]
        if self._halving.epochs[rung : rung + 1] != (epochs,):
            raise RunError(
                f"trial {trial.trial_id} of this run was compared at epoch {epochs}, which is not rung {rung} "
                f"of {list(self._halving.epochs)}: take the run's own search.min_epochs, or a new run directory."
            )
        value = _value(event, trial.macs)
        trial.values[rung] = value
        trial.decision = self._halving.record(trial.trial_id, rung, value)
        if trial.params is not None:
            self._proposer.observe(trial.trial_id, epochs, value)

    def _settle(self) -> list[Trial]:
        """Write the ends that a crash kept back, and return the interrupted trials."""
        open_trials = [trial for trial in self.trials.values() if trial.state is None]
        return [trial for trial in open_trials if not self._end_as_decided(trial) and not trial.is_paused]

    def _end_as_decided(self, trial: Trial) -> bool:
        """End `trial` if its last rung said so; return whether it did."""
        if trial.decision == "finish":
            self._end(trial, "finished", None)
        elif trial.decision == "stop":
            self._end(trial, "stopped", self._halving.reason(trial.trial_id))
        return trial.state is not None

    def _end(self, trial: Trial, state: EndState, reason: str | None) -> None:
        self._ledger.append("trial_ended", trial_id=trial.trial_id, state=state, reason=reason)
        trial.state, trial.reason = state, reason
        if trial.params is not None:
            self._proposer.end(trial.trial_id, state)
        self._on_change(trial, self.n_told)


def _value(measured: Mapping[str, Any], macs: int) -> Value:
    return Value(float(measured["macro_accuracy"]), float(measured["log_loss"]), int(measured["weight_bytes"]), macs)
