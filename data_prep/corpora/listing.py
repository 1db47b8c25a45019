"""What the reader of a layout hands on: the rows of every list, as they stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.corpora.corpus import ListedSplit


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list; None where the list says nothing."""

    path: Path
    line: int
    """From 1; 0 where a folder says it, not a list."""
    filename: str
    scene: str | None = None
    device: str | None = None
    city: str | None = None
    location: str | None = None
    segment: str | None = None

    @property
    def where(self) -> str:
        """File and line, or the folder that stands for a list, for messages."""
        return f"{self.path}, line {self.line}" if self.line else str(self.path)

    def completed(self, other: Row | None) -> Row:
        """Return this row with what only `other` says."""
        if other is None:
            return self
        return Row(
            self.path,
            self.line,
            self.filename,
            scene=self.scene or other.scene,
            device=self.device or other.device,
            city=self.city or other.city,
            location=self.location or other.location,
            segment=self.segment or other.segment,
        )


@dataclass(frozen=True)
class ListedRows:
    """One list of one fold."""

    title: str
    """What it is called in messages."""
    path: Path
    rows: Sequence[Row]


Folds = Mapping[int, Mapping[ListedSplit, ListedRows]]


@dataclass(frozen=True)
class Listing:
    """All that a data set's lists say."""

    layout: str
    folds: Folds
    """Empty where the data set lists no folds: then `described` is cut into k folds."""
    described: Sequence[Row] = ()
    """Rows of the table that describes the clips (`meta.csv`), listed in a fold or not."""
    warnings: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """The scenes in the data set's own order, where it names one."""
