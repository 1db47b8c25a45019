"""`SHARDS/manifest.json`: what the shards of a folder hold. Written last, so a folder without it is unfinished."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_prep.config import FeatureSpec, ValidationSpec
from data_prep.errors import DataError
from data_prep.files import read_json, write_json
from data_prep.schema import Config, content_hash
from data_prep.splits import Split

FORMAT_VERSION = 1
"""Grows whenever a reader of the old shards would misread the new ones."""
MANIFEST_NAME = "manifest.json"
PREPARE_AGAIN = "Give `asc prepare` again: what is sound is reused."


class ShardEntry(Config):
    """One Parquet file."""

    file: str
    """Its name inside the folder."""
    rows: int
    """Clips in it."""
    sha256: str
    """Checksum of its bytes, 64 hexadecimal digits."""


class Quarantined(Config):
    """A listed clip whose file is corrupt: it is in no shard and in no split."""

    clip_id: str
    filename: str
    reason: str


class Manifest(Config):
    """What is in a folder of shards, and which clip belongs to which split of which fold."""

    format_version: int
    """The layout of shards and manifest."""
    name: str
    """Of the data set; for people, no part of the hash."""
    spec: FeatureSpec
    """The stored feature."""
    spec_hash: str
    """`spec.hash()`, for whoever reads the file without this program."""
    validation: ValidationSpec
    """How the validation split was cut."""
    classes: tuple[str, ...]
    """The order of the scenes in every later stage."""
    n_clips: int
    """Clips in the shards."""
    n_unlisted: int
    """Clips of the data set that no fold lists: not prepared."""
    counts: dict[int, dict[str, int]]
    """Clips by fold and split."""
    folds: dict[int, dict[str, Split]]
    """For each fold the split of its clips by their ids. A clip of a held-out device may be in none."""
    locations: dict[str, str]
    """Location by clip id, where it is known."""
    shards: tuple[ShardEntry, ...]
    missing: tuple[str, ...]
    """Listed files that were not on disk."""
    quarantine: tuple[Quarantined, ...]
    silent: tuple[str, ...]
    """Ids of clips that hold no sound (a constant waveform): kept, all zeros under min–max scaling."""
    warnings: tuple[str, ...]
    """What was odd about the data set, in words."""

    def hash(self) -> str:
        """Return 12 hexadecimal digits that identify the data: spec, classes, folds and the shards' bytes."""
        return content_hash(
            {
                "spec": self.spec.model_dump(mode="json"),
                "classes": self.classes,
                "folds": self.folds,
                "shards": [shard.sha256 for shard in self.shards],
            }
        )


def write_manifest(shards: Path, manifest: Manifest) -> None:
    """Write the manifest of the folder `shards`, after the check that every reading makes too.

    Raises:
        DataError: if a location is both in training and in validation.
    """
    _validate_locations(manifest, shards / MANIFEST_NAME)
    write_json(shards / MANIFEST_NAME, manifest.model_dump(mode="json"))


def read_manifest(shards: Path) -> Manifest:
    """Return the manifest of the folder `shards`.

    Raises:
        DataError: if it is missing, of another format version or damaged, or if a location is both in training and in
            validation.
    """
    path = shards / MANIFEST_NAME
    if not path.exists():
        raise DataError(f"{path}: no such file: nothing was prepared here, or it did not finish. {PREPARE_AGAIN}")
    data: Any = read_json(path)
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: has format version {version}, this program reads {FORMAT_VERSION}. Give `asc prepare` again to "
            "replace the shards, or use the program that wrote them."
        )
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: damaged at {place}: {first['msg']}. {PREPARE_AGAIN}") from None
    if manifest.spec.hash() != manifest.spec_hash:
        raise DataError(f"{path}: spec and spec_hash disagree: it was edited by hand. {PREPARE_AGAIN}")
    _validate_locations(manifest, path)
    return manifest


def _validate_locations(manifest: Manifest, path: Path) -> None:
    for fold in manifest.folds:
        both = locations_on_both_sides(manifest, fold, "train", "validation")
        if both:
            raise DataError(
                f"{path}: fold {fold} has clips of location {both[0]} both in training and in validation, so "
                f"validation would tell of clips that training has heard. {PREPARE_AGAIN}"
            )


def locations_on_both_sides(manifest: Manifest, fold: int, one: Split, other: Split) -> list[str]:
    """Return the locations that occur in both splits of `fold`, sorted."""
    places: dict[Split, set[str]] = defaultdict(set)
    for clip_id, split in manifest.folds[fold].items():
        if clip_id in manifest.locations:
            places[split].add(manifest.locations[clip_id])
    return sorted(places[one] & places[other])
