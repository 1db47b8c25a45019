"""Report content about calibration: does a system's confidence agree with its accuracy on test?"""

from __future__ import annotations

from typing import NamedTuple

from asc_models.ensemble import temper
from asc_models.metrics import ConfidenceBin, calibration_error, confidence_bins
from results.report.data import RunData
from results.report.table import Column, Table
from results.report.text import Content, percent

N_SYSTEMS = 4
"""Most systems that the figure and its table show."""


class SystemBin(NamedTuple):
    """A bin of one system."""

    system: str
    bin: ConfidenceBin


def calibration_table(data: RunData) -> Table[SystemBin]:
    """Return the bins of the selected candidate and of the ensembles on test; no rows without a selected candidate.

    A single candidate without a temperature is no system of its own.
    """
    ensembles = [one.name for one in data.ensembles if not one.is_single or one.temperature != 1.0]
    names = [] if data.selected is None else [data.selected.name, *ensembles]
    shown = [name for name in names if name in data.test][:N_SYSTEMS]
    return Table(
        [
            SystemBin(name, one)
            for name in shown
            for one in confidence_bins(data.test[name].labels, data.test[name].probabilities)
        ],
        (
            Column("system", lambda row: row.system, kind="text"),
            Column("low", lambda row: row.bin.low),
            Column(
                "high",
                lambda row: row.bin.high,
                heading="confidence",
                format=lambda row: f"{100 * row.bin.low:.1f}–{100 * row.bin.high:.1f} %",
            ),
            Column("n_clips", lambda row: row.bin.n_clips, "count", "clips"),
            Column("confidence", lambda row: row.bin.confidence, "share", "mean confidence"),
            Column("accuracy", lambda row: row.bin.accuracy, "share", "correct"),
        ),
        page=("system", "high", "n_clips", "confidence", "accuracy"),
    )


def calibration(data: RunData) -> Content | None:
    """Return a sentence about the selected candidate and the table of bins, None if no system has test predictions."""
    found = calibration_table(data)
    return {"text": _verdict(data), "table": found.content()} if found.rows else None


def _verdict(data: RunData) -> str:
    """Return whether the selected candidate is as often right on test as it is confident, and with its temperature."""
    if data.selected is None or data.selected.name not in data.test:
        return ""
    name, test = data.selected.name, data.test[data.selected.name]
    right = float((test.probabilities.argmax(axis=1) == test.labels).mean())
    confident = float(test.probabilities.max(axis=1).mean())
    error = calibration_error(test.labels, test.probabilities)
    verdict = "under-confident" if confident < right else "over-confident"
    text = (
        f"{name} is {verdict} as exported: its mean confidence is {percent(confident)}, and {percent(right)} of the "
        f"clips are right; ECE {percent(error)}."
    )
    own = data.calibrations.get(name)
    if own is not None and own.temperature != 1.0:
        tempered = calibration_error(test.labels, temper(test.probabilities, own.temperature))
        text += f" With its temperature {own.temperature:.2f}, ECE is {percent(tempered)}."
    return text
