"""The CSV tables of the report. Accuracies are shares in [0, 1], log losses are in nats, sizes in bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.files.files import write_text
from data_prep.wording import inert
from results.candidates.predictions import Predictions
from results.report.data import RunData
from results.report.tables.baselines import baseline_table
from results.report.tables.calibration import calibration_table
from results.report.tables.candidates import candidate_table
from results.report.tables.clips import clip_table
from results.report.tables.devices import device_table
from results.report.tables.ensembles import member_table, method_table
from results.report.tables.fine_tuning import fine_tuning_table
from results.report.tables.groups import score_table
from results.report.tables.knobs import knob_table
from results.report.tables.packed import packed_differences, packed_rows, packed_table
from results.report.tables.published import system_table
from results.report.tables.seeds import seed_table
from results.report.tables.ties import difference_table, tie_table, validation_differences


def confusion_table(predictions: Predictions) -> pd.DataFrame:
    """Return counts of clips: rows are true scenes (index `scene`), columns predicted scenes, both in class order."""
    n = len(predictions.classes)
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (predictions.labels, predictions.probabilities.argmax(axis=1)), 1)
    return pd.DataFrame(counts, index=pd.Index(predictions.classes, name="scene"), columns=list(predictions.classes))


def training_table(data: RunData) -> pd.DataFrame:
    """Return one row per epoch of the trainings that the report shows: `candidate`, then the columns of a history."""
    shown = [epochs.assign(candidate=name) for name, epochs in data.histories.items()]
    if not shown:
        return pd.DataFrame()
    return pd.concat(shown, ignore_index=True)[["candidate", *shown[0].columns[:-1]]]


def all_tables(data: RunData) -> dict[str, pd.DataFrame]:
    """Return {file stem: table} of all tables that have rows."""
    tables = {
        "candidates": candidate_table(data).frame(),
        "seeds": seed_table(data).frame(),
        "baselines": baseline_table(data).frame(),
        "ensembles": member_table(data, data.ensembles).frame(),
        "ensemble_methods": method_table(data.ensembles, data.limit.quantity).frame(),
        "ties": tie_table(data).frame(),
        "differences": difference_table(validation_differences(data)).frame(),
        "by_scene": score_table(data, "scene").frame(),
        "by_device": score_table(data, "device").frame(),
        "worst_devices": device_table(data).frame(),
        "fine_tuning": fine_tuning_table(data).frame(),
        "submission": packed_table(data, packed := packed_rows(data)).frame(),
        "test_differences": difference_table(packed_differences(data, packed)).frame(),
        "clips": clip_table(data).frame(),
        "calibration": calibration_table(data).frame(),
        "training": training_table(data),
        "trials": data.trials,
        "rungs": data.rungs,
        "knobs": knob_table(data).frame(),
        "published": system_table(data).frame(),
    }
    if data.selected is not None and data.selected.name in data.test:
        tables["confusion"] = confusion_table(data.test[data.selected.name]).reset_index()
    return {name: table for name, table in tables.items() if not table.empty}


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write each table as `<stem>.csv`: comma separated, with six significant digits.

    Text that a spreadsheet would interpret as a formula is prefixed with an apostrophe; control characters are escaped.
    """
    for name, table in tables.items():
        safe = table.rename(columns=inert).map(inert)
        write_text(folder / f"{name}.csv", safe.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
