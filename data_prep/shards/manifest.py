"""`SHARDS/manifest.json` describes the shards of a folder. It is written last: a folder without it is unfinished."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Literal

from pydantic import Field, ValidationError

from data_prep.config import FeatureSpec, OfflineAugmentation, OfflineSpec, ValidationSpec
from data_prep.corpora.splits import Split
from data_prep.errors import DataError
from data_prep.schema import Config, content_hash
from data_prep.store.store import Location, Store, open_store

FORMAT_VERSION = 2
"""Increased whenever older readers would misread new shards."""
MANIFEST_NAME = "manifest.json"
PREPARE_AGAIN = "Rerun `asc prepare`; intact shards are reused."


class ShardEntry(Config):
    """One Parquet file."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.parquet$")
    """Name within the folder: plain, without a path."""
    rows: int = Field(ge=0)
    """Number of clips, copies included."""
    n_bytes: int = Field(ge=0)
    """Size of the file in bytes."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the file, 64 hexadecimal digits."""


class Quarantined(Config):
    """A listed clip that is left out of every split."""

    clip_id: str
    filename: str
    fault: Literal["unreadable", "length", "duplicate"]
    """The file can't be decoded, is far too short or long, or repeats the recording of another clip."""
    reason: str
    """Message for the user, with the way out."""


class Copies(Config):
    """Augmented copies of one kind."""

    augmentation: OfflineAugmentation
    n_copies: int


class Manifest(Config):
    """Contents of a folder of shards, with the split of every clip in every fold."""

    format_version: int
    """Version of the layout of shards and manifest."""
    name: str
    """Name of the data set; not part of the hash."""
    spec: FeatureSpec
    """The stored feature."""
    spec_hash: str
    """`spec.hash()`, for readers other than this program."""
    validation: ValidationSpec
    """How the validation split was cut."""
    copies: tuple[Copies, ...]
    """The augmented copies of training clips."""
    offline: OfflineSpec | None
    """Parameters of the copies; null without copies."""
    classes: tuple[str, ...]
    """Scenes in the class order that all later stages use."""
    n_clips: int
    """Rows in the shards: recorded clips and copies."""
    bytes_per_clip: int
    """Size of all shards divided by `n_clips`, rounded."""
    n_unlisted: int
    """Clips of the data set that no fold lists; they are not prepared."""
    counts: dict[int, dict[str, int]]
    """{fold: {split: number of rows}}."""
    folds: dict[int, dict[str, Split]]
    """{fold: {clip_id: split}}. A clip of a held-out device may be in no split."""
    sources: dict[str, tuple[str, ...]]
    """{clip_id of a copy: clip_ids of the recorded clips it was made from}."""
    locations: dict[str, str]
    """{clip_id of a recorded clip: location}, if known."""
    shards: tuple[ShardEntry, ...]
    missing: tuple[str, ...]
    """Listed files that were not on disk."""
    lost_evaluation: dict[int, tuple[str, ...]] = Field(default_factory=dict)
    """Files of each fold's evaluation list that are missing or quarantined; a submission lacks them."""
    quarantine: tuple[Quarantined, ...]
    silent: tuple[str, ...]
    """Ids of clips with a constant waveform. They are kept; min–max scaling makes them all zeros."""
    warnings: tuple[str, ...]
    """Warnings about the data set."""

    def hash(self) -> str:
        """Return 12 hexadecimal digits that identify the data: feature, classes, folds and checksums of the shards."""
        return content_hash(
            {
                "spec": self.spec.canonical(),
                "classes": self.classes,
                "folds": self.folds,
                "shards": [shard.sha256 for shard in self.shards],
            }
        )


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Write the manifest of a folder, after the same checks as `read_manifest`.

    Raises:
        DataError: if a location is in both training and validation, or an augmented copy is outside the folds that
            train on all its sources.
    """
    _validate_locations(manifest, store.path_text(MANIFEST_NAME))
    _validate_copies(manifest, store.path_text(MANIFEST_NAME))
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    store.write(MANIFEST_NAME, text.encode())


def read_manifest(shards: Location) -> Manifest:
    """Return the manifest of the folder or URI `shards`.

    Raises:
        DataError: if it is missing, damaged or of another format version, if a location is in both training and
            validation, or if an augmented copy is outside the folds that train on all its sources.
    """
    store = open_store(shards)
    path = store.path_text(MANIFEST_NAME)
    try:
        data: Any = json.loads(store.read(MANIFEST_NAME))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file: the folder was not prepared, or its preparation did not finish. {PREPARE_AGAIN}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}. {PREPARE_AGAIN}") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: has format version {version}, this program reads {FORMAT_VERSION}. Rerun `asc prepare` to "
            "replace the shards, or use the version that wrote them."
        )
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key_path = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: damaged at {key_path}: {first['msg']}. {PREPARE_AGAIN}") from None
    if manifest.spec.hash() != manifest.spec_hash:
        raise DataError(f"{path}: spec and spec_hash disagree: it was edited by hand. {PREPARE_AGAIN}")
    _validate_locations(manifest, path)
    _validate_copies(manifest, path)
    return manifest


def _validate_locations(manifest: Manifest, path: str) -> None:
    for fold in manifest.folds:
        both = locations_on_both_sides(manifest, fold, "train", "validation")
        if both:
            raise DataError(
                f"{path}: fold {fold} has clips of location {both[0]} in both training and validation, so validation "
                f"scores would be too high. {PREPARE_AGAIN}"
            )


def _validate_copies(manifest: Manifest, path: str) -> None:
    for fold, splits in manifest.folds.items():
        for copy, sources in manifest.sources.items():
            if copy in splits and any(splits.get(clip_id) != "train" for clip_id in (copy, *sources)):
                raise DataError(
                    f"{path}: fold {fold} has the augmented copy {copy} in {splits[copy]}, made from "
                    f"{', '.join(f'{i} ({splits.get(i)})' for i in sources)}. A copy and all clips it was made from "
                    f"must be training clips. {PREPARE_AGAIN}"
                )


def locations_on_both_sides(manifest: Manifest, fold: int, one: Split, other: Split) -> list[str]:
    """Return the locations that occur in both splits of `fold`, sorted."""
    locations: dict[Split, set[str]] = defaultdict(set)
    for clip_id, split in manifest.folds[fold].items():
        if clip_id in manifest.locations:
            locations[split].add(manifest.locations[clip_id])
    return sorted(locations[one] & locations[other])
