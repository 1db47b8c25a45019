"""Data sets described by a single table: CSV or TSV with a header, or Parquet, with one row per clip.

Required columns are files (relative to the data set's folder, its `audio/`, or a folder per fold) and labels; device,
location, city, segment, split and fold are optional. Columns are configured, or found by common names.

Columns determine the splits:

- **split only**: one fold, numbered 1. `train`, `training` → train; `validation`, `valid`, `val` → validation, and none
  is cut from training; `test`, `testing`, `evaluate` → test, or evaluation if no row has a label; `evaluation`, `eval`
  → evaluation, labelled or not. A row with an empty field is in no list.
- **fold only**: a row of fold k is test in fold k and train in all others (as in ESC-50). A row with an empty field is
  in no list.
- **both**: a row is in that split of that fold, or of every fold if the fold is empty. A clip of several folds has
  several rows.
- **neither**: k folds by location (`prepare.corpus.k_folds`, by default 5); rows without a label → evaluation.

With `k_folds`, new folds are made of the clips that are in a list, except for evaluation clips; any value is a split or
fold. Folds numbered from 0 are renumbered from 1. If a city is given, it is prepended to locations that don't begin
with it, so that locations are unique across cities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from data_prep.config import CorpusConfig
from data_prep.corpora.corpus import ListedSplit
from data_prep.corpora.disk import is_on_disk
from data_prep.corpora.listing import FoldList, ListedFolds, Listing, ListRow
from data_prep.corpora.lists import filename_of, read_columns, read_records
from data_prep.corpora.own_tables import is_own_table
from data_prep.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet")
USUAL: Mapping[str, tuple[str, ...]] = {
    "file": ("filename", "file", "path", "file_name", "filepath"),
    "label": ("scene_label", "scene", "label", "class", "category"),
    "device": ("source_label", "device"),
    "location": ("identifier", "location"),
    "city": ("city",),
    "segment": ("segment",),
    "split": ("split", "subset"),
    "fold": ("fold",),
}
"""Common column names by content, in order of preference; used for columns that are not configured."""
SPLIT_WORDS: Mapping[str, ListedSplit] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "evaluate": "test",
    "evaluation": "evaluation",
    "eval": "evaluation",
}
N_TRIED = 50
"""Number of files tried to detect the folder that names are relative to."""
_FOLDERS = ("", "audio/", "audio/fold{fold}/", "audio/{fold}/", "fold{fold}/", "{fold}/")
"""Folders that the names in a table may be relative to, in order of preference."""
_NAMES = ("meta", "metadata")
"""Tables with these names take precedence over others."""
_POOLED = ""
"""Column of the splits of pooled rows; columns of a table have a name."""
_Record = tuple[int, Mapping[str, str | None]]
"""Line number and {column: text} of a row."""
FOLD = re.compile(r"(?:fold)?[ _-]?(\d+)(?:[.,]0)?")


@dataclass(frozen=True)
class _SplitRow:
    """A row with the values of its split and fold columns."""

    row: ListRow
    split: ListedSplit | None
    fold: int | None


def read_table(root: Path, config: CorpusConfig) -> Listing:
    """Return the rows and folds of the data set's table.

    Raises:
        DataError: if there is no table or more than one, it can't be read, a column is missing, or a value is invalid.
    """
    path = root / config.table if config.table is not None else find_table(root, config.file_column)
    columns, records = _read(path)
    chosen = _choose_columns(columns, config, path)
    return list_table(path, records, chosen, root, cuts_folds=config.k_folds is not None)


def list_table(
    path: Path, records: Sequence[_Record], chosen: Mapping[str, str], root: Path, *, cuts_folds: bool = False
) -> Listing:
    """Return the rows and folds of a table.

    Args:
        path: the table, for messages.
        records: the table's rows.
        chosen: {content: column}; contents are the keys of `USUAL`.
        root: the data set's folder.
        cuts_folds: whether new folds are cut from the clips, so that splits and folds may have any values.

    Raises:
        DataError: if there are no rows, or a value is invalid.
    """
    warnings = []
    if cuts_folds and (invalid := _invalid_fold(records, chosen)) is not None:
        warnings.append(f"{path.name}: {invalid}; its folds are not used, and only evaluation clips stay apart")
        records, chosen = _pooled(records, chosen)
    rows = [_split_row(path, line, fields, chosen, root) for line, fields in records]
    if not rows:
        raise DataError(f"{path}: the table is empty.")
    rows = _with_folders(root, rows)
    if "label" not in chosen:
        warnings.append(f"{path.name} has no column of labels ({', '.join(USUAL['label'])}), so no clip is labelled")
    if 0 in {entry.fold for entry in rows}:
        rows = [replace(entry, fold=None if entry.fold is None else entry.fold + 1) for entry in rows]
        warnings.append(f"the folds of {path.name} count from 0; they are renumbered from 1")
    by_split, by_fold = "split" in chosen, "fold" in chosen
    if not cuts_folds and by_fold and not by_split:
        _validate_folds(path, rows)
    folds = _folds(path, rows, by_split=by_split)
    if not folds:
        return Listing("table", {}, [entry.row for entry in rows], tuple(warnings))
    unlisted = [entry.row for entry in rows if (entry.split if by_split else entry.fold) is None]
    return Listing("table", folds, unlisted, tuple(warnings))


def find_table(root: Path, file_column: str | None = None) -> Path:
    """Return the only table in a folder that has a column of files; `meta` and `metadata` take precedence.

    Args:
        root: the data set's folder.
        file_column: name of the column of files; None looks for common names.

    Raises:
        DataError: if there is no such table or more than one.
    """
    tables, rejected = tables_of(root, file_column)
    broken = next((error for path, error in rejected.items() if path.stem in _NAMES and error.is_broken), None)
    if broken is not None:
        raise broken
    named = [path for path in tables if path.stem in _NAMES]
    if len(named or tables) == 1:
        return (named or tables)[0]
    if not tables:
        looked = "".join(f"\nTried: {error}" for error in rejected.values())
        raise DataError(
            f"{root}: contains no table ({', '.join(SUFFIXES)}) with a column of files "
            f"({file_column or ', '.join(USUAL['file'])}). Name table and columns: --table meta.csv --file-column path "
            f"--label-column label.{looked}"
        )
    raise DataError(
        f"{root}: contains several tables ({', '.join(path.name for path in tables)}). Name one with --table."
    )


class NoTableError(DataError):
    """A file with the suffix of a table that does not list recordings."""

    def __init__(self, message: str, *, is_broken: bool) -> None:
        super().__init__(message)
        self.is_broken = is_broken
        """True if it can't be read, False if it has no column of files."""


def tables_of(root: Path, file_column: str | None = None) -> tuple[list[Path], dict[Path, NoTableError]]:
    """Return the tables directly in `root` that have a column of files, and {other table: reason}.

    What `asc` wrote there is neither.
    """
    tables: list[Path] = []
    rejected: dict[Path, NoTableError] = {}
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        try:
            columns = _columns(path)
        except DataError as error:
            rejected[path] = NoTableError(str(error), is_broken=True)
            continue
        if is_own_table(columns):
            continue
        if file_column not in columns and (file_column is not None or _usual("file", columns) is None):
            rejected[path] = NoTableError(_no_files(path, columns), is_broken=False)
        else:
            tables.append(path)
    return tables, rejected


def _columns(path: Path) -> Sequence[str]:
    if path.suffix.lower() != ".parquet":
        return read_columns(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise _not_parquet(path, error) from None
    return names


def _not_parquet(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as Parquet: {error}")


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    if not path.is_file():
        raise DataError(f"{path}: no such table. Its name is relative to the data set's folder.")
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    return read_records(path)


def _read_parquet(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _not_parquet(path, error) from None
    records = [
        (number, {str(key): _text(value) for key, value in record.items()})
        for number, record in enumerate(table.to_pylist(), start=1)
    ]
    return list(table.column_names), records


def _text(value: Any) -> str | None:
    if value is None or value != value:  # NaN differs from itself
        return None
    return str(value).strip() or None


def _choose_columns(columns: Sequence[str], config: CorpusConfig, path: Path) -> dict[str, str]:
    chosen = {}
    for what in USUAL:
        wanted = getattr(config, f"{what}_column")
        if wanted is not None and wanted not in columns:
            raise DataError(
                f"{path}: has no column {wanted!r}, which prepare.corpus.{what}_column names. It has "
                f"{', '.join(columns) or 'none'}."
            )
        name = wanted or _usual(what, columns)
        if name is not None:
            chosen[what] = name
    if "file" not in chosen:
        raise DataError(_no_files(path, columns))
    return chosen


def _no_files(path: Path, columns: Sequence[str]) -> str:
    return (
        f"{path}: has no column of files ({', '.join(USUAL['file'])}); its columns: {', '.join(columns) or 'none'}. "
        "Name it with --file-column or prepare.corpus.file_column."
    )


def _usual(what: str, columns: Sequence[str]) -> str | None:
    by_lower = {column.lower(): column for column in reversed(columns)}
    return next((by_lower[name] for name in USUAL[what] if name in by_lower), None)


def _invalid_fold(records: Sequence[_Record], chosen: Mapping[str, str]) -> str | None:
    """Return a message about the first value that is not a split or fold, or None if there is none."""
    for line, fields in records:
        words = {what: fields.get(chosen[what]) for what in ("split", "fold") if what in chosen}
        for what, word in words.items():
            if word is None or (word.lower() in SPLIT_WORDS if what == "split" else FOLD.fullmatch(word.lower())):
                continue
            return f"{word!r} in line {line} is not a {what}"
    return None


def _pooled(records: Sequence[_Record], chosen: Mapping[str, str]) -> tuple[list[_Record], dict[str, str]]:
    """Return the rows and columns of a table with all clips in training, except for evaluation.

    A row is an evaluation row if its split says so or it has no label. A row with an empty split, or without a split
    column with an empty fold, stays in no list.
    """

    def split(fields: Mapping[str, str | None]) -> str | None:
        """Return the split of a row."""
        word = fields.get(chosen["split" if "split" in chosen else "fold"])
        if word is None:
            return None
        is_apart = "split" in chosen and SPLIT_WORDS.get(word.lower()) == "evaluation"
        return "evaluation" if is_apart or fields.get(chosen.get("label", "")) is None else "train"

    columns = {what: column for what, column in chosen.items() if what != "fold"} | {"split": _POOLED}
    return [(line, {**fields, _POOLED: split(fields)}) for line, fields in records], columns


def _split_row(
    path: Path, line: int, fields: Mapping[str, str | None], chosen: Mapping[str, str], root: Path
) -> _SplitRow:
    def field(what: str) -> str | None:
        """Return the row's field in the column for `what`."""
        return fields.get(chosen[what]) if what in chosen else None

    filename = filename_of(field("file"), path, line)
    if filename.startswith("/"):
        for folder in (root.absolute(), root.resolve()):  # as given, and with its links followed
            if PurePosixPath(filename).is_relative_to(folder):
                filename = str(PurePosixPath(filename).relative_to(folder))
                break
    city, location = field("city"), field("location")
    if city is not None and location is not None and not location.startswith(city):
        location = f"{city}-{location}"
    row = ListRow(path, line, filename, field("label"), field("device"), city, location, field("segment"))
    return _SplitRow(row, _split(field("split"), row), _fold(field("fold"), row))


def _split(word: str | None, row: ListRow) -> ListedSplit | None:
    if word is None:
        return None
    if word.lower() not in SPLIT_WORDS:
        raise DataError(
            f"{row.where}: {word!r} is not a split. Splits: {', '.join(SPLIT_WORDS)}; an empty cell means: in no list. "
            "To make new folds instead, set prepare.corpus.k_folds."
        )
    return SPLIT_WORDS[word.lower()]


def _fold(word: str | None, row: ListRow) -> int | None:
    if word is None:
        return None
    match = FOLD.fullmatch(word.lower())
    if match is None:
        raise DataError(
            f"{row.where}: {word!r} is not a fold. Folds are whole numbers, such as 1 or fold1. To make new folds "
            "instead, set prepare.corpus.k_folds."
        )
    return int(match[1])


def _with_folders(root: Path, rows: Sequence[_SplitRow]) -> list[_SplitRow]:
    """Return the rows with file names prefixed by the folder in which the first files are found, if any."""

    def named(entry: _SplitRow, folder: str) -> str:
        """Return the name of a row's file in `folder`, with `{fold}` replaced by the number of its fold."""
        return folder.format(fold=entry.fold) + entry.row.filename

    tried = rows[:N_TRIED]
    found = (folder for folder in _FOLDERS if any(is_on_disk(root, named(entry, folder)) for entry in tried))
    folder = next(found, "")
    return [replace(entry, row=replace(entry.row, filename=named(entry, folder))) for entry in rows]


def _validate_folds(path: Path, rows: Sequence[_SplitRow]) -> None:
    numbers = {entry.fold for entry in rows if entry.fold is not None}
    if len(numbers) == 1:
        raise DataError(
            f"{path}: all clips are of fold {numbers.pop()}, which leaves none to train on. Assign the other clips to "
            "folds, name a split column, or set prepare.corpus.k_folds."
        )


def _folds(path: Path, rows: Sequence[_SplitRow], *, by_split: bool) -> ListedFolds:
    numbers = sorted({entry.fold for entry in rows if entry.fold is not None})
    folds: dict[int, dict[ListedSplit, list[ListRow]]] = {}
    for number, split, row in _entries(rows, numbers or [1], by_split=by_split):
        folds.setdefault(number, {}).setdefault(split, []).append(row)
    return {
        number: {
            split: FoldList(f"the {split} rows of {path.name}", path, lists[split])
            for split in get_args(ListedSplit)  # training first, as in lists of folds
            if split in lists
        }
        for number, lists in sorted(folds.items())
    }


def _entries(
    rows: Sequence[_SplitRow], numbers: Sequence[int], *, by_split: bool
) -> Iterator[tuple[int, ListedSplit, ListRow]]:
    for entry in rows:
        for number in numbers:
            if by_split and entry.split is not None and entry.fold in (None, number):
                yield number, entry.split, entry.row
            elif not by_split and entry.fold is not None:
                yield number, "test" if entry.fold == number else "train", entry.row
