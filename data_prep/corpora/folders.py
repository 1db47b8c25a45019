"""Data sets with one folder per class: `DATA/dog/a.wav`, `DATA/rain/b.wav`, or the same below `DATA/audio/`.

The name of the first folder is the label. Folders below it are locations, which are never divided between training and
test: `dog/yard/…` and `rain/yard/…` are the location `yard`. A recording directly in the folder of its class is its own
location, unless its name gives one (see `data_prep.corpora.names`). If the first folders are `train` and `test` (or
other values of a table's split column), the classes are the folders below them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data_prep.corpora.corpus import ListedSplit
from data_prep.corpora.disk import find_audio, is_on_disk
from data_prep.corpora.listing import FoldList, Listing, ListRow
from data_prep.corpora.table import FOLD, SPLIT_WORDS
from data_prep.errors import DataError

_SKIPPED = ("__MACOSX",)


def read_folders(root: Path) -> Listing:
    """Return the recordings of a data set with one folder per class, without folds unless folders name the splits.

    Raises:
        DataError: if there are fewer than two classes, or the folders are folds.
    """
    base, parts = _recordings(root)
    classes = list(dict.fromkeys(part[0] for part in parts))
    if len(classes) < 2:
        raise DataError(
            f"{base}: has {len(classes)} subfolders with audio; this layout needs at least two. Put the recordings of "
            "each class into a folder named after the class."
        )
    if all(FOLD.fullmatch(name.lower()) and not name.isdecimal() for name in classes):
        raise DataError(
            f"{base}: the folders {', '.join(classes[:3])} … look like folds, not classes. Name a table of files, "
            "labels and folds: --table meta.csv."
        )
    if not all(name.lower() in SPLIT_WORDS for name in classes):
        return Listing("folders", {}, [_row(base, root, part) for part in parts])
    lists: dict[ListedSplit, list[ListRow]] = {}
    for split, *below in parts:
        lists.setdefault(SPLIT_WORDS[split.lower()], []).append(_row(base / split, root, below))
    return Listing("folders", {1: {split: FoldList(f"{split} folder", base, rows) for split, rows in lists.items()}})


def has_class_folders(root: Path) -> bool:
    """Return whether two or more subfolders of `root`, or of its `audio/`, contain audio."""
    return len({part[0] for part in _recordings(root)[1]}) > 1


def _recordings(root: Path) -> tuple[Path, list[Sequence[str]]]:
    """Return the folder of the classes, and the path parts of each recording below it; other files are ignored."""
    base = root / "audio" if (root / "audio").is_dir() else root
    parts = [PurePosixPath(name).parts for name in find_audio(base) if is_on_disk(base, name)]
    return base, [part for part in parts if len(part) > 1 and part[0] not in _SKIPPED]


def _row(base: Path, root: Path, parts: Sequence[str]) -> ListRow:
    """Return the row of the recording `base/parts`; without a label if it is directly in the folder of a split."""
    *folders, _ = parts
    filename = base.joinpath(*parts).relative_to(root).as_posix()
    scene, location = (folders[0], "/".join(folders[1:]) or None) if folders else (None, None)
    return ListRow(base.joinpath(*folders[:1]), 0, filename, scene, location=location)
