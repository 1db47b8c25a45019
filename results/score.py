"""Scores of a system's output file against the ground truth, computed as in the challenge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.metrics import brier_score, by_group, calibration_error, interval_by_location, log_loss, macro_accuracy
from data_prep.errors import DataError
from results.outputs.clips import match_clips, some, tau_names
from results.outputs.output import Output, read_output
from results.outputs.table import NAME_COLUMNS, PREFIX, OutputTable, read_table
from results.outputs.values import Values


def score_submission(
    output: Path, truth: Path, *, classes: Sequence[str] | None = None, values: Values | None = None
) -> dict[str, Any]:
    """Return macro accuracy, log loss, Brier score and expected calibration error, and the former two by group.

    Accuracy is computed from the column `scene_label` if the output has it, else from the most probable scene; all else
    from the probabilities. If locations are known, the result includes a 95 % interval of macro accuracy. `notes` says
    what was recognised rather than stated.

    Args:
        output: CSV, TSV or Parquet with or without header: file names and one column of scores per scene.
        truth: CSV, TSV or Parquet with the columns `filename` and `scene_label`, optionally `identifier` (location)
            and `source_label` (device), else taken from TAU's file names. Predictions of a run have all of these and
            the order of the scenes. Names are compared whole, else without folders, else without suffix.
        classes: order of the scenes in an output without header, or the columns to use.
        values: what the scores are; None recognises it.

    Raises:
        DataError: if a clip is missing, unexpected or duplicated, a scene is unknown, or what the columns or scores are
            is ambiguous.
    """
    table = read_table(truth)
    truth_names, truth_scenes = _truth(table)
    order = [str(name).removeprefix(PREFIX) for name in table.cells.columns if str(name).startswith(PREFIX)]
    read = read_output(output, classes=classes, reference=order or None, reference_name=truth.name, values=values)
    rows = match_clips(read.filenames, truth_names, output, truth.name)
    for path, named in ((truth, truth_scenes), (output, read.answers or [])):
        if unknown := sorted(set(named) - set(read.classes)):
            raise DataError(f"{path}: scenes without a column in {output.name}: {', '.join(unknown)}")
    probabilities = read.probabilities[rows]
    labels = np.array([read.classes.index(scene) for scene in truth_scenes], dtype=np.int64)
    answers, notes = _answers(read, rows)
    answered = np.eye(len(read.classes))[answers]

    def groups(names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the scores of each group of clips."""
        accuracies = by_group(labels, answered, names)
        losses = by_group(labels, probabilities, names)
        return {name: {**losses[name], "macro_accuracy": one["macro_accuracy"]} for name, one in accuracies.items()}

    scenes = groups(truth_scenes)
    result: dict[str, Any] = {
        "macro_accuracy": macro_accuracy(labels, answered),
        "log_loss": log_loss(labels, probabilities),
        "brier_score": brier_score(labels, probabilities),
        "calibration_error": calibration_error(labels, probabilities),
        "by_scene": {scene: scenes[scene] for scene in read.classes if scene in scenes},
        "n_clips": len(labels),
        "values": read.values,
    }
    if absent := [scene for scene in read.classes if scene not in scenes]:
        result["absent_scenes"] = absent
    devices, locations, recognised = _origins(table, truth_names, truth_scenes)
    if devices is not None:
        result["by_device"] = groups(devices)
    if locations is not None:
        units = [location or name for location, name in zip(locations, truth_names, strict=True)]
        result["macro_accuracy_interval"] = list(interval_by_location(labels, answered, units))
    result["notes"] = [*read.notes, *notes, *recognised]
    return result


def _answers(read: Output, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the class answered for each clip, and a note if it is not always the most probable one.

    Args:
        read: the output of the system.
        rows: of the output, one per clip.
    """
    likely = read.probabilities[rows].argmax(axis=1)
    if read.answers is None:
        return likely, []
    answers = np.array([read.classes.index(read.answers[row]) for row in rows], dtype=np.int64)
    if n := int((answers != likely).sum()):
        note = f"{read.path.name}: scene_label is not the most probable scene of {n:,} of {len(rows):,} clips"
        return answers, [note]
    return answers, []


def _origins(
    table: OutputTable, names: Sequence[str], scenes: Sequence[str]
) -> tuple[list[str] | None, list[str] | None, list[str]]:
    """Return device and location of each clip, None if unknown, and a note if they are taken from TAU's file names."""
    devices, locations = table.text("source_label", "device"), table.text("identifier", "location")
    if (devices is not None and locations is not None) or (parsed := tau_names(names, scenes)) is None:
        return devices, locations, []
    found = [what for what, known in (("devices", devices), ("locations", locations)) if known is None]
    note = f"{table.path.name}: {' and '.join(found)} taken from the file names"
    return devices or [name.device for name in parsed], locations or [name.location for name in parsed], [note]


def _truth(table: OutputTable) -> tuple[list[str], list[str]]:
    """Return file name and scene of each clip."""
    names, scenes = table.text(*NAME_COLUMNS), table.text("scene_label", "scene")
    if not table.has_header or names is None or scenes is None:
        columns = zip(("filename", "scene_label"), (names, scenes), strict=True)
        missing = [column for column, found in columns if found is None or not table.has_header]
        found = ", ".join(map(str, table.cells.columns)) if table.has_header else "no header"
        raise DataError(f"{table.path}: lacks the column {' and '.join(missing)}; found {found}")
    if blank := [name for name, scene in zip(names, scenes, strict=True) if not scene]:
        raise DataError(f"{table.path}: {some(blank)} without a scene; give the labelled list of these clips")
    return names, scenes
