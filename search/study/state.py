"""The state of a search: proposals, rungs and ledger, rebuilt from the ledger's events alone.

Only the driver has one. Ray's searcher, scheduler and callback are thin adapters around it (search/tune), so that all
decisions can be run and tested without Ray.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from data_prep.errors import RunError
from results.ledger.events import OF_TRIALS, EndState, Event, EventKind, RungMeasurements, is_kind
from results.ledger.trial import Trial, Trials
from search.halving import Decision, Halving
from search.objectives import Value
from search.space.sizing import Sizing
from search.space.space import Params
from search.strategies.proposer import Proposer
from search.strategies.warm_start import WarmStart, parse_warm_start

WORST_LOG_LOSS = 34.6
"""Log loss of a clip in nats if its scene has the probability 0, which is clipped."""
MIN_FAILED = 5
"""Failed trials below which a search is not ended for its failures."""


class EventLog(Protocol):
    """The interface of a ledger that a search needs."""

    def append(self, event: EventKind, **fields: Any) -> None:
        """Write one event."""

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""


class SearchState:
    """Trials from proposal to end. Every step is written to the ledger before it takes effect."""

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
        on_change: Callable[[Trial, int], None] = lambda trial, n_reported: None,
    ) -> None:
        """Rebuild the search from `ledger`.

        Args:
            ledger: its events are the only memory of the search.
            proposer: without trials; those of the ledger are entered here.
            halving: without values; those of the ledger are recorded here.
            n_trials: total number of trials to start, including earlier ones.
            seed: random seed of every trial's training.
            describe: returns a point's ledger key and configuration.
            max_failed_share: the search ends when more than this share of its trials has failed.
            on_change: called with every trial that has reached a rung or ended, and their number.

        Raises:
            RunError: if the ledger's trials were trained on other data or with other settings.
        """
        self.trials = Trials()
        self._decisions: dict[str, Decision] = {}
        """Decision at the last rung of each trial; `continue` again once it is promoted."""
        self._reported: set[str] = set()
        """Trials that have reached a rung or ended."""
        self._handed_out: set[str] = set()
        """Trials whose training this session has started."""
        self.n_infeasible = 0
        self.warm_runs: set[str] = set()
        """Earlier runs whose trials inform this search."""
        self.is_warm = False
        """Whether the search had presets or earlier trials before its first trial."""
        self.n_new = 0
        """Trials that this session has started, resumed or promoted."""
        self._ledger = ledger
        self._proposer = proposer
        self._halving = halving
        self._n_trials = n_trials
        self._seed = seed
        self._describe = describe
        self._max_failed_share = max_failed_share
        self._on_change = on_change
        self.is_exhausted = False
        """Whether the last proposal failed: no candidate was found that fits and is new."""
        proposer.on_infeasible = self.on_infeasible
        for event in ledger.events():
            self._replay(event)
        self._resumable = self._settle()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Pickle as an empty dictionary: Tune pickles its searcher and scheduler, but nothing is restored from that."""
        return dict, ()

    @property
    def n_reported(self) -> int:
        """Number of trials that have reached a rung or ended."""
        return len(self._reported)

    @property
    def n_training(self) -> int:
        """Number of trials that this session is training."""
        return sum(self.is_training(trial) for trial in self.trials.values())

    def is_training(self, trial: Trial) -> bool:
        """Return whether this session is training a trial."""
        return trial.trial_id in self._handed_out and self._is_open(trial, "continue")

    def is_paused(self, trial: Trial) -> bool:
        """Return whether a trial waits for a promotion."""
        return self._is_open(trial, "pause")

    def _is_open(self, trial: Trial, decision: Decision) -> bool:
        return not trial.has_ended and self._decisions.get(trial.trial_id, "continue") == decision

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: all requested trials have started, and none can be resumed or promoted.

        Paused trials may remain; they can be promoted once more trials are requested.
        """
        return (
            not self._resumable
            and not self.n_training
            and (self.is_exhausted or len(self.trials) >= self._n_trials)
            and not self._halving.promotable()
        )

    def warm_start(self, warm: WarmStart, runs: Sequence[str]) -> None:
        """Enter presets and earlier runs' trials, and write them to the ledger for later sessions.

        Args:
            warm: presets to propose first, and earlier runs' trials.
            runs: names of these runs.
        """
        self._ledger.append("warm_start", runs=list(runs), **warm.fields())
        self._apply_warm_start(warm, runs)

    def next_trial(self) -> Trial | None:
        """Return the next trial to train: an interrupted one, else one promoted from earlier sessions, else a new one.

        Its event is in the ledger on return. None if there is no trial now; there may be one later, until `is_done`.
        """
        if self._resumable:
            return self._resume(self._resumable.pop(0))
        promotable = self._halving.promotable()
        for trial_id in promotable:
            if trial_id not in self._handed_out:
                return self._promote(self.trials[trial_id])
        if promotable or self.is_exhausted or len(self.trials) >= self._n_trials:
            return None
        proposal = self._proposer.propose()
        if proposal is None:
            self.is_exhausted = True
            return None
        return self._begin(proposal.params, proposal.sizing)

    def config_of(self, trial: Trial) -> dict[str, Any]:
        """Return the configuration of a trial. It is large, so it is not kept but computed on each call."""
        point = self._proposer.point_of(trial.trial_id)
        assert point is not None  # otherwise the trial would not have been started
        return self._describe(point)[1]

    def next_promotion(self) -> Trial | None:
        """Return the paused trial of this session to continue now, its event in the ledger; None if there is none."""
        for trial_id in self._halving.promotable():
            if trial_id in self._handed_out:
                return self._promote(self.trials[trial_id])
        return None

    def on_rung(self, trial_id: str, rung: int, measured: Mapping[str, Any]) -> Trial:
        """Enter what a trial measured at `rung`; return the trial, which then has ended, is paused, or continues."""
        trial = self.trials[trial_id]
        if rung != trial.next_rung:
            raise ValueError(f"trial {trial_id} reported rung {rung}, but was training to rung {trial.next_rung}")
        value, epochs = _value(measured, trial), self._halving.epochs[rung]
        decision = self._halving.record(trial_id, rung, value)
        fields = {name: measured[name] for name in RungMeasurements.__annotations__}
        self._write("rung", trial_id, rung=rung, epochs=epochs, **fields, decision=decision)
        self._decisions[trial_id] = decision
        self._proposer.observe(trial_id, epochs, value)
        if not self._end_as_decided(trial):
            self._on_change(trial, self.n_reported)
        return trial

    def on_retry(self, trial_id: str, reason: str) -> None:
        """Enter that a trial's process died and the trial is resumed."""
        self._write("trial_retried", trial_id, rung=self.trials[trial_id].next_rung, reason=reason)

    def on_failure(self, trial_id: str, reason: str) -> None:
        """Enter that a trial failed; the search continues without it.

        Raises:
            RunError: if more than the allowed share of the trials has failed.
        """
        trial = self.trials[trial_id]
        if not trial.has_ended:
            self._halving.drop(trial_id)
            self._end(trial, "failed", reason)
        self.require_few_failures()

    def on_infeasible(self, params: Params, sizing: Sizing) -> None:
        """Enter a proposal that does not meet the rules."""
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
        """Raise RunError with the reasons if more than the allowed share of the trials has failed."""
        n_failed = sum(trial.state == "failed" for trial in self.trials.values())
        if n_failed >= MIN_FAILED and n_failed > self._max_failed_share * len(self.trials):
            raise RunError(self._failure_summary())

    def require_success(self) -> None:
        """Raise RunError with the reasons if trials have failed and none has ever reached a rung."""
        failed = any(trial.state == "failed" for trial in self.trials.values())
        if failed and not any(trial.rung >= 0 for trial in self.trials.values()):
            raise RunError(self._failure_summary())

    def _failure_summary(self) -> str:
        reasons = Counter(trial.reason or "unknown" for trial in self.trials.values() if trial.state == "failed")
        lines = "".join(f"\n  {count} × {reason}" for reason, count in reasons.most_common(5))
        return (
            f"{reasons.total()} of {len(self.trials)} trials have failed (search.max_failed_share allows "
            f"{self._max_failed_share:.0%}):{lines}\nFix the cause and search in a new run directory, as failed trials "
            "are not repeated; or continue here with a larger search.max_failed_share."
        )

    def _apply_warm_start(self, warm: WarmStart, runs: Sequence[str]) -> None:
        self.is_warm = True
        self.warm_runs.update(runs)
        for point in warm.presets:
            self._proposer.queue(point.params)
        others: dict[str, list[tuple[Params, Mapping[int, Value]]]] = defaultdict(list)
        for trial in warm.trials:
            if trial.is_comparable:
                self._proposer.observe_elsewhere(trial.params, trial.values)
            else:
                others[trial.run].append((trial.params, trial.values))
        for trials in others.values():
            self._proposer.observe_search(trials)

    def _write(self, kind: EventKind, trial_id: str, **fields: Any) -> Trial:
        """Write an event of a trial, and return the updated trial."""
        self._ledger.append(kind, trial_id=trial_id, **fields)
        self._apply({"event": kind, "trial_id": trial_id, **fields})
        return self.trials[trial_id]

    def _apply(self, event: Mapping[str, Any]) -> None:
        """Process an event of a trial."""
        self.trials.apply(event)
        trial = self.trials[event["trial_id"]]
        if trial.rung >= 0 or trial.has_ended:
            self._reported.add(trial.trial_id)

    def _begin(self, params: Params, sizing: Sizing) -> Trial:
        key, config = self._describe(params)
        trial = self._write(
            "trial_started",
            f"t{len(self.trials) + 1:04d}",
            key=key,
            params=params,
            config=config,
            seed=self._seed,
            n_params=sizing.n_params,
            macs=sizing.macs,
            peak_activation_bytes=sizing.peak_activation_bytes,
            weight_bytes=sizing.weight_bytes,
        )
        self._proposer.enter(trial.trial_id, params)
        self._handed_out.add(trial.trial_id)
        self.n_new += 1
        return trial

    def _promote(self, trial: Trial) -> Trial:
        self._require_point(trial, "can be promoted")
        self._write("trial_promoted", trial.trial_id, rung=trial.next_rung)
        self._halving.promote(trial.trial_id)
        self._decisions[trial.trial_id] = "continue"
        self.n_new += trial.trial_id not in self._handed_out
        self._handed_out.add(trial.trial_id)
        return trial

    def _resume(self, trial: Trial) -> Trial:
        self._require_point(trial, "was interrupted")
        self._write("trial_resumed", trial.trial_id, rung=trial.next_rung)
        self.n_new += 1
        self._handed_out.add(trial.trial_id)
        return trial

    def _require_point(self, trial: Trial, what: str) -> None:
        if self._proposer.point_of(trial.trial_id) is None:
            raise RunError(
                f"trial {trial.trial_id} {what}, but its point is no longer in the space: use the run's own "
                "configuration, or a new run directory."
            )

    def _replay(self, event: Event) -> None:
        if is_kind(event, *OF_TRIALS):
            self._replay_trial(event)
        elif is_kind(event, "infeasible"):
            self.n_infeasible += 1
            params = self._proposer.space.parse(event["params"])
            if params is not None:
                self._proposer.mark_infeasible(params)
        elif is_kind(event, "warm_start"):
            self._apply_warm_start(parse_warm_start(event, self._proposer.space), event["runs"])

    def _replay_trial(self, event: Event) -> None:
        trial_id = event["trial_id"]
        self._apply(event)
        if is_kind(event, "trial_started"):
            self._replay_start(event)
        elif is_kind(event, "rung"):
            self._replay_rung(event)
        elif is_kind(event, "trial_promoted"):
            self._halving.promote(trial_id)
            self._decisions[trial_id] = "continue"
        elif is_kind(event, "trial_ended"):
            if event["state"] == "failed":
                self._halving.drop(trial_id)
            self._proposer.end(trial_id, event["state"])

    def _replay_start(self, event: Event) -> None:
        params = self._proposer.space.parse(event["params"])
        if params is not None and self._describe(params)[0] != event["key"]:
            raise RunError(
                f"trial {event['trial_id']} of this run was trained on other data or with other settings (ledger key "
                f"{event['key']}, now {self._describe(params)[0]}): use the configuration and data of the run, or a "
                "new run directory."
            )
        if params is None:
            self._proposer.mark_seen(event["key"])
        else:
            self._proposer.enter(event["trial_id"], params)

    def _replay_rung(self, event: Event) -> None:
        trial, rung, epochs = self.trials[event["trial_id"]], event["rung"], event["epochs"]
        if self._halving.epochs[rung : rung + 1] != (epochs,):
            raise RunError(
                f"trial {trial.trial_id} of this run was compared at epoch {epochs}, which is not rung {rung} "
                f"of {list(self._halving.epochs)}: use the run's own search.min_epochs, or a new run directory."
            )
        value, decision = _value(event, trial), event.get("decision")
        if decision is None:  # a ledger from before decisions were written
            decision = self._halving.record(trial.trial_id, rung, value)
        else:
            self._halving.replay(trial.trial_id, rung, value, decision)
        self._decisions[trial.trial_id] = decision
        self._proposer.observe(trial.trial_id, epochs, value)

    def _settle(self) -> list[Trial]:
        """Write the ends of trials that a crash left unwritten, and return the interrupted trials."""
        open_trials = [trial for trial in self.trials.values() if not trial.has_ended]
        return [trial for trial in open_trials if not self._end_as_decided(trial) and not self.is_paused(trial)]

    def _end_as_decided(self, trial: Trial) -> bool:
        """End `trial` if its last rung decided so; return whether it has ended."""
        decision = self._decisions.get(trial.trial_id)
        if decision == "finish":
            self._end(trial, "finished", None)
        elif decision == "stop":
            self._end(trial, "stopped", self._halving.reason(trial.trial_id))
        return trial.has_ended

    def _end(self, trial: Trial, state: EndState, reason: str | None) -> None:
        self._write("trial_ended", trial.trial_id, state=state, reason=reason)
        self._proposer.end(trial.trial_id, state)
        self._on_change(trial, self.n_reported)


def _value(measured: Mapping[str, Any], trial: Trial) -> Value:
    """Return what was measured; a score that is no number, null in the ledger, counts as the worst one."""
    accuracy, loss = (
        worst if measured[name] is None or not math.isfinite(measured[name]) else float(measured[name])
        for name, worst in (("macro_accuracy", 0.0), ("log_loss", WORST_LOG_LOSS))
    )
    nonzero = int(measured.get("nonzero_weight_bytes") or 0)
    return Value(accuracy, loss, int(measured["weight_bytes"]), trial.macs or 0, nonzero)
