"""The report's tables, one CSV file each. Accuracies are shares in [0, 1], log losses nats, sizes bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from data_prep.files import write_text
from results.candidates.predictions import Predictions
from results.candidates.seeds import seeds_table
from results.published import CLASS_WISE, COLUMNS, DEVICE_WISE, SYSTEMS
from results.report.data import RunData, accuracy_interval

Group = Literal["scene", "device"]


def candidates_table(data: RunData) -> pd.DataFrame:
    """Return one row per candidate, best validation log loss first; `low`, `high` bound test accuracy at 95 %."""
    rows = []
    for candidate in data.candidates:
        metrics = candidate.metrics
        low, high = data.interval(candidate.name)
        rows.append(
            {
                "candidate": candidate.name,
                "selected": candidate is data.selected,
                "validation_macro_accuracy": metrics.value("validation", "macro_accuracy"),
                "validation_log_loss": metrics.value("validation", "log_loss"),
                "test_macro_accuracy": metrics.value("test", "macro_accuracy"),
                "test_low": low,
                "test_high": high,
                "test_log_loss": metrics.value("test", "log_loss"),
                "within_limit": data.limits.verdict([metrics]).feasible,
                "nonzero_weight_bytes": metrics.nonzero_weight_bytes,
                "weight_bytes": metrics.weight_bytes,
                "quantization_bytes": metrics.quantization_bytes,
                "file_bytes": metrics.file_bytes,
                "n_params": metrics.n_params,
                "macs": metrics.macs,
                "mode": metrics.mode,
                "agreement": metrics.agreement,
                "best_epoch": metrics.best_epoch,
                "epochs": metrics.epochs,
                "seed": metrics.seed,
                "trial_id": metrics.trial_id,
                "trained_on": " + ".join(metrics.trained_on),
            }
        )
    return pd.DataFrame(rows)


def ensembles_table(data: RunData) -> pd.DataFrame:
    """Return one row per member of each ensemble."""
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    rows = [
        {
            "ensemble": ensemble.name,
            "member": member,
            "weight": weight,
            data.limit.quantity: sizes.get(member),
            "temperature": ensemble.temperature,
            **{
                f"{split}_{score}": ensemble.metrics.get(split, {}).get(score)
                for split in ("validation", "test")
                for score in ("macro_accuracy", "log_loss")
            },
        }
        for ensemble in data.ensembles
        for member, weight in ensemble.members.items()
    ]
    return pd.DataFrame(rows)


def group_table(data: RunData, group: Group) -> pd.DataFrame:
    """Return test accuracy by scene (in class order) or by device, one row each.

    Columns: the group, n_clips, then the selected candidate's macro_accuracy, low, high (95 %) and log_loss, then every
    other system's accuracy under its name, then on TAU the published accuracies as `published: <system>`.
    """
    if data.selected is None or data.selected.name not in data.test:
        return pd.DataFrame(columns=[group, "n_clips", "macro_accuracy", "low", "high", "log_loss"])
    selected = data.test[data.selected.name]
    summaries = {name: predictions.summarize()[f"by_{group}"] for name, predictions in data.test.items()}
    rows = []
    for name, entry in summaries[data.selected.name].items():
        low, high = accuracy_interval(_part(selected, group, name))
        row: dict[str, Any] = {group: name, "n_clips": entry["n_clips"], "macro_accuracy": entry["macro_accuracy"]}
        row |= {"low": low, "high": high, "log_loss": entry["log_loss"]}
        others = (other for other in summaries if other != data.selected.name)
        row |= {other: summaries[other].get(name, {}).get("macro_accuracy") for other in others}
        rows.append(row | _published(data, group, name))
    return pd.DataFrame(rows)


def confusion_table(predictions: Predictions) -> pd.DataFrame:
    """Return counts of clips, true scenes down (index `scene`), chosen scenes across, both in class order."""
    n = len(predictions.classes)
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (predictions.labels, predictions.probabilities.argmax(axis=1)), 1)
    return pd.DataFrame(counts, index=pd.Index(predictions.classes, name="scene"), columns=list(predictions.classes))


def published_table(data: RunData) -> pd.DataFrame:
    """Return the published systems (accuracy as a share) where the run is on TAU's scenes, else nothing."""
    rows = [
        {
            "system": system.name,
            "macro_accuracy": round(system.macro_accuracy / 100, 4),
            "log_loss": system.log_loss,
            "size": system.size,
            "source": system.source,
        }
        for system in (SYSTEMS if data.has_published else ())
    ]
    return pd.DataFrame(rows, columns=["system", "macro_accuracy", "log_loss", "size", "source"])


def all_tables(data: RunData) -> dict[str, pd.DataFrame]:
    """Return {file stem: table}, without those that have no rows."""
    tables = {
        "candidates": candidates_table(data),
        "seeds": seeds_table(data.candidates, data.limit.quantity),
        "ensembles": ensembles_table(data),
        "by_scene": group_table(data, "scene"),
        "by_device": group_table(data, "device"),
        "trials": data.trials,
        "rungs": data.rungs,
        "published": published_table(data),
    }
    if data.selected is not None and data.selected.name in data.test:
        tables["confusion"] = confusion_table(data.test[data.selected.name]).reset_index()
    return {name: table for name, table in tables.items() if not table.empty}


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write each table as `<stem>.csv`: comma separated, six significant digits."""
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _part(predictions: Predictions, group: Group, name: str) -> Predictions:
    rows = (predictions.clips[group].astype(str) == name).to_numpy()
    return Predictions(predictions.clips[rows], predictions.probabilities[rows], predictions.classes)


def _published(data: RunData, group: Group, name: str) -> dict[str, float]:
    if not data.has_published:
        return {}
    table = CLASS_WISE if group == "scene" else DEVICE_WISE
    found = table.get(name, {})
    return {f"published: {system}": round(found[system] / 100, 4) for system in COLUMNS if system in found}
