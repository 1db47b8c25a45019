"""Report content about the data: recorded clips and locations per split, by device and by scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from data_prep.copies.rows import RECORDED
from data_prep.corpora.splits import SPLITS
from data_prep.errors import DataError
from data_prep.shards.manifest import read_manifest
from data_prep.shards.parquet import CLIP_COLUMNS, read_clips
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import fold_of


class PartCounts(NamedTuple):
    """Clips of one device or scene, or of all."""

    group: str
    """`device`, `scene` or `all`."""
    name: str
    """Of the device or scene, "" for all."""
    splits: Mapping[str, tuple[int, int]]
    """{split: (number of clips, number of known locations)}."""


def clip_table(data: RunData) -> Table[PartCounts]:
    """Return the numbers of recorded clips and locations per split: all, by device, by scene.

    They are read from the shards; without these, from the predictions of a candidate, which have no training clips.
    No rows without either. Clips without a label are of no scene.
    """
    clips = _clips(data)
    splits = [split for split in SPLITS if (clips["split"] == split).any()]
    rows = [] if clips.empty else [PartCounts("all", "", _counts(clips))]
    for group in ("device", "scene"):
        rows += [PartCounts(group, str(name), _counts(part)) for name, part in clips.groupby(group)]

    def of(split: str, index: int) -> Column[PartCounts]:
        """Return the column of clips (0) or locations (1) of a split."""
        what = ("clips", "locations")[index]
        return Column(f"{split}_{what}", lambda row: row.splits.get(split, (0, 0))[index], "count")

    columns = (
        Column("group", lambda row: row.group, kind="text"),
        Column("name", lambda row: row.name, kind="text", format=lambda row: row.name.replace("_", " ")),
        *(of(split, index) for split in splits for index in (0, 1)),
    )
    return Table(rows, columns, page=[column.name for column in columns], header="name")


def _counts(clips: pd.DataFrame) -> dict[str, tuple[int, int]]:
    return {str(split): (len(part), int(part["location"].nunique())) for split, part in clips.groupby("split")}


def _clips(data: RunData) -> pd.DataFrame:
    """Return the recorded clips with columns `split`, `device`, `scene` and `location`, no rows if none are known."""
    try:
        manifest = read_manifest(data.run.shards_dir)
        tables = [read_clips(data.run.shards_dir, entry) for entry in manifest.shards]
    except DataError:
        return _predicted_clips(data)
    if not tables or int(fold_of(data)) not in manifest.folds:
        return _predicted_clips(data)
    clips: pd.DataFrame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    clips["split"] = clips["clip_id"].map(manifest.folds[int(fold_of(data))])
    return clips[(clips["augmentation"] == RECORDED) & clips["split"].notna()]


def _predicted_clips(data: RunData) -> pd.DataFrame:
    """Return the clips of the predictions of one candidate, no rows if there are none."""
    for candidate in data.candidates:
        splits = [split for split in ("validation", "test") if candidate.has_predictions(split)]
        if splits:
            return pd.concat([candidate.predictions(split).clips.assign(split=split) for split in splits])
    return pd.DataFrame(columns=["split", *CLIP_COLUMNS])
