"""Tables of the trials and rungs of a search, rebuilt from the ledger's events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.files.files import written_whole
from results.ledger.events import Event, is_kind, of_kind
from results.ledger.ledger import Ledger
from results.ledger.trial import Trial, Trials
from results.rundir import RunDirectory

INTEGERS = ("n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "rung", "epochs", "seed")
FLOATS = ("macro_accuracy", "log_loss", "seconds")
TEXTS = ("state", "reason")
COLUMNS = (
    *("n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "rung", "epochs"),
    *("macro_accuracy", "log_loss", "state", "reason", "seconds", "seed"),
)
"""Columns after `trial_id` and the parameters, which are named `param_<name>`."""


def trials_table(events: Iterable[Event]) -> pd.DataFrame:
    """Return one row per trial in order of start, including infeasible proposals.

    Scores and sizes are those of the highest rung reached; sizes before the first rung are estimates. `seconds` is the
    total over all rungs. `state` is one of `STATES` (results/ledger/events.py): only trials that reached the last rung
    are `finished`. Infeasible proposals without an id are named `infeasible-<n>`.
    """
    trials, n_infeasible = Trials(), 0
    for event in events:
        trials.apply(event)
        if is_kind(event, "infeasible"):
            n_infeasible += 1
            proposal = Trial(str(event.get("trial_id") or f"infeasible-{n_infeasible}"))
            proposal.apply(event)
            trials[proposal.trial_id] = proposal
    rows = [_row(trial) for trial in trials.values()]
    names = sorted({key for row in rows for key in row if key.startswith("param_")})
    columns = ["trial_id", *names, *COLUMNS]
    frame = pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=columns, dtype=object)
    types = {"trial_id": "string", **dict.fromkeys(INTEGERS, "Int64"), **dict.fromkeys(FLOATS, "float64")}
    frame = frame.astype({**types, **dict.fromkeys(TEXTS, "string")})
    return frame.assign(**{name: _uniform(frame[name]) for name in names})


def ranked_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that have a score, best first: finished trials, then the others, failed trials last.

    Trials with the same status are sorted by epochs, then by score. Scores after few epochs predict final scores
    poorly, so a paused or stopped trial never ranks above a finished one.
    """
    scored = trials[trials["macro_accuracy"].notna() & (trials["state"] != "infeasible")]
    tier = scored["state"].map({"finished": 0, "failed": 2}).fillna(1)
    by = ["_tier", "epochs", "macro_accuracy", "log_loss"]
    ordered = scored.assign(_tier=tier).sort_values(by, ascending=[True, False, False, True], kind="stable")
    return ordered.drop(columns="_tier")


def rungs_table(events: Iterable[Event]) -> pd.DataFrame:
    """Return one row per finished rung with its epochs, scores and seconds, sorted by trial and rung."""
    columns = ["trial_id", "rung", "epochs", "macro_accuracy", "log_loss", "seconds"]
    rungs = {
        (event["trial_id"], event["rung"]): {column: event.get(column) for column in columns}
        for event in of_kind(events, "rung")
    }
    frame = pd.DataFrame([rungs[key] for key in sorted(rungs)], columns=columns)
    return frame.astype(
        {"trial_id": "string", "rung": "Int64", "epochs": "Int64", **dict.fromkeys(columns[3:], "float64")}
    )


def write_trials(run: RunDirectory) -> Path:
    """Update `trials.parquet` from the ledger and return its path; an up-to-date file is not rewritten."""
    content = trials_table(Ledger(run.ledger_path).events()).to_parquet(index=False)
    if not run.trials_path.exists() or run.trials_path.read_bytes() != content:
        with written_whole(run.trials_path) as temporary:
            temporary.write_bytes(content)
    return run.trials_path


@contextmanager
def trials_written(run: RunDirectory) -> Iterator[None]:
    """Update `trials.parquet` when the block ends, also if it ends with an error, which no failure to write replaces.

    Even a block without new trials has work to do: a killed process may have left an older table.
    """
    try:
        yield
    except BaseException:
        with suppress(Exception):
            if len(trials_table(Ledger(run.ledger_path).events())):  # a run that never started leaves no file
                write_trials(run)
        raise
    write_trials(run)


def _row(trial: Trial) -> dict[str, Any]:
    row = {name: getattr(trial, name) for name in ("trial_id", *COLUMNS)}
    if trial.rung < 0:
        row["rung"] = row["epochs"] = None
    return row | {f"param_{name}": value for name, value in trial.params.items()}


def _uniform(column: pd.Series) -> pd.Series:
    """Return a parameter's values with a single type, as Parquet requires; lists and mixed types become JSON text."""
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
