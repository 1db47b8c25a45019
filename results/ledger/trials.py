"""The trials of a search as a table, rebuilt from the ledger's events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.files import written_whole
from results.ledger.events import OF_TRIALS, Event, state_after
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory

INTEGERS = ("n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "rung", "epochs", "seed")
FLOATS = ("macro_accuracy", "log_loss", "seconds")
TEXTS = ("state", "reason")
COLUMNS = (
    *("n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "rung", "epochs"),
    *("macro_accuracy", "log_loss", "state", "reason", "seconds", "seed"),
)
"""Every column but `trial_id` and the parameters, which stand before them as `param_<name>`."""

_AT_START = ("n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "seed")
_AT_RUNG = (
    *("rung", "epochs", "macro_accuracy", "log_loss", "weight_bytes", "nonzero_weight_bytes", "file_bytes"),
    *("n_params", "macs"),
)


def trials_table(events: Iterable[Event]) -> pd.DataFrame:
    """Return one row per trial in order of appearance, infeasible proposals included.

    A trial's scores and sizes are those of the highest rung it finished; sizes before the first rung are estimates.
    `seconds` is the sum over its rungs. States are those of results/ledger/events.py: `finished` are only those that
    trained to the last rung. An infeasible proposal has no id of its own and is called `infeasible-<n>`.
    """
    rows: dict[str, dict[str, Any]] = {}
    n_infeasible = 0
    for event in events:
        n_infeasible += event["event"] == "infeasible"
        _apply(rows, event, f"infeasible-{n_infeasible}")
    names = sorted({key for row in rows.values() for key in row if key.startswith("param_")})
    frame = pd.DataFrame(
        [{column: row.get(column) for column in ("trial_id", *names, *COLUMNS)} for row in rows.values()],
        columns=["trial_id", *names, *COLUMNS],
        dtype=object,
    )
    types = {"trial_id": "string", **dict.fromkeys(INTEGERS, "Int64"), **dict.fromkeys(FLOATS, "float64")}
    frame = frame.astype({**types, **dict.fromkeys(TEXTS, "string")})
    return frame.assign(**{name: _uniform(frame[name]) for name in names})


def ranked_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that have a value, the best first: finished ones, then by how far they came, failed ones last.

    A value of few epochs says little of one of many, so that no trial that was paused or stopped stands before a
    finished one, whatever it reached.
    """
    scored = trials[trials["macro_accuracy"].notna() & (trials["state"] != "infeasible")]
    place = scored["state"].map({"finished": 0, "failed": 2}).fillna(1)
    by = ["_place", "epochs", "macro_accuracy", "log_loss"]
    ordered = scored.assign(_place=place).sort_values(by, ascending=[True, False, False, True], kind="stable")
    return ordered.drop(columns="_place")


def rungs_table(events: Iterable[Event]) -> pd.DataFrame:
    """Return one row per finished rung with its epochs, scores and seconds, sorted by trial and rung."""
    columns = ["trial_id", "rung", "epochs", "macro_accuracy", "log_loss", "seconds"]
    rungs = {
        (event["trial_id"], event["rung"]): {column: event.get(column) for column in columns}
        for event in events
        if event["event"] == "rung"
    }
    frame = pd.DataFrame([rungs[key] for key in sorted(rungs)], columns=columns)
    return frame.astype(
        {"trial_id": "string", "rung": "Int64", "epochs": "Int64", **dict.fromkeys(columns[3:], "float64")}
    )


def write_trials(run: RunDirectory) -> Path:
    """Bring `trials.parquet` up to the ledger and return its path; a file that is so already is left alone."""
    content = trials_table(Ledger(run.ledger_path).events()).to_parquet(index=False)
    if not run.trials_path.exists() or run.trials_path.read_bytes() != content:
        with written_whole(run.trials_path) as temporary:
            temporary.write_bytes(content)
    return run.trials_path


def _apply(rows: dict[str, dict[str, Any]], event: Event, infeasible_id: str) -> None:
    kind = event["event"]
    if kind == "infeasible":
        trial_id = str(event.get("trial_id") or infeasible_id)
        rows[trial_id] = {
            **_params(event),
            **{key: event.get(key) for key in _AT_START},
            "trial_id": trial_id,
            "state": state_after(event, None),
            "reason": event.get("reason"),
        }
        return
    if kind not in OF_TRIALS:
        return
    row = rows.setdefault(event["trial_id"], {"trial_id": event["trial_id"]})
    row["state"] = state_after(event, row.get("state"))
    if kind == "trial_started":
        row.update(_params(event))
        row.update({key: event[key] for key in _AT_START if key in event and key not in row})
    elif kind == "rung":
        _apply_rung(row, event)
    elif kind in {"trial_ended", "trial_retried"}:
        row["reason"] = event.get("reason")


def _apply_rung(row: dict[str, Any], event: Event) -> None:
    row["seconds"] = (row.get("seconds") or 0.0) + (event.get("seconds") or 0.0)
    if row.get("rung") is None or event["rung"] >= row["rung"]:
        row.update({key: event[key] for key in _AT_RUNG if event.get(key) is not None})
        row.update({key: event.get(key) for key in ("macro_accuracy", "log_loss")})  # null where training diverged


def _params(event: Event) -> dict[str, Any]:
    return {f"param_{name}": value for name, value in (event.get("params") or {}).items()}


def _uniform(column: pd.Series) -> pd.Series:
    """Return a parameter's values with one type, so that Parquet can hold them; lists and mixtures become JSON text."""
    kinds = {type(value) for value in column if value is not None}
    if kinds <= {bool}:
        return column.astype("boolean")
    if kinds <= {int}:
        return column.astype("Int64")
    if kinds <= {int, float}:
        return column.astype("float64")
    if kinds <= {str}:
        return column.astype("string")
    return column.map(lambda value: None if value is None else json.dumps(value)).astype("string")
