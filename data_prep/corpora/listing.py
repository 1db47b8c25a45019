"""The output of a layout's reader: the rows of all lists, unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.corpora.corpus import ListedSplit


@dataclass(frozen=True, slots=True)
class ListRow:
    """One row of a list; None for values that the list does not give."""

    path: Path
    line: int
    """Line number from 1; 0 if the row comes from a folder instead of a list."""
    filename: str
    scene: str | None = None
    device: str | None = None
    city: str | None = None
    location: str | None = None
    segment: str | None = None

    @property
    def where(self) -> str:
        """File and line, or the folder, for messages."""
        return f"{self.path}, line {self.line}" if self.line else str(self.path)

    def completed(self, other: ListRow | None) -> ListRow:
        """Return this row with missing values filled in from `other`."""
        if other is None:
            return self
        return ListRow(
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
class FoldList:
    """One list of one fold."""

    title: str
    """Name of the list in messages."""
    path: Path
    rows: Sequence[ListRow]


ListedFolds = Mapping[int, Mapping[ListedSplit, FoldList]]


@dataclass(frozen=True)
class Listing:
    """All rows of a data set's lists."""

    layout: str
    folds: ListedFolds
    """Empty if the data set lists no folds; `described` is then split into k folds."""
    described: Sequence[ListRow] = ()
    """Rows of the table that describes the clips (`meta.csv`), listed in a fold or not."""
    warnings: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """The scenes in the data set's order, if it defines one."""
