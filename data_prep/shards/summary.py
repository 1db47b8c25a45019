"""Summary of a folder of shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from data_prep.copies.rows import RECORDED
from data_prep.errors import DataError
from data_prep.features.silence import is_silent
from data_prep.shards.manifest import MANIFEST_NAME, PREPARE_AGAIN, Manifest, read_manifest
from data_prep.shards.parquet import log_mels_of, read_shard
from data_prep.store.store import Location, Store, open_store

COLUMNS = ["clip_id", "scene", "device", "augmentation", "n_mels", "n_frames", "log_mel"]


def summarize(shards: Location) -> dict[str, Any]:
    """Return the contents of a folder of shards as plain values for JSON or a table.

    Keys: name, hash, spec, spec_hash, copies, offline, validation, classes, n_clips, n_unlisted, folds {fold: {split:
    {n_clips, n_locations, n_copies, by_scene, by_device}}}, missing, quarantine, silent, warnings, n_shards, n_bytes,
    bytes_per_clip, floor_frames {scene: {n_frames, n_floor}}, where n_floor counts frames of digital silence in
    recorded clips. Checksums are verified.

    Raises:
        DataError: if the manifest or a shard is missing or damaged, or they disagree.
    """
    manifest = read_manifest(shards)
    about, floor = _read_clips(open_store(shards), manifest)
    return {
        "name": manifest.name,
        "hash": manifest.hash(),
        "spec": manifest.spec.model_dump(mode="json"),
        "spec_hash": manifest.spec_hash,
        "copies": {made.augmentation: made.n_copies for made in manifest.copies},
        "offline": manifest.offline.model_dump(mode="json") if manifest.offline is not None else None,
        "validation": manifest.validation.model_dump(mode="json"),
        "classes": list(manifest.classes),
        "n_clips": manifest.n_clips,
        "n_unlisted": manifest.n_unlisted,
        "folds": {
            fold: {
                split: _counts([i for i, name in splits.items() if name == split], manifest, about)
                for split in manifest.counts[fold]
            }
            for fold, splits in manifest.folds.items()
        },
        "floor_frames": dict(sorted(floor.items())),
        "missing": list(manifest.missing),
        "quarantine": [entry.model_dump() for entry in manifest.quarantine],
        "silent": list(manifest.silent),
        "warnings": list(manifest.warnings),
        "n_shards": len(manifest.shards),
        "n_bytes": sum(entry.n_bytes for entry in manifest.shards),
        "bytes_per_clip": manifest.bytes_per_clip,
    }


def _read_clips(store: Store, manifest: Manifest) -> tuple[dict[str, tuple[str, str]], dict[str, dict[str, int]]]:
    """Return {clip: (scene, device)}, and {scene: {n_frames, n_floor}} of the recorded clips.

    Raises:
        DataError: if a shard is missing or damaged, or a clip that the manifest lists is in none.
    """
    about: dict[str, tuple[str, str]] = {}
    floor: dict[str, dict[str, int]] = {}
    for entry in manifest.shards:
        table = read_shard(store, entry).select(COLUMNS)
        log_mels = log_mels_of(table, manifest.spec, store.path_text(entry.file))
        for row, log_mel in zip(table.drop_columns(["log_mel"]).to_pylist(), log_mels, strict=True):
            scene = row["scene"] or "(unlabelled)"
            about[row["clip_id"]] = (scene, row["device"])
            if row["augmentation"] == RECORDED:
                counts = floor.setdefault(scene, {"n_frames": 0, "n_floor": 0})
                counts["n_frames"] += manifest.spec.n_frames
                counts["n_floor"] += int(is_silent(log_mel, manifest.spec).sum())
    listed = {clip_id for splits in manifest.folds.values() for clip_id in splits}
    if lost := sorted(listed - about.keys()):
        raise DataError(
            f"{store.path_text(MANIFEST_NAME)}: lists {len(lost):,} clips that are in no shard, such as {lost[0]}. "
            f"{PREPARE_AGAIN}"
        )
    return about, floor


def _counts(clip_ids: list[str], manifest: Manifest, about: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return the counts of one split, whose clips are `clip_ids`."""
    return {
        "n_clips": len(clip_ids),
        "n_locations": len({manifest.locations[i] for i in clip_ids if i in manifest.locations}),
        "n_copies": sum(i in manifest.sources for i in clip_ids),
        "by_scene": dict(sorted(Counter(about[i][0] for i in clip_ids).items())),
        "by_device": dict(sorted(Counter(about[i][1] for i in clip_ids).items())),
    }
