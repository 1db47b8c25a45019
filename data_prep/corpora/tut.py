"""TUT Acoustic Scenes 2016 and 2017, TUT Urban Acoustic Scenes 2018: TAB-separated `.txt` lists without headers.

`meta.txt` has `audio/b020_90_100.wav`, scene and, in 2017, the recording's identifier; `foldK_train.txt` and
`foldK_evaluate.txt` have file and scene, `foldK_test.txt` only the file. Names are recording_start_end, in seconds.
Segments of a recording must stay together, so the recording is the location. Evaluation sets rename their files to
1.wav …; the original name is in the third column of `evaluate.txt` (2016) or in `map.txt` (2017).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from data_prep.corpora.fold_lists import SETUP, find_lists, read_folds
from data_prep.corpora.listing import Listing, ListRow
from data_prep.corpora.lists import filename_of, read_bare_list, read_list, with_slashes

_TUT_NAME = re.compile(r"(?P<recording>[a-z]+\d+)_(?P<segment>\d+_\d+)")


def read_tut(root: Path) -> Listing:
    """Return the lists of a TUT edition, from `meta.txt` if `evaluation_setup/` has none.

    Raises:
        DataError: if a list can't be read.
    """
    mapping = root / SETUP / "map.txt"
    named = read_bare_list(mapping) if mapping.exists() else []
    originals = {with_slashes(fields[0]): with_slashes(fields[1]) for _, fields in named if len(fields) > 1}
    identifiers: dict[str, str] = {}

    def read(path: Path) -> list[ListRow]:
        """Return the rows of one list."""
        return [_row(path, line, fields, originals, identifiers) for line, fields in read_bare_list(path)]

    bare, headed = root / "meta.txt", root / "meta.csv"
    described = read(bare) if bare.exists() else read_list(headed) if headed.exists() else []
    identifiers |= {row.filename: row.location for row in described if row.location is not None}
    return Listing("tut", read_folds(find_lists(root, ".txt"), read), described)


def _row(
    path: Path, line: int, fields: list[str], originals: Mapping[str, str], identifiers: Mapping[str, str]
) -> ListRow:
    listed, scene, third = (*fields, "", "", "")[:3]
    filename = filename_of(listed, path, line)
    original = with_slashes(third) if PurePosixPath(third).suffix else originals.get(filename, filename)
    name = _TUT_NAME.fullmatch(PurePosixPath(original).stem)
    identifier = third if third and with_slashes(third) != original else identifiers.get(filename)
    return ListRow(
        path,
        line,
        filename,
        scene=scene or None,
        location=identifier or (name["recording"] if name is not None else None),
        segment=name["segment"] if name is not None else None,
    )
