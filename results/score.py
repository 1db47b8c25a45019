"""Scores of a submitted `output.csv` against the ground truth, computed as in the challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.metrics import by_group, interval_by_location, log_loss, macro_accuracy
from data_prep.errors import DataError

SUM_TOLERANCE = 0.05
"""Maximum deviation of a row's sum from 1; allows for ten probabilities rounded to two digits."""


def score_submission(output_csv: Path, truth_csv: Path) -> dict[str, Any]:
    """Return macro accuracy and log loss, overall, by scene and by device.

    Accuracy is computed from the column `scene_label`, log loss from the probabilities. If locations are known, the
    result includes a 95 % interval of macro accuracy.

    Args:
        output_csv: TAB separated, with the columns `filename`, `scene_label` and one probability column per scene.
        truth_csv: TAB or comma separated, with the columns `filename`, `scene_label` and optionally `identifier`
            (location) and `source_label` (device). File names are compared without their folders.

    Raises:
        DataError: if a clip is missing, unexpected or duplicated, a scene is unknown, or a row does not contain
            probabilities.
    """
    output = _read(output_csv)
    truth = _read(truth_csv)
    classes = [column for column in output.columns if column not in {"filename", "scene_label"}]
    if not classes:
        raise DataError(f"{output_csv}: has no probability columns; the header must have one column per scene")
    _check_clips(output, truth, output_csv, truth_csv)
    for path, table in ((truth_csv, truth), (output_csv, output)):
        if unknown := sorted(set(table["scene_label"]) - set(classes)):
            raise DataError(f"{path}: scenes without a column in {output_csv.name}: {', '.join(unknown)}")
    rows = output.set_index("filename").loc[truth["filename"]]
    probabilities = _probabilities(rows[classes], output_csv)
    labels, answers = (
        np.array([classes.index(scene) for scene in scenes], dtype=np.int64)
        for scenes in (truth["scene_label"], rows["scene_label"])
    )
    answered = np.eye(len(classes))[answers]

    def groups(names: pd.Series[str]) -> dict[str, dict[str, float]]:
        """Return the scores of each group of clips."""
        accuracies = by_group(labels, answered, names.tolist())
        losses = by_group(labels, probabilities, names.tolist())
        return {name: {**losses[name], "macro_accuracy": one["macro_accuracy"]} for name, one in accuracies.items()}

    scenes = groups(truth["scene_label"])
    result: dict[str, Any] = {
        "macro_accuracy": macro_accuracy(labels, answered),
        "log_loss": log_loss(labels, probabilities),
        "by_scene": {scene: scenes[scene] for scene in classes if scene in scenes},
        "n_clips": len(truth),
    }
    if absent := [scene for scene in classes if scene not in scenes]:
        result["absent_scenes"] = absent
    if "source_label" in truth:
        result["by_device"] = groups(truth["source_label"])
    if "identifier" in truth:
        result["macro_accuracy_interval"] = list(interval_by_location(labels, answered, truth["identifier"].tolist()))
    return result


def _read(path: Path) -> pd.DataFrame:
    try:
        header = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        table = pd.read_csv(
            path, sep="\t" if "\t" in header else ",", dtype=str, encoding="utf-8-sig", keep_default_na=False
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not text; give the CSV file itself, unpacked from the package") from None
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from None
    table.columns = pd.Index([str(column).strip() for column in table.columns])
    missing = [column for column in ("filename", "scene_label") if column not in table.columns]
    if missing:
        raise DataError(f"{path}: lacks the column {' and '.join(missing)}; found {', '.join(table.columns)}")
    if table.empty:
        raise DataError(f"{path}: has no rows")
    table["filename"] = [name.strip().rpartition("/")[2] for name in table["filename"]]
    twice = table["filename"][table["filename"].duplicated()].unique().tolist()
    if twice:
        raise DataError(f"{path}: {_some(twice)} more than once; each clip must have one row")
    return table


def _check_clips(output: pd.DataFrame, truth: pd.DataFrame, output_csv: Path, truth_csv: Path) -> None:
    found, wanted = set(output["filename"]), set(truth["filename"])
    problems = []
    if wanted - found:
        problems.append(f"{output_csv}: lacks {_some(sorted(wanted - found))}, which {truth_csv.name} has")
    if found - wanted:
        problems.append(f"{output_csv}: has {_some(sorted(found - wanted))}, which {truth_csv.name} lacks")
    if problems:
        raise DataError("\n".join(problems))


def _probabilities(columns: pd.DataFrame, path: Path) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = columns.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1))
    if bad.any():
        names = columns.index.to_numpy()[bad].tolist()
        raise DataError(f"{path}: probabilities of {_some(names)} must be numbers of at least 0")
    sums = values.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        names = columns.index.to_numpy()[off].tolist()
        raise DataError(
            f"{path}: probabilities of {_some(names)} sum to {sums[off][0]:.3f}, not to 1: give probabilities, not "
            "logits or percentages"
        )
    return values


def _some(names: list[str]) -> str:
    """Return the number of names and the first three."""
    shown = ", ".join(names[:3])
    return f"{len(names)} clip{'s' if len(names) != 1 else ''} ({shown}{', …' if len(names) > 3 else ''})"
