"""The lists in `evaluation_setup/`, named alike in the TAU and the TUT editions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from data_prep.corpora.corpus import ListedSplit
from data_prep.corpora.listing import FoldList, ListedFolds, ListRow

SETUP = "evaluation_setup"
_LIST_NAME = re.compile(r"(?:fold(?P<fold>\d+)_)?(?P<kind>train|evaluate|test)")
_KINDS = ("train", "evaluate", "test")


def find_lists(root: Path, suffix: str) -> list[tuple[int, str, Path]]:
    """Return (fold, kind, path) of the lists that are used, by fold, training first.

    Kinds are train, evaluate and test. A test list repeats the names of the evaluate list and is used only without one.
    Lists without a number (`test.csv` of the evaluation sets) are fold 1, used only if no list has a number.
    """
    found = []
    for path in (root / SETUP).glob(f"*{suffix}"):
        match = _LIST_NAME.fullmatch(path.stem)
        if match is not None:
            found.append((match["fold"], match["kind"], path))
    if any(fold is not None for fold, _, _ in found):
        found = [entry for entry in found if entry[0] is not None]
    lists = sorted(((int(f or 1), kind, path) for f, kind, path in found), key=lambda e: (e[0], _KINDS.index(e[1])))
    with_evaluate = {fold for fold, kind, _ in lists if kind == "evaluate"}
    return [(f, kind, path) for f, kind, path in lists if kind != "test" or f not in with_evaluate]


def read_folds(lists: Sequence[tuple[int, str, Path]], read: Callable[[Path], list[ListRow]]) -> ListedFolds:
    """Return the rows of all lists; an evaluate or test list is `test`."""
    folds: dict[int, dict[ListedSplit, FoldList]] = {}
    for fold, kind, path in lists:
        split: ListedSplit = "train" if kind == "train" else "test"
        folds.setdefault(fold, {})[split] = FoldList(path.name, path, read(path))
    return folds
