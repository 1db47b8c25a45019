"""Submission packages for DCASE 2021 Task 1A: up to four systems, each with its outputs and metadata."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import BudgetError, DataError
from data_prep.files.files import read_json, write_json, written_whole
from data_prep.files.yaml_file import to_yaml
from results.candidates.limits import Limits, read_limits
from results.candidates.predictions import Predictions
from results.config import SubmissionConfig
from results.rundir import RunDirectory
from results.submission.meta import system_meta
from results.submission.slots import Chosen, choose_systems
from results.submission.systems import System, rank_systems
from results.submission.validate import CHALLENGE_CLIPS, validate_submission

__all__ = ["System", "output_csv", "rank_systems", "validate_submission", "write_submission"]

TASK = "task1a"
DECIMALS = 6
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Constant timestamp of the zip entries, so that equal packages are byte-identical."""
FILL_IN = (
    "asc submit RUN --set submission.lastname=LASTNAME --set submission.institute=INSTITUTE "
    "--set 'submission.authors=[{lastname: LASTNAME, firstname: FIRSTNAME, email: NAME@EXAMPLE.ORG, "
    'affiliation: {abbreviation: INSTITUTE, institute: FULL NAME, location: "CITY, COUNTRY"}}]\''
)
"""Command that replaces the placeholders."""


def write_submission(
    run: RunDirectory, config: SubmissionConfig, evaluation: Mapping[str, Predictions] | None = None
) -> Path:
    """Write the package and `summary.json`, replacing any earlier package, and return the path of the package.

    If names are placeholders (`SubmissionConfig.open_points`), the summary marks the package as a draft.

    Args:
        run: run with retrained candidates.
        config: authors and descriptive fields.
        evaluation: {candidate: predictions on the evaluation set}. Predictions of an ensemble are computed from its
            members' unless given. None or {} packs the predictions on the test split, which the summary notes.

    Raises:
        BudgetError: if no candidate is within the limits of the run's rules.
        DataError: if there are no predictions to pack, a system lacks predictions, or clips in different folders have
            the same name.
    """
    limits = read_limits(run.read_config())
    chosen = choose_systems(run, config)
    packed, left_out = chosen.systems, chosen.left_out
    if not packed:
        raise BudgetError(
            f"{run.root}: there is nothing to submit: no retrained candidate with validation scores is within "
            f"{limits.text}" + "".join(f"\n  {name}: {why}" for name, why in left_out.items())
        )
    split = "evaluation" if evaluation else "test"
    given = evaluation or {
        member.name: member.predictions("test")
        for system in packed
        for member in system.members
        if member.has_predictions("test")
    }
    if not given:
        raise DataError(
            f"{run.root}: no system has outputs to pack: the data set has neither an evaluation list nor a labelled "
            "test list. Add one, and start a new run."
        )
    stem = f"{config.lastname}_{config.institute}_{TASK}"
    path = run.package_path(stem)
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
        for number, system in enumerate(packed, start=1):
            label = f"{stem}_{number}"
            folder = f"{stem}/task1/{label}/{label}"
            _add(package, f"{folder}.output.csv", output_csv(system.predictions(given)))
            meta = system_meta(label, number, system, config, run.read_config())
            _add(package, f"{folder}.meta.yaml", to_yaml(meta))
    _write_summary(run, path, chosen, split, next(iter(given.values())), config, limits)
    for other in run.submission_dir.glob(f"*_{TASK}.zip"):
        if other != path:  # keep a single package, the one that the summary describes
            other.unlink()
    return path


def is_package_current(run: RunDirectory, config: SubmissionConfig) -> bool:
    """Return whether the last package exists and was written with this `config`."""
    try:
        found = read_json(run.submission_summary_path)
        is_same = found["config"] == config.model_dump(mode="json")
        return bool(is_same and (run.submission_dir / found["package"]).is_file())
    except (DataError, KeyError, TypeError):  # missing or damaged: it is written again
        return False


def has_evaluation_package(run: RunDirectory) -> bool:
    """Return whether the last package exists and has outputs of an evaluation set instead of the test split."""
    try:
        found = read_json(run.submission_summary_path)
        return bool(found["packed_split"] == "evaluation" and (run.submission_dir / found["package"]).is_file())
    except (DataError, KeyError, TypeError):  # missing or damaged: it is written again
        return False


def output_csv(predictions: Predictions) -> str:
    """Return the text of an output file: TAB separated, with printed probabilities that sum to exactly 1.

    Probabilities are rounded down and the remainder is added to the largest, so that the label remains the argmax.

    Raises:
        DataError: if two clips have the same file name, ignoring folders.
    """
    names = [str(name).rpartition("/")[2] for name in predictions.clips["filename"]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{twice}: several clips have this name; a package contains names without folders")
    p = predictions.probabilities.astype(np.float64)
    units = np.floor(p / p.sum(axis=1, keepdims=True) * 10**DECIMALS).astype(np.int64)
    best = p.argmax(axis=1)
    units[np.arange(len(best)), best] += 10**DECIMALS - units.sum(axis=1)
    text = io.StringIO()
    lines = csv.writer(text, delimiter="\t", lineterminator="\n")
    lines.writerow(["filename", "scene_label", *predictions.classes])
    for name, label, row in zip(names, best, units / 10**DECIMALS, strict=True):
        lines.writerow([name, predictions.classes[label], *(f"{value:.{DECIMALS}f}" for value in row)])
    return text.getvalue()


def _add(package: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    package.writestr(entry, text.encode())


def _write_summary(
    run: RunDirectory,
    path: Path,
    chosen: Chosen,
    split: str,
    packed: Predictions,
    config: SubmissionConfig,
    limits: Limits,
) -> None:
    notes = []
    if split == "test":
        notes.append(
            "No evaluation set: the package contains the outputs on the test split, to try the format. To pack those "
            "of a prepared evaluation set: `asc submit RUN --evaluation SHARDS`."
        )
    elif set(packed.classes) == set(TAU_SCENES) and len(packed.clips) != CHALLENGE_CLIPS:
        notes.append(
            f"{len(packed.clips):,} clips have outputs. The challenge's evaluation set has {CHALLENGE_CLIPS:,} clips; "
            "its validator refuses any other number."
        )
    if config.open_points:
        notes.append(f"This is a draft: {'; '.join(config.open_points)}. Before submitting, run `{FILL_IN}`")
    rows = [
        {
            "label": f"{path.stem}_{number}",
            "system": choice.system.name,
            "slot": choice.slot,
            "reason": choice.reason,
            "members": [member.name for member in choice.system.members],
            "temperature": choice.system.temperature,
            "validation_log_loss": choice.system.validation_log_loss,
            **limits.totals(choice.system.metrics),
        }
        for number, choice in enumerate(chosen.choices, start=1)
    ]
    summary = {
        "package": path.name,
        "draft": bool(config.open_points),
        "packed_split": split,
        "classes": list(packed.classes),
        "rules": limits.described,
        "systems": rows,
        "left_out": chosen.left_out,
        "unfilled": chosen.unfilled,
        "notes": notes,
        "config": config.model_dump(mode="json"),
    }
    write_json(run.submission_summary_path, summary)
