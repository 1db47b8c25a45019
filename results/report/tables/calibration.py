"""Report content about calibration: does a system's confidence agree with its accuracy on test?"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from asc_models.metrics import ConfidenceBin, calibration_error, confidence_bins
from results.candidates.predictions import Predictions
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import Content, percent

N_SYSTEMS = 4
"""Most systems that the figure and its table show."""


class SystemBin(NamedTuple):
    """A bin of one system."""

    system: str
    bin: ConfidenceBin


def calibrated_systems(data: RunData) -> dict[str, Predictions]:
    """Return {name: test predictions} of the selected candidate as exported and with its temperature, and ensembles."""
    if data.selected is None:
        return {}
    name = data.selected.name
    systems = {one: data.test[one] for one in (name, *(one.name for one in data.ensembles)) if one in data.test}
    temperature = data.temperature(name)
    if temperature != 1.0 and name in data.test:
        with_it = {f"{name} with temperature {temperature:.2f}": data.packed_test(name)}
        systems = {name: systems.pop(name), **with_it, **systems}
    return dict(islice(systems.items(), N_SYSTEMS))


def calibration_table(data: RunData) -> Table[SystemBin]:
    """Return the bins of `calibrated_systems` on test; no rows without a selected candidate."""
    return Table(
        [
            SystemBin(name, one)
            for name, test in calibrated_systems(data).items()
            for one in confidence_bins(test.labels, test.probabilities)
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
    if (temperature := data.temperature(name)) != 1.0:
        error = calibration_error(test.labels, data.packed_test(name).probabilities)
        text += f" With its temperature {temperature:.2f}, ECE is {percent(error)}."
    return text
