"""Detection of a data set's layout from the contents of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from data_prep.config import CorpusConfig
from data_prep.corpora.esc50 import TABLE, read_esc50
from data_prep.corpora.evaluation import has_only_numbers, read_evaluation
from data_prep.corpora.fold_lists import SETUP, find_lists
from data_prep.corpora.folders import has_class_folders, read_folders
from data_prep.corpora.listing import Listing
from data_prep.corpora.table import USUAL, read_table, tables_of
from data_prep.corpora.tau import find_splits, read_tau
from data_prep.corpora.text import encoding_remark
from data_prep.corpora.tut import read_tut
from data_prep.errors import DataError

EXPECTED = (
    "audio/, evaluation_setup/fold1_train.csv and fold1_evaluate.csv (filename, scene_label), meta.csv; or the same "
    "without headers as .txt; or split25.csv and test.csv; or one table of files and labels (--table meta.csv "
    "--file-column path --label-column label); or one folder of recordings per class; or meta/esc50.csv; or "
    "audio/0.wav, 1.wav … to be predicted"
)

_LAYOUT_OF = {"split": "tau", "subset": "esc50", "table": "table"} | {f"{what}_column": "table" for what in USUAL}
"""{key of `prepare.corpus`: the only layout that reads it}."""
_PRESET_KEYS = ("split",)
"""Keys that a shipped configuration sets. It must work for data sets of any layout, so these keys are only reported."""


def read_listing(root: Path, config: CorpusConfig) -> Listing:
    """Return the lists of the data set in `root`, in the configured or detected layout.

    Raises:
        DataError: if the layout can't be detected or doesn't read a given key, or a list can't be read.
    """
    layout = detect_layout(root, config) if config.layout == "auto" else config.layout
    unread = list(_unread_keys(root, config, layout))
    listing = _read(root, config, layout)
    lists = {listed.path for fold in listing.folds.values() for listed in fold.values()}
    lists |= {row.path for row in listing.described}
    texts = sorted(path for path in lists if path.suffix.lower() in (".csv", ".tsv", ".txt"))
    remarks = unread + [remark for path in texts if (remark := encoding_remark(path)) is not None]
    if layout in ("folders", "evaluation"):
        remarks += [f"not used: {error}" for error in tables_of(root)[1].values()]
    return replace(listing, warnings=(*listing.warnings, *remarks))


def _unread_keys(root: Path, config: CorpusConfig, layout: str) -> Iterator[str]:
    """Yield a warning for each key of `_PRESET_KEYS` that is given and not read in the layout.

    Raises:
        DataError: for any other such key.
    """
    for key, only in _LAYOUT_OF.items():
        value = getattr(config, key)
        if value is None or only == layout:
            continue
        unread = f"prepare.corpus.{key}={value} is used in the layout {only} only; the data set is read as {layout}"
        if key not in _PRESET_KEYS:
            raise DataError(f"{root}: {unread}. Leave it out, or name the layout: --layout {only}.")
        yield unread


def _read(root: Path, config: CorpusConfig, layout: str) -> Listing:
    if layout == "tau":
        return read_tau(root, config)
    if layout == "tut":
        return read_tut(root)
    if layout == "evaluation":
        return read_evaluation(root)
    if layout == "esc50":
        return read_esc50(root, config)
    if layout == "folders":
        return read_folders(root)
    return read_table(root, config)


def detect_layout(root: Path, config: CorpusConfig) -> str:
    """Return `tau`, `tut`, `table`, `esc50`, `evaluation` or `folders`.

    A configured table or column means `table`. Otherwise lists take precedence over a table, a table over numbered
    files, and these over class folders.

    Raises:
        DataError: if no layout matches, or a file that may be the table can't be read. The message lists the files
            that were examined and why they don't match.
    """
    if config.table is not None or any(getattr(config, f"{what}_column") is not None for what in USUAL):
        return "table"
    if find_lists(root, ".csv") or find_splits(root) or config.split is not None:
        return "tau"
    if find_lists(root, ".txt") or (root / "meta.txt").exists():
        return "tut"
    if (root / TABLE).is_file() or config.subset is not None:
        return "esc50"
    tables, rejected = tables_of(root)
    if tables:
        return "table"
    for error in rejected.values():
        if error.is_broken:
            raise error
    if has_only_numbers(root):
        return "evaluation"
    if has_class_folders(root):
        return "folders"
    looked = "".join(f"\nTried: {error}" for error in rejected.values())
    raise DataError(f"{root / SETUP}: contains no lists of a fold; expected: {EXPECTED}{looked}")
