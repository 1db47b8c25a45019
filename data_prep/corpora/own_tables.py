"""Tables that `asc` writes about a data set. In its folder they are not the table that lists its recordings."""

from __future__ import annotations

from collections.abc import Sequence

FINDING_COLUMNS = ("severity", "kind", "filename", "where", "message")
"""Columns of `asc data check --out FILE.csv`."""
COUNT_COLUMNS = ("fold", "split", "device", "scene", "n_listed", "n_usable")
"""Columns of the counts next to them."""
QUARANTINE_COLUMNS = ("clip_id", "filename", "fault", "action", "reason")
"""Columns of `SHARDS/quarantine.csv`."""
SHARD_COLUMNS = (
    "clip_id",
    "filename",
    "scene",
    "device",
    "city",
    "location",
    "segment",
    "split",
    "fold",
    "augmentation",
    "source_clip_id",
    "n_mels",
    "n_frames",
    "log_mel",
)
"""Columns of a shard."""
CORRECTION_COLUMNS = ("frequency_hz", "device", "factor", "n_pairs")
"""Columns of `SHARDS/spectrum_correction-foldK.csv`."""
_OWN = frozenset((FINDING_COLUMNS, COUNT_COLUMNS, QUARANTINE_COLUMNS, SHARD_COLUMNS, CORRECTION_COLUMNS))


def is_own_table(columns: Sequence[str]) -> bool:
    """Return whether a table has exactly the columns of one that `asc` writes."""
    return tuple(columns) in _OWN
