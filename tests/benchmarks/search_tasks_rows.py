"""The file of finished searches: a CSV that grows by a row for each, and survives a kill at any time."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of a file; none if there is no file. A last row without its end is not one."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row to a file, which is made with its header if there is none.

    What a kill left of a row is removed first.

    Raises:
        ValueError: if the file has other columns.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    header = next(csv.reader([whole.partition("\n")[0]]), [])
    if header and header != list(row):
        raise ValueError(
            f"{path} has columns other than this report's, from {header[0]!r} to {header[-1]!r}: name another file"
        )
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
    if not header:
        writer.writeheader()
    writer.writerow(row)
    with path.open("r+" if path.exists() else "w", encoding="utf-8", newline="") as file:
        file.truncate(len(whole.encode()))
        file.seek(0, io.SEEK_END)
        file.write(buffer.getvalue())
