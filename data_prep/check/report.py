"""Results of `asc data check` and their tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from data_prep.corpora.own_tables import COUNT_COLUMNS, FINDING_COLUMNS
from data_prep.files.files import write_text
from data_prep.wording import inert

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One error or warning."""

    severity: Severity
    """`error` if `asc prepare` would refuse the data set or quarantine the clip."""
    kind: str
    """missing, unreadable, header, silent, duplicate, length, form, unlisted, or a problem of the lists."""
    filename: str
    """Relative to the data set's folder; empty if it concerns no single file."""
    where: str
    """List and line."""
    message: str


@dataclass(frozen=True)
class Count:
    """Clips of one fold, split, device and scene."""

    fold: int
    split: str
    device: str
    scene: str
    n_listed: int
    n_usable: int
    """Clips that are on disk and can be decoded."""


@dataclass(frozen=True)
class CheckReport:
    """Result of a check."""

    layout: str
    """Layout of the data set; empty if the lists can't be read."""
    n_listed: int
    n_files: int
    """Number of audio files on disk, all of which were decoded."""
    n_described: int
    """Clips that are only in the table of the data set; they are not prepared."""
    hours: float
    """Total length of the decodable recordings."""
    typical_seconds: float
    """Median length of the recordings."""
    forms: Mapping[tuple[str, int, int], int]
    """{(encoding, rate in Hz, channels): number of files}."""
    findings: tuple[Finding, ...]
    counts: tuple[Count, ...]

    @property
    def n_errors(self) -> int:
        """Number of findings with severity `error`."""
        return sum(finding.severity == "error" for finding in self.findings)


def report_values(report: CheckReport) -> dict[str, Any]:
    """Return the report as plain values for JSON."""
    return {
        **{name: getattr(report, name) for name in ("layout", "n_listed", "n_files", "n_described", "n_errors")},
        "hours": round(report.hours, 3),
        "typical_seconds": report.typical_seconds,
        "forms": [
            {"encoding": encoding, "sample_rate": rate, "channels": channels, "n_files": n}
            for (encoding, rate, channels), n in report.forms.items()
        ],
        "findings": [asdict(finding) for finding in report.findings],
        "counts": [asdict(count) for count in report.counts],
    }


def write_report(report: CheckReport, path: Path) -> Path:
    """Write the findings to `path` and the counts next to it, both as CSV; return the path of the counts.

    Raises:
        AscError: if they can't be written.
    """
    counts_path = path.with_name(f"{path.stem}.counts.csv")
    write_text(path, _csv(FINDING_COLUMNS, report.findings))
    write_text(counts_path, _csv(COUNT_COLUMNS, report.counts))
    return counts_path


def _csv(columns: Sequence[str], rows: Sequence[Finding] | Sequence[Count]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in asdict(row).items()} for row in rows)
    return text.getvalue()
