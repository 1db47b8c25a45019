"""Which layout a folder has, told by what lies in it."""

from __future__ import annotations

from pathlib import Path

from data_prep.config import CorpusConfig
from data_prep.corpora.evaluation import has_only_numbers, read_evaluation
from data_prep.corpora.fold_lists import SETUP, find_lists
from data_prep.corpora.listing import Listing
from data_prep.corpora.table import USUAL, read_table, tables_of
from data_prep.corpora.tau import find_splits, read_tau
from data_prep.corpora.tut import read_tut
from data_prep.errors import DataError

EXPECTED = (
    "audio/, evaluation_setup/fold1_train.csv and fold1_evaluate.csv (filename, scene_label), meta.csv; or the same "
    "without headers as .txt; or split25.csv and test.csv; or one table of files and labels (--table meta.csv "
    "--file-column path --label-column label); or audio/0.wav, 1.wav … to be predicted"
)


def read_listing(root: Path, config: CorpusConfig) -> Listing:
    """Return the lists of the data set in `root`, read as its layout wants.

    Raises:
        DataError: if the layout can't be told, or a list can't be read.
    """
    layout = detect_layout(root, config) if config.layout == "auto" else config.layout
    if layout == "tau":
        return read_tau(root, config)
    if layout == "tut":
        return read_tut(root)
    if layout == "evaluation":
        return read_evaluation(root)
    return read_table(root, config)


def detect_layout(root: Path, config: CorpusConfig) -> str:
    """Return `tau`, `tut`, `table` or `evaluation`.

    A table or column that the configuration names means a table; then lists come before a table, and a table before
    bare numbers.

    Raises:
        DataError: if nothing in the folder is known.
    """
    if config.table is not None or any(getattr(config, f"{what}_column") is not None for what in USUAL):
        return "table"
    if find_lists(root, ".csv") or find_splits(root) or config.split is not None:
        return "tau"
    if find_lists(root, ".txt") or (root / "meta.txt").exists():
        return "tut"
    if tables_of(root):
        return "table"
    if has_only_numbers(root):
        return "evaluation"
    raise DataError(f"{root / SETUP}: holds no list of a fold; expected: {EXPECTED}")
