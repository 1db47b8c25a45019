"""The contents of a run, read once for tables, figures and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd

from asc_models.metrics import group_intervals, interval_by_location, log_loss
from data_prep.files.files import read_json
from results.baselines.baselines import read_baselines
from results.candidates.candidates import Candidate, comparable, read_candidates
from results.candidates.history import read_history
from results.candidates.limits import Limits, SizeLimit, read_limits
from results.candidates.predictions import Predictions, tempered
from results.candidates.ties import TieGroup, tie_groups
from results.ensembles.calibration import Calibration, calibrate, cross_fitted, location_parts, locations_of
from results.ensembles.ensemble import Ensemble, ensemble_predictions, read_ensembles
from results.ensembles.outside import OutsideSystem, read_outside
from results.ledger.importance import KnobEffects, knob_effects
from results.ledger.ledger import Ledger
from results.ledger.trials import rungs_table, trials_table
from results.published import has_published
from results.rundir import RunDirectory

N_COMPARED = 20
"""Most systems whose differences are shown."""
N_HISTORIES = 4
"""Most candidates whose trainings are shown."""


@dataclass(frozen=True)
class RunData:
    """The contents of one run. Any part may be empty."""

    run: RunDirectory
    config: dict[str, Any]
    limits: Limits
    events: list[dict[str, Any]]
    trials: pd.DataFrame
    rungs: pd.DataFrame
    candidates: list[Candidate]
    """Best calibrated validation log loss first."""
    ensembles: list[Ensemble]
    selected: Candidate | None
    """The candidate with the best calibrated validation log loss that is within all limits, None if there is none."""
    test: dict[str, Predictions]
    """{candidate or ensemble of several members: test predictions}, if stored and if every clip has a label; those
    of an ensemble with its temperature, those of a candidate as exported (`packed_test` applies its temperature)."""
    baselines: list[Candidate]
    """Baselines trained on the same clips, best validation log loss first."""
    validation: dict[str, Predictions] = field(default_factory=dict)
    """{candidate or ensemble: validation predictions without a temperature}, if stored and labelled, of the candidates
    that predict the same clips, best first, and the ensembles of several members."""
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    """{candidate or ensemble: its temperature and cross-fitted log loss on these}."""
    histories: dict[str, pd.DataFrame] = field(default_factory=dict)
    """{candidate: epochs of its training (results.candidates.history)} of the selected candidate, the members of
    ensembles, then the best others: at most `N_HISTORIES`."""

    @cached_property
    def knobs(self) -> KnobEffects | None:
        """Importance of the knobs, None with too few trials."""
        return knob_effects(self.trials, self.rungs)

    @property
    def scored_on(self) -> str:
        """What the scores of retrained candidates are called: `validation`, or `out-of-fold` if those are compared."""
        return "out-of-fold" if any(one.metrics.inner_folds for one in self.candidates) else "validation"

    @property
    def n_parts(self) -> int:
        """Parts over which trials are scored out of fold (`search.inner_folds`), 0 if they are on validation."""
        return int((self.config.get("search") or {}).get("inner_folds") or 0)

    @property
    def trials_scored(self) -> str:
        """Where the scores of trials are measured: `on validation` or `out of fold`."""
        return "out of fold" if self.n_parts else "on validation"

    @property
    def all_scored(self) -> str:
        """Where those of trials and of retrained candidates are, such as `on validation, of trials out of fold`."""
        if bool(self.n_parts) == (self.scored_on == "out-of-fold"):
            return self.trials_scored
        return f"on validation, of {'trials' if self.n_parts else 'retrained ones'} out of fold"

    @cached_property
    def compared(self) -> dict[str, Predictions]:
        """{candidate or ensemble: cross-fitted validation predictions} of the best `N_COMPARED`, best first."""
        best = sorted(self.validation, key=lambda name: self.calibrations[name].log_loss)[:N_COMPARED]
        return {name: cross_fitted(self.validation[name]) for name in best}

    @cached_property
    def ties(self) -> list[TieGroup]:
        """The compared systems in groups that validation does not tell apart."""
        return tie_groups(self.compared)

    @cached_property
    def submitted(self) -> dict[str, str]:
        """{system: slot} of the systems in the submission package, {} without a package."""
        path = self.run.submission_summary_path
        systems = read_json(path).get("systems", []) if path.is_file() else []
        return {str(one["system"]): str(one.get("slot", "")) for one in systems}

    @property
    def classes(self) -> tuple[str, ...]:
        """The scenes in the order of the data set, () if there are no test predictions."""
        return next(iter(self.test.values())).classes if self.test else ()

    @property
    def has_published(self) -> bool:
        """Whether published results are comparable: the run is on TAU's scenes and not on a synthesized corpus."""
        return has_published(self.classes) and not self.config.get("synth")

    @property
    def limit(self) -> SizeLimit:
        """The limit that figures and tables show."""
        return self.limits.main

    def size(self, candidate: Candidate) -> int:
        """Return a candidate's value of the displayed limited quantity."""
        return self.limits.size([candidate.metrics])

    def temperature(self, name: str) -> float:
        """Return the temperature that a candidate is packed with; 1.0 of an ensemble, whose predictions have it."""
        is_ensemble = any(ensemble.name == name for ensemble in self.ensembles)
        return 1.0 if is_ensemble or name not in self.calibrations else self.calibrations[name].temperature

    def packed_test(self, name: str) -> Predictions:
        """Return the test predictions of a system with its temperature, as a submission contains them."""
        return tempered(self.test[name], self.temperature(name))

    def calibrated(self, name: str) -> dict[str, Predictions]:
        """Return {split: predictions} of a system as it is ranked and packed (`ensembles.calibration.calibrated`)."""
        if name not in self.validation:
            return {}
        packed = {"test": self.packed_test(name)} if name in self.test else {}
        return {"validation": cross_fitted(self.validation[name]), **packed}

    def calibrated_loss(self, name: str, split: str) -> float | None:
        """Return the log loss of `calibrated`, None without these predictions."""
        if name not in self.calibrations:
            return None
        if split == "validation":
            return self.calibrations[name].log_loss
        if name not in self.test:
            return None
        test = self.packed_test(name)
        return log_loss(test.labels, test.probabilities)

    @cached_property
    def interval(self) -> Callable[[str], tuple[float, float]]:
        """Returns the 95 % interval of a system's test macro accuracy, NaN without test predictions; computed once."""
        return cache(lambda name: accuracy_interval(self.test[name]) if name in self.test else (np.nan, np.nan))


def read_run_data(run: RunDirectory) -> RunData:
    """Return the contents of a run.

    Raises:
        RunError: if the ledger or the configuration is damaged.
        DataError: if a candidate's files are damaged.
    """
    config = run.read_config()
    limits = read_limits(config)
    events = Ledger(run.ledger_path).events()
    candidates = read_candidates(run)
    ensembles = read_ensembles(run)
    outside = read_outside(run)
    validation = _labelled_predictions(
        "validation",
        comparable(candidates),
        [replace(one, temperature=1.0) for one in ensembles if not one.is_single],
        outside,
    )
    several = [one for one in ensembles if one.outside or not one.is_single]
    calibrations = {name: _calibration(one) for name, one in validation.items()}
    candidates = _ranked(candidates, calibrations)
    selected = select_candidate(candidates, limits)
    return RunData(
        run=run,
        config=config,
        limits=limits,
        events=events,
        trials=trials_table(events),
        rungs=rungs_table(events),
        candidates=candidates,
        ensembles=ensembles,
        selected=selected,
        test=_labelled_predictions("test", candidates, several, outside),
        baselines=read_baselines(run),
        validation=validation,
        calibrations=calibrations,
        histories=_histories(candidates, ensembles, selected),
    )


def _calibration(predictions: Predictions) -> Calibration:
    return calibrate(predictions.labels, predictions.probabilities, location_parts(locations_of(predictions)))


def _ranked(candidates: list[Candidate], calibrations: Mapping[str, Calibration]) -> list[Candidate]:
    """Return the candidates by calibrated log loss; those without one follow, by log loss as exported."""

    def rank(candidate: Candidate) -> tuple[bool, float]:
        """Return the sorting key."""
        found = calibrations.get(candidate.name)
        if found is not None:
            return False, found.log_loss
        plain = candidate.metrics.value("validation", "log_loss")
        return True, np.inf if np.isnan(plain) else plain

    return sorted(candidates, key=rank)


def _labelled_predictions(
    split: str, candidates: list[Candidate], ensembles: list[Ensemble], outside: list[OutsideSystem]
) -> dict[str, Predictions]:
    """Return {candidate or ensemble: predictions of a split}, where stored for it or all its members, and labelled."""
    kept = {one.name: one.predictions(split) for one in candidates if one.has_predictions(split)}
    others = {one.name: one.predictions(split) for one in outside if one.has_predictions(split)}
    for ensemble in ensembles:
        if set(ensemble.members) <= set(kept) | set(others):
            kept[ensemble.name] = ensemble_predictions(ensemble, {**kept, **others})
    return {name: predictions for name, predictions in kept.items() if predictions.is_labelled}


def _histories(
    candidates: list[Candidate], ensembles: list[Ensemble], selected: Candidate | None
) -> dict[str, pd.DataFrame]:
    by_name = {candidate.name: candidate for candidate in candidates}
    members = [name for ensemble in ensembles for name in ensemble.members]
    names = dict.fromkeys([*([selected.name] if selected else []), *members, *by_name])
    found = ((name, read_history(by_name[name].files)) for name in names if name in by_name)
    return dict(islice(((name, epochs) for name, epochs in found if epochs is not None), N_HISTORIES))


def select_candidate(candidates: list[Candidate], limits: Limits) -> Candidate | None:
    """Return the first candidate within all limits that has validation scores, None if there is none.

    Args:
        candidates: best first.
        limits: of the run.
    """
    scored = [
        candidate
        for candidate in candidates
        if limits.verdict([candidate.metrics]).feasible
        and not np.isnan(candidate.metrics.value("validation", "log_loss"))
    ]
    return next(iter(comparable(scored)), None)


def drawn_units(predictions: Predictions) -> str:
    """Return what `accuracy_interval` resamples: `locations`, `clips` if none is known, or `locations and clips`."""
    known = predictions.clips["location"].notna()
    return "locations" if known.all() else "locations and clips" if known.any() else "clips"


def accuracy_interval(predictions: Predictions) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of macro accuracy over locations; clips without one are resampled singly."""
    return interval_by_location(predictions.labels, predictions.probabilities, locations_of(predictions))


def group_accuracy_intervals(
    predictions: Predictions, group: Literal["scene", "device"]
) -> dict[str, tuple[float, float]]:
    """Return {scene or device: 95 % interval of its macro accuracy} (`asc_models.metrics.group_intervals`)."""
    labels = predictions.labels
    is_correct = (predictions.probabilities.argmax(axis=1) == labels).astype(np.float64)
    groups = predictions.clips[group].astype(str).tolist()
    return group_intervals(is_correct, labels, groups, locations_of(predictions))
