"""Report content about knobs: which of them change the score of a trial."""

from __future__ import annotations

from data_prep.wording import plural
from results.ledger.importance import KnobImportance
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import Content


def knob_table(data: RunData) -> Table[KnobImportance]:
    """Return the knobs, most important first; no rows with too few trials."""
    return Table(
        () if data.knobs is None else data.knobs.importances,
        (
            Column("knob", lambda row: row.knob, kind="text", format=lambda row: row.knob.replace("_", " ")),
            Column("importance", lambda row: row.importance, heading="drop of R² if shuffled", format=_written),
            Column("importance_sd", lambda row: row.deviation),
        ),
        page=("knob", "importance"),
    )


def knobs(data: RunData) -> Content | None:
    """Return a sentence and the table, None with too few trials."""
    effects = data.knobs
    if effects is None:
        return None
    n, share = plural(len(effects.trials), "trial"), max(0.0, effects.r_squared)
    text = (
        f"At epoch {effects.epochs}, over {n}: the knobs predict {100 * share:.0f} % of the variance of macro accuracy "
        "over trials that the prediction has not seen."
    )
    if effects.r_squared <= 0.0:
        text += " So importances are noise here, and are not shown."
    return {"text": text, "table": knob_table(data).content() if effects.r_squared > 0.0 else None}


def _written(row: KnobImportance) -> str:
    return f"{row.importance:.2f} ± {row.deviation:.2f}"
