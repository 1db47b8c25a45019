"""The package that DCASE 2021 Task 1A takes: up to four systems, each with its outputs and its description."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from data_prep.errors import BudgetError, DataError
from data_prep.files import read_json, write_json, written_whole
from results.candidates.candidates import Candidate, CandidateMetrics, read_candidates, sibling_name
from results.candidates.limits import Limits, read_limits
from results.candidates.predictions import Predictions
from results.config import SubmissionConfig
from results.ensemble import Ensemble, ensemble_predictions, read_ensembles
from results.rundir import RunDirectory
from results.submission.meta import system_meta
from results.submission.validate import validate_submission

__all__ = ["System", "output_csv", "rank_systems", "validate_submission", "write_submission"]

TASK = "task1a"
DECIMALS = 6
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Equal packages are equal bytes: members carry no time of writing."""
FILL_IN = (
    "asc submit RUN --set submission.lastname=LASTNAME --set submission.institute=INSTITUTE "
    "--set 'submission.authors=[{lastname: LASTNAME, firstname: FIRSTNAME, email: NAME@EXAMPLE.ORG, "
    'affiliation: {abbreviation: INSTITUTE, institute: FULL NAME, location: "CITY, COUNTRY"}}]\''
)
"""What puts a submission's own names in the place of the placeholders."""


@dataclass(frozen=True)
class System:
    """One candidate or ensemble as a system of the package.

    Attributes:
        name: candidate's or ensemble's name.
        members: the distinct candidates in it.
        ensemble: None for a single candidate.
        validation_log_loss: what systems are ranked by.
        size: the limited quantity that is shown (results.candidates.limits), of the members together.
        development: the test split's metrics, {} where there are none.
    """

    name: str
    members: tuple[Candidate, ...]
    ensemble: Ensemble | None
    validation_log_loss: float
    size: int
    development: dict[str, Any]

    @property
    def metrics(self) -> list[CandidateMetrics]:
        """The members' metrics: what is held against the limits together."""
        return [member.metrics for member in self.members]

    def predictions(self, by_candidate: Mapping[str, Predictions]) -> Predictions:
        """Return the system's probabilities from its own or from its members' ones."""
        if self.name in by_candidate:
            return by_candidate[self.name]
        missing = [member.name for member in self.members if member.name not in by_candidate]
        if missing or self.ensemble is None:
            raise DataError(f"system {self.name}: no evaluation predictions of {', '.join(missing) or self.name}")
        return ensemble_predictions(self.ensemble, by_candidate)


def write_submission(
    run: RunDirectory, config: SubmissionConfig, evaluation: Mapping[str, Predictions] | None = None
) -> Path:
    """Write the package and `summary.json` beside it, and return the package's path.

    Args:
        run: with retrained candidates.
        config: who submits.
        evaluation: {candidate's name: probabilities on the evaluation set}; an ensemble's follow from its members' ones
            unless they are given. None or {} packs the test split's predictions, and the summary says so.

    Raises:
        BudgetError: if no candidate is within the limits of the run's rules.
        DataError: if there is no list to pack, a system lacks predictions, or clips of different folders share a name.
    """
    limits = read_limits(run.read_config())
    systems, left_out = rank_systems(run, limits)
    if not systems:
        raise BudgetError(
            f"{run.root}: nothing to submit: no retrained candidate with validation scores is within {limits.text}"
            + "".join(f"\n  {name}: {why}" for name, why in left_out.items())
        )
    packed = systems[: config.max_systems]
    left_out |= {system.name: f"ranked below the best {config.max_systems}" for system in systems[config.max_systems :]}
    split = "evaluation" if evaluation else "test"
    given = evaluation or {
        member.name: member.predictions("test")
        for system in packed
        for member in system.members
        if member.has_predictions("test")
    }
    if not given:
        raise DataError(
            f"{run.root}: no system has outputs to pack: the data have neither an evaluation list nor a test list with "
            "labels. Name one of them in the data set, and begin a run on it."
        )
    stem = f"{config.lastname}_{config.institute}_{TASK}"
    path = run.submission_dir / f"{stem}.zip"
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
        for number, system in enumerate(packed, start=1):
            label = f"{stem}_{number}"
            folder = f"{stem}/task1/{label}/{label}"
            _add(package, f"{folder}.output.csv", output_csv(system.predictions(given)))
            meta = system_meta(label, number, system, config, run.read_config())
            _add(package, f"{folder}.meta.yaml", yaml.safe_dump(meta, sort_keys=False, allow_unicode=True))
    _write_summary(run, path, packed, left_out, split, next(iter(given.values())).classes, config, limits)
    return path


def package_stands(run: RunDirectory, config: SubmissionConfig) -> bool:
    """Return whether the package written last was written as `config` asks for, and is there."""
    summary = run.submission_dir / "summary.json"
    said = read_json(summary) if summary.is_file() else {}
    return said.get("config") == config.model_dump(mode="json") and (run.submission_dir / said["package"]).is_file()


def packed_members(run: RunDirectory, config: SubmissionConfig) -> list[Candidate]:
    """Return the distinct candidates of the systems that `write_submission` would pack."""
    systems, _ = rank_systems(run, read_limits(run.read_config()))
    members = {member.name: member for system in systems[: config.max_systems] for member in system.members}
    return list(members.values())


def rank_systems(run: RunDirectory, limits: Limits) -> tuple[list[System], dict[str, str]]:
    """Return candidates and ensembles within every limit, best validation log loss first, and why others are left out.

    An ensemble of one member at temperature 1 is its member, and only the member is listed. A candidate that was
    trained on validation, too, has no score to rank it by: it stands in the place of its sibling, the same network with
    the same seed trained on the training split alone, and with that one's score.
    """
    candidates = {candidate.name: candidate for candidate in read_candidates(run)}
    siblings = {
        name: sibling
        for name, candidate in candidates.items()
        if (sibling := candidates.get(sibling_name(candidate))) is not None
    }
    found = [
        System(
            name=name,
            members=(candidate,),
            ensemble=None,
            validation_log_loss=siblings.get(name, candidate).metrics.value("validation", "log_loss"),
            size=limits.size([candidate.metrics]),
            development=candidate.metrics.splits.get("test", {}),
        )
        for name, candidate in candidates.items()
    ]
    left_out = {
        sibling.name: f"{name} stands for it: the same network, trained on validation, too"
        for name, sibling in siblings.items()
    }
    found = [system for system in found if system.name not in left_out]
    for ensemble in read_ensembles(run):
        gone = [name for name in ensemble.members if name not in candidates]
        if gone:
            left_out[ensemble.name] = f"its members {', '.join(gone)} are gone; build the ensemble again"
        elif ensemble.is_single and ensemble.temperature == 1.0:
            left_out[ensemble.name] = f"it is {next(iter(ensemble.members))} alone"
        else:
            found.append(_ensemble_system(ensemble, candidates, limits))
    systems = []
    for system in sorted(found, key=lambda system: (system.validation_log_loss, system.size, system.name)):
        if reason := limits.verdict(system.metrics).reason:
            left_out[system.name] = f"is over the limit: {reason}"
        elif np.isnan(system.validation_log_loss):
            left_out[system.name] = "has no validation scores to rank it by, nor a sibling that has"
        else:
            systems.append(system)
    return systems, left_out


def output_csv(predictions: Predictions) -> str:
    """Return the text of an output file: TAB separated, probabilities that sum to exactly 1 as they are printed.

    They are rounded down and the largest takes up what is left, so that the label stays the argmax.

    Raises:
        DataError: if two clips have the same name, folders aside.
    """
    names = [str(name).rpartition("/")[2] for name in predictions.clips["filename"]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{twice}: several clips have this name, and a package names clips without their folders")
    p = predictions.probabilities.astype(np.float64)
    units = np.floor(p / p.sum(axis=1, keepdims=True) * 10**DECIMALS).astype(np.int64)
    best = p.argmax(axis=1)
    units[np.arange(len(best)), best] += 10**DECIMALS - units.sum(axis=1)
    lines = ["\t".join(["filename", "scene_label", *predictions.classes])]
    for name, label, row in zip(names, best, units / 10**DECIMALS, strict=True):
        lines.append("\t".join([name, predictions.classes[label], *(f"{value:.{DECIMALS}f}" for value in row)]))
    return "\n".join(lines) + "\n"


def _ensemble_system(ensemble: Ensemble, candidates: Mapping[str, Candidate], limits: Limits) -> System:
    members = tuple(candidates[name] for name in ensemble.members)
    return System(
        name=ensemble.name,
        members=members,
        ensemble=ensemble,
        validation_log_loss=float(ensemble.metrics.get("validation", {}).get("log_loss", np.nan)),
        size=limits.size([member.metrics for member in members]),
        development=ensemble.metrics.get("test", {}),
    )


def _add(package: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    package.writestr(entry, text.encode())


def _write_summary(
    run: RunDirectory,
    path: Path,
    systems: list[System],
    left_out: Mapping[str, str],
    split: str,
    classes: Sequence[str],
    config: SubmissionConfig,
    limits: Limits,
) -> None:
    notes = []
    if split == "test":
        notes.append(
            "No evaluation set: the outputs are those of the test split, for trying the format out. `asc submit RUN "
            "--evaluation SHARDS` packs those of a prepared evaluation set."
        )
    if config.has_placeholders:
        notes.append(f"Authors are placeholders. Before handing anything in, give {FILL_IN}")
    rows = [
        {
            "label": f"{path.stem}_{number}",
            "system": system.name,
            "members": [member.name for member in system.members],
            "validation_log_loss": system.validation_log_loss,
            **limits.totals(system.metrics),
        }
        for number, system in enumerate(systems, start=1)
    ]
    summary = {
        "package": path.name,
        "packed_split": split,
        "classes": list(classes),
        "rules": limits.described,
        "systems": rows,
        "left_out": dict(left_out),
        "notes": notes,
        "config": config.model_dump(mode="json"),
    }
    write_json(run.submission_dir / "summary.json", summary)
