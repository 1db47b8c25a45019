"""The search as an Optuna study in a journal file, for `optuna-dashboard` and notebooks.

The file follows from the ledger and is never read by the search. Trials are identified by their `trial_id`, so that a
session continues the file of an earlier one without duplicates: `t0001` is Optuna's trial 0, and so on. No trial stays
RUNNING after its session. Proposals over the limit, which are not trained, are left out: they have no value and would
change these numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asc_models.rules import Quantity
from results.ledger.events import Event
from results.ledger.trial import Trial, Trials
from search.observers.base import facts_of
from search.space.knobs import Knob

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

DEFAULT_NAME = "asc-search"
CONSTRAINTS = "constraints"
"""Attribute in which samplers keep constraints, and in which optuna-dashboard looks for them: at most 0 if met."""
OBJECTIVES = {"macro_accuracy": "maximize", "weight_bytes": "minimize"}
STALE_LOCK_S = 5.0
"""Age in seconds from which Optuna's lock is removed: it is held only briefly, so its process was killed."""


class OptunaJournal:
    """Keeps the study in `path`: finished trials are COMPLETE, stopped ones PRUNED, paused ones WAITING with values."""

    name = "Optuna journal"

    def __init__(
        self,
        path: Path,
        knobs: Mapping[str, Knob],
        study: str = DEFAULT_NAME,
        limits: Mapping[Quantity, int] | None = None,
    ) -> None:
        """Write nothing yet.

        Args:
            path: of the journal.
            knobs: of the space; a value that is not a choice of its knob becomes an attribute of its trial.
            study: name of a new study; one that is in the file keeps its name.
            limits: {quantity: largest allowed value}; each is a constraint of the scored trials.
        """
        self._path = path
        self._knobs = dict(knobs)
        self._name = study
        self._limits = dict(limits or {})
        self._trials = Trials()
        self._numbers: dict[str, int] = {}
        self._storage: JournalStorage | None = None
        self._study_id = 0

    def begin(self, earlier: Sequence[Event]) -> None:
        """Bring the file up to date with the ledger; a damaged file is rewritten."""
        for event in earlier:
            self._trials.apply(event)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _repair(self._path)
        try:
            known = self._open()
        except (KeyError, ValueError):  # json's errors are ValueErrors
            self._path.unlink()
            known = self._open()
        for trial in self._trials.values():
            if trial.trial_id in known:
                frozen = known[trial.trial_id]
                self._numbers[trial.trial_id] = frozen._trial_id
                self._update(trial, frozen, is_training=False)
            else:
                self._create(trial, is_training=False)

    def on_event(self, event: Event) -> None:
        """Update the event's trial."""
        trial = self._trials.apply(event)
        if trial is None:
            return
        number = self._numbers.get(trial.trial_id)
        if number is None:
            self._create(trial, is_training=True)
        else:
            self._update(trial, self._storage_in_use.get_trial(number), is_training=True)

    def close(self) -> None:
        """Set running trials to WAITING, as paused ones are."""
        for trial in self._trials.values() if self._storage is not None else ():
            if trial.state == "running" and trial.trial_id in self._numbers:
                number = self._numbers[trial.trial_id]
                self._update(trial, self._storage_in_use.get_trial(number), is_training=False)

    @property
    def _storage_in_use(self) -> JournalStorage:
        assert self._storage is not None, "begin() comes first"
        return self._storage

    def _open(self) -> dict[str, FrozenTrial]:
        """Open or create the study and return {trial_id: trial}."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        storage = JournalStorage(JournalFileBackend(str(self._path)))
        directions = [optuna.study.StudyDirection[direction.upper()] for direction in OBJECTIVES.values()]
        studies = storage.get_all_studies()
        self._storage = storage
        if studies:
            self._study_id = studies[0]._study_id
        else:
            with _silent_optuna():
                self._study_id = storage.create_new_study(directions, self._name)
            storage.set_study_system_attr(self._study_id, "study:metric_names", list(OBJECTIVES))
        trials = storage.get_all_trials(self._study_id, deepcopy=False)
        return {trial.user_attrs["trial_id"]: trial for trial in trials}

    def _create(self, trial: Trial, *, is_training: bool) -> None:
        from optuna.trial import create_trial

        held = {
            name: value
            for name, value in trial.params.items()
            if name in self._knobs and self._knobs[name].index(value) is not None
        }
        others = {f"param_{name}": value for name, value in trial.params.items() if name not in held}
        state = _optuna_state(trial, is_training=is_training)
        frozen = create_trial(
            state=state,
            values=_objectives(trial) if state.name == "COMPLETE" else None,
            params={name: _value(value) for name, value in held.items()},
            distributions={name: distribution_of(self._knobs[name]) for name in held},
            user_attrs={"trial_id": trial.trial_id, **others, **facts_of(trial)},
            system_attrs=self._constraints(trial),
            intermediate_values=_accuracies(trial),
        )
        frozen.datetime_start = _local(trial.started) if state.name != "WAITING" else None
        frozen.datetime_complete = _local(trial.ended) if state.is_finished() else None
        self._numbers[trial.trial_id] = self._storage_in_use.create_new_trial(self._study_id, frozen)

    def _update(self, trial: Trial, frozen: FrozenTrial, *, is_training: bool) -> None:
        if frozen.state.is_finished():
            return
        storage, number = self._storage_in_use, frozen._trial_id
        for epochs, value in _accuracies(trial).items():
            if epochs not in frozen.intermediate_values:
                storage.set_trial_intermediate_value(number, epochs, value)
        for name, value in facts_of(trial).items():
            if frozen.user_attrs.get(name) != value:
                storage.set_trial_user_attr(number, name, value)
        for name, excess in self._constraints(trial).items():
            if frozen.system_attrs.get(name) != excess:
                storage.set_trial_system_attr(number, name, excess)
        state = _optuna_state(trial, is_training=is_training)
        if state != frozen.state:
            values = _objectives(trial) if state.name == "COMPLETE" else None
            storage.set_trial_state_values(number, state, values)

    def _constraints(self, trial: Trial) -> dict[str, list[float]]:
        """Return the excess over each limit as Optuna's attribute, {} before the trial has a file.

        Trials have no number of non-zero weights: all weights count, as they do before a search trains a proposal.
        """
        facts = facts_of(trial)
        if trial.rung < 0:
            return {}
        facts.setdefault("nonzero_weight_bytes", facts["weight_bytes"])
        return {CONSTRAINTS: [float(facts[name] - limit) for name, limit in self._limits.items() if name in facts]}


def distribution_of(knob: Knob) -> BaseDistribution:
    """Return Optuna's distribution of a knob: a range of numbers, else its choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.is_range:
        return FloatDistribution(knob.low, knob.high, log=knob.log)
    kinds = {type(value) for value in knob.choices}
    if kinds == {int}:
        return IntDistribution(min(knob.choices), max(knob.choices))
    if kinds <= {int, float}:
        return FloatDistribution(float(min(knob.choices)), float(max(knob.choices)))
    return CategoricalDistribution(tuple(_value(value) for value in knob.choices))


def _value(value: Any) -> Any:
    """Return a knob's value as stored in the study; lists become JSON text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value)


def _objectives(trial: Trial) -> list[float] | None:
    """Return a trial's values at its last rung; None if it has none."""
    last = trial.scores.get(trial.epochs)
    return None if last is None else [float(getattr(last, name)) for name in OBJECTIVES]


def _accuracies(trial: Trial) -> dict[int, float]:
    return {epochs: score.macro_accuracy for epochs, score in trial.scores.items()}


def _optuna_state(trial: Trial, *, is_training: bool) -> Any:
    """Return Optuna's state of a trial; unfinished trials that are not in training are WAITING."""
    from optuna.trial import TrialState

    if trial.state == "finished":
        return TrialState.FAIL if _objectives(trial) is None else TrialState.COMPLETE
    words = {"stopped": TrialState.PRUNED, "failed": TrialState.FAIL, "paused": TrialState.WAITING}
    return words.get(trial.state, TrialState.RUNNING if is_training else TrialState.WAITING)


@contextlib.contextmanager
def _silent_optuna() -> Iterator[None]:
    """Suppress Optuna's log messages."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _local(time: str | None) -> datetime:
    """Return a time as Optuna stores it: local and without a time zone."""
    when = datetime.now().astimezone() if time is None else datetime.fromisoformat(time)
    return when.astimezone().replace(tzinfo=None)


def _repair(path: Path) -> None:
    """Remove an incomplete last line and the lock of a killed process."""
    lock = Path(f"{path}.lock")
    with contextlib.suppress(FileNotFoundError):
        if time.time() - lock.lstat().st_mtime > STALE_LOCK_S:
            lock.unlink()
    if path.exists():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)
