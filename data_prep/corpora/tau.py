"""TAU Urban Acoustic Scenes 2019, 2020 Mobile, 2020 3-class and 2022 Mobile, and data sets with the same layout.

`meta.csv` and `evaluation_setup/foldK_{train,evaluate,test}.csv` are TAB-separated with a header: `filename
scene_label`, in meta.csv also `identifier source_label`. DCASE 2024 and 2025 published separate lists for 2022 Mobile:
`split5.csv` to `split100.csv` for training and one `test.csv`. They are read next to meta.csv, in `evaluation_setup/`
or in `split_setup/`.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.config import CorpusConfig
from data_prep.corpora.corpus import ListedSplit
from data_prep.corpora.fold_lists import SETUP, find_lists, read_folds
from data_prep.corpora.listing import FoldList, Listing
from data_prep.corpora.lists import read_list
from data_prep.errors import DataError

SPLIT_FOLDERS = ("", SETUP, "split_setup")
_SPLIT_NAME = re.compile(r"split(5|10|25|50|100)\.csv")


def read_tau(root: Path, config: CorpusConfig) -> Listing:
    """Return the lists of a TAU edition.

    Raises:
        DataError: if a list can't be read, or there are no lists or no list for the configured DCASE 2024 split.
    """
    meta = root / "meta.csv"
    described = read_list(meta) if meta.exists() else []
    lists = find_lists(root, ".csv")
    shares = find_splits(root)
    if config.split is None and not lists and len(shares) > 1:
        raise DataError(
            f"{root}: has the training lists {', '.join(path.name for path in shares.values())} but no fold: choose "
            f"one of them, such as prepare.corpus.split={min(shares)}."
        )
    share = config.split if config.split is not None or lists else next(iter(shares), None)
    if share is not None:
        return Listing("tau", {1: _read_split(root, shares, share)}, described)
    if not lists:
        raise DataError(f"{root / SETUP}: contains no lists of a fold, such as fold1_train.csv and fold1_evaluate.csv.")
    return Listing("tau", read_folds(lists, read_list), described)


def find_splits(root: Path) -> dict[int, Path]:
    """Return {percentage of the training data: list} of DCASE 2024 and 2025."""
    found: dict[int, Path] = {}
    for folder in SPLIT_FOLDERS:
        for path in (root / folder).glob("split*.csv"):
            match = _SPLIT_NAME.fullmatch(path.name)
            if match is not None:
                found.setdefault(int(match[1]), path)
    return dict(sorted(found.items()))


def _read_split(root: Path, shares: dict[int, Path], share: int) -> dict[ListedSplit, FoldList]:
    if share not in shares:
        raise DataError(
            f"{root}: no split{share}.csv next to meta.csv, in {SETUP}/ or in split_setup/ (found: "
            f"{', '.join(path.name for path in shares.values()) or 'none'}). It comes with the baseline of DCASE 2024 "
            "Task 1 (github.com/CPJKU/dcase2024_task1_baseline)."
        )
    train = shares[share]
    folds: dict[ListedSplit, FoldList] = {"train": FoldList(train.name, train, read_list(train))}
    test = train.with_name("test.csv")
    if test.exists():
        folds["test"] = FoldList(test.name, test, read_list(test))
    return folds
