"""ESC-50 (K. J. Piczak, 2015), with `meta/esc50.csv` and `audio/`; ESC-10 consists of ten of its classes.

Columns: filename, fold, target, category, esc10, src_file, take. The location of a clip is the Freesound recording that
it was cut from (`src_file`). Classes are in the order of `target`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_prep.config import CorpusConfig
from data_prep.corpora.listing import Listing
from data_prep.corpora.lists import read_records
from data_prep.corpora.table import list_table
from data_prep.errors import DataError

TABLE = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")
"""Required columns."""


def read_esc50(root: Path, config: CorpusConfig) -> Listing:
    """Return the clips and folds of ESC-50, or of ESC-10 only.

    Raises:
        DataError: if the table can't be read or lacks a column.
    """
    path = root / TABLE
    columns, records = read_records(path)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{path}: has no column {', '.join(missing)}; ESC-50's table has {', '.join(COLUMNS)}. Read another table "
            f"with --table {TABLE} --file-column NAME --label-column NAME."
        )
    if config.subset == "esc10":
        records = [(line, fields) for line, fields in records if (fields["esc10"] or "").lower() == "true"]
    by_target = sorted({(_target(path, line, fields["target"]), fields["category"] or "") for line, fields in records})
    chosen = {"file": "filename", "label": "category", "location": "src_file", "fold": "fold"}
    listing = list_table(path, records, chosen, root, cuts_folds=config.k_folds is not None)
    return replace(listing, layout="esc50", classes=tuple(dict.fromkeys(scene for _, scene in by_target if scene)))


def _target(path: Path, line: int, text: str | None) -> int:
    if text is None or not text.isdecimal():
        raise DataError(f"{path}, line {line}: {text!r} is not a target. Targets are class numbers from 0.")
    return int(text)
