"""What a folder of shards holds, in numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.errors import DataError
from data_prep.manifest import PREPARE_AGAIN, read_manifest


def summarize(shards: Path) -> dict[str, Any]:
    """Return what the folder `shards` holds, as plain values for JSON or a table.

    Keys: name, hash, spec, spec_hash, validation, classes, n_clips, n_unlisted, folds {fold: {split: {n_clips,
    n_locations, by_scene, by_device}}}, missing, quarantine, silent, warnings, n_shards, n_bytes, bytes_per_clip.
    Checksums are not verified: reading a split does that.

    Raises:
        DataError: if the manifest or a shard is missing or can't be read.
    """
    manifest = read_manifest(shards)
    about: dict[str, tuple[str, str]] = {}
    n_bytes = 0
    for entry in manifest.shards:
        path = shards / entry.file
        try:
            table = pq.read_table(path, columns=["clip_id", "scene", "device"])
            n_bytes += path.stat().st_size
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}. {PREPARE_AGAIN}") from None
        for row in table.to_pylist():
            about[row["clip_id"]] = (row["scene"] or "(unlabelled)", row["device"])

    def describe(clip_ids: list[str]) -> dict[str, Any]:
        """Return the counts of one split."""
        return {
            "n_clips": len(clip_ids),
            "n_locations": len({manifest.locations[i] for i in clip_ids if i in manifest.locations}),
            "by_scene": dict(sorted(Counter(about[i][0] for i in clip_ids).items())),
            "by_device": dict(sorted(Counter(about[i][1] for i in clip_ids).items())),
        }

    return {
        "name": manifest.name,
        "hash": manifest.hash(),
        "spec": manifest.spec.model_dump(mode="json"),
        "spec_hash": manifest.spec_hash,
        "validation": manifest.validation.model_dump(mode="json"),
        "classes": list(manifest.classes),
        "n_clips": manifest.n_clips,
        "n_unlisted": manifest.n_unlisted,
        "folds": {
            fold: {
                split: describe([i for i, name in splits.items() if name == split]) for split in manifest.counts[fold]
            }
            for fold, splits in manifest.folds.items()
        },
        "missing": list(manifest.missing),
        "quarantine": [entry.model_dump() for entry in manifest.quarantine],
        "silent": list(manifest.silent),
        "warnings": list(manifest.warnings),
        "n_shards": len(manifest.shards),
        "n_bytes": n_bytes,
        "bytes_per_clip": round(n_bytes / max(1, manifest.n_clips)),
    }
