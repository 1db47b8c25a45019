"""The output of a system on a set of clips, read from a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.errors import DataError
from data_prep.wording import plural, shortened
from results.outputs.clips import some
from results.outputs.table import NAME_COLUMNS, PREFIX, OutputTable, read_table
from results.outputs.values import Values, to_probabilities

ANSWER = "scene_label"
"""Column of the scene that a system answers, in the challenge's format."""
DESCRIBING = frozenset(
    {
        *NAME_COLUMNS, ANSWER, "scene", "device", "source_label", "city", "location", "identifier", "segment", "fold",
        "split",
    }
)  # fmt: skip
"""Columns that describe a clip. All others are scores of a scene."""


@dataclass(frozen=True)
class Output:
    """The class probabilities of one system."""

    path: Path
    filenames: list[str]
    probabilities: npt.NDArray[np.float64]
    """Shape (n_clips, n_scenes); rows sum to about 1."""
    classes: tuple[str, ...]
    """Names of the scenes, in the order of the columns."""
    answers: list[str] | None
    """Scene answered for each clip; None if only scores are given."""
    values: Values
    """What the scores in the file are."""
    notes: tuple[str, ...]
    """What was recognised rather than stated, as sentences."""


def read_output(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    reference: Sequence[str] | None = None,
    reference_name: str = "",
    values: Values | None = None,
) -> Output:
    """Return the output of a system from a CSV, TSV or Parquet file.

    Without a header, the first column with text has the file names, a second one the answers.

    Args:
        path: the table: a file name and one score per scene in each row.
        classes: stated order of the scenes; with a header that has these names, the columns to use.
        reference: order of the scenes where neither `classes` nor a header gives one.
        reference_name: where `reference` is from, for notes.
        values: what the scores are; None recognises it.

    Raises:
        DataError: if the file can't be read, its columns can't be assigned to scenes, or a score is no number.
    """
    if classes is not None and len(set(classes)) < len(classes):
        raise DataError(f"--classes {','.join(classes)}: has a scene more than once")
    table = read_table(path)
    notes: list[str] = []
    columns: Sequence[str | int]
    names: Sequence[str]
    if table.has_header:
        columns, names = _named_columns(table, classes, notes)
        filenames, answers = table.text(*NAME_COLUMNS) or [], table.text(ANSWER)
    else:
        filenames, answers, columns = _bare_columns(table)
        names = _order(path, len(columns), classes, reference)
        whose = "of --classes" if classes else f"of {reference_name}"
        notes.append(f"{path.name}: no header; scores are in the order {whose}: {', '.join(names)}")
    scores = _scores(table, columns, filenames)
    probabilities, found_values = to_probabilities(scores, filenames, path, values)
    if values is None:
        done = {"logits": "; their softmax is taken", "sums": "; they are divided by their total"}
        notes.append(f"{path.name}: scores recognised as {found_values}{done.get(found_values, '')}")
    return Output(path, filenames, probabilities, tuple(names), answers, found_values, tuple(notes))


def _named_columns(table: OutputTable, classes: Sequence[str] | None, notes: list[str]) -> tuple[list[str], list[str]]:
    """Return the columns of scores and the scenes that they are of."""
    if not set(NAME_COLUMNS) & set(table.cells.columns):
        found = ", ".join(map(str, table.cells.columns))
        raise DataError(f"{table.path}: lacks the column filename; found {shortened(found, 300)}")
    columns = [str(column) for column in table.cells.columns if column not in DESCRIBING]
    if columns and all(column.startswith(PREFIX) for column in columns):
        names = [column.removeprefix(PREFIX) for column in columns]
    else:
        names = columns
    if not columns:
        raise DataError(f"{table.path}: has no probability columns; the header must have one column per scene")
    if classes is None:
        return columns, names
    column_of = dict(zip(names, columns, strict=True)) | {str(name): str(name) for name in table.cells.columns}
    if missing := [scene for scene in classes if scene not in column_of]:
        if len(missing) < len(classes) or len(columns) != len(classes):
            raise DataError(
                f"{table.path}: --classes gives {plural(len(classes), 'scene')}, of which {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} no column; the columns of scores are {', '.join(columns)}"
            )
        notes.append(f"{table.path.name}: the columns {', '.join(columns)} are taken as {', '.join(classes)}")
        return columns, list(classes)
    if unused := [name for name in names if name not in classes]:
        notes.append(f"{table.path.name}: not in --classes and ignored: {', '.join(unused)}")
    return [column_of[scene] for scene in classes], list(classes)


def _bare_columns(table: OutputTable) -> tuple[list[str], list[str] | None, list[int]]:
    """Return the file names, the answers if there are any, and the columns of scores of a table without a header."""
    texts = [int(column) for column in table.cells.columns if table.numbers(column).isna().mean() > 0.5]
    if not 1 <= len(texts) <= 2:
        raise DataError(
            f"{table.path}: without a header it must have one column of file names, optionally one of answered scenes, "
            f"and else numbers; {len(texts)} of its columns have mostly text. Add a header with the column filename."
        )
    first = texts[0]
    cells = table.cells.rename(columns={first: NAME_COLUMNS[0], **({texts[1]: ANSWER} if texts[1:] else {})})
    named = OutputTable(table.path, cells, True)
    columns = [int(column) for column in table.cells.columns if int(column) not in texts]
    return named.text(NAME_COLUMNS[0]) or [], named.text(ANSWER), columns


def _order(path: Path, n_columns: int, classes: Sequence[str] | None, reference: Sequence[str] | None) -> Sequence[str]:
    order = classes or reference
    if order is None:
        raise DataError(
            f"{path}: has no header, so the scenes of its {n_columns} columns of scores are unknown. Give their order "
            "by --classes NAME,NAME,… or add a header."
        )
    if len(order) != n_columns:
        raise DataError(
            f"{path}: has no header and {plural(n_columns, 'column')} of scores, but there are "
            f"{plural(len(order), 'scene')}: {', '.join(order)}. Add a header, or give the order of all scenes."
        )
    return order


def _scores(table: OutputTable, columns: Sequence[str | int], filenames: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the columns of scores as finite numbers, shape (n_clips, n_columns)."""
    scores: npt.NDArray[np.float64] = np.stack(
        [table.numbers(column).to_numpy(dtype=np.float64) for column in columns], axis=1, dtype=np.float64
    )
    bad = ~np.isfinite(scores)
    if bad.any():
        row, number = map(int, np.argwhere(bad)[0])
        clips = [name for name, cells in zip(filenames, bad, strict=True) if cells.any()]
        raise DataError(
            f"{table.path}: scores of {some(clips)} must be finite numbers with a decimal point, such as 0.25; column "
            f"{columns[number]} has {str(table.cells[columns[number]].iloc[row])[:40]!r}. If it is no score, name the "
            "columns of scores by --classes."
        )
    return scores
