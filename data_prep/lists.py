"""The lists of a data set: text tables with TAB or comma, any line ends, with or without a byte order mark."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.errors import DataError


@dataclass(frozen=True)
class ListRow:
    """One row of a list or of `meta.csv`; None where the column is missing or the field empty."""

    line: int
    filename: str
    scene: str | None
    identifier: str | None
    source_label: str | None

    def completed(self, meta: ListRow | None, path: Path) -> ListRow:
        """Return this row of the list `path` with the scene that `meta.csv` gives, if it has none itself.

        Raises:
            DataError: if the two have different scenes.
        """
        if meta is None or meta.scene is None or meta.scene == self.scene:
            return self
        if self.scene is None:
            return replace(self, scene=meta.scene)
        raise DataError(
            f"{path}, line {self.line}: {self.filename} has the scene {self.scene!r} here, but {meta.scene!r} in "
            f"meta.csv, line {meta.line}. Mend one of them."
        )


def read_list(path: Path) -> list[ListRow]:
    """Return the rows of a list.

    Raises:
        DataError: if the file can't be read, has no column `filename`, has no rows, or a row has no file name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list in UTF-8: {error}") from None
    lines = text.splitlines()
    header = lines[0] if lines else ""
    reader = csv.DictReader(lines, delimiter="\t" if "\t" in header or "," not in header else ",")
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if "filename" not in columns:
        raise DataError(
            f"{path}: the first line must name the columns (filename, scene_label; in meta.csv also identifier and "
            f"source_label), separated by TAB or comma; it is {header[:80]!r}"
        )
    reader.fieldnames = columns
    rows = [_parse(row, reader.line_num, path) for row in reader if any(row.values())]
    if not rows:
        raise DataError(f"{path}: the list is empty. Fill it, or remove the file if this fold has no such list.")
    return rows


def _parse(fields: dict[str, str | None], line: int, path: Path) -> ListRow:
    def field(name: str) -> str | None:
        """Return the text of a column, None where there is none."""
        return (fields.get(name) or "").strip() or None

    filename = field("filename")
    if filename is None:
        raise DataError(f"{path}, line {line}: the row has no file name")
    return ListRow(line, filename, field("scene_label"), field("identifier"), field("source_label"))
