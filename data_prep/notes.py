"""Notes beside the shards: what each was made from, so that a later `prepare` knows which it can keep.

They live in `SHARDS/.sources/` and hold sizes and times of the audio files, which differ from machine to machine and so
have no place in the shards or the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from data_prep.config import FeatureSpec
from data_prep.corpus import Clip
from data_prep.errors import DataError
from data_prep.files import read_json, write_json
from data_prep.manifest import FORMAT_VERSION, Quarantined
from data_prep.schema import Config, content_hash

NOTES_FOLDER = ".sources"


class ShardNote(Config):
    """What one shard was made from, and what was found on the way."""

    sources: str
    """Fingerprint of the feature and of every audio file: listed name, size, time of change."""
    places: str
    """Fingerprint of the shard's columns split and fold."""
    rows: int
    sha256: str
    quarantine: tuple[Quarantined, ...]
    silent: tuple[str, ...]
    seconds: dict[str, float]
    """Length of the recordings that are not `clip_seconds` long, by clip id."""


def sources_fingerprint(root: Path, clips: Sequence[Clip], spec: FeatureSpec) -> str:
    """Return a fingerprint that changes when the shard of `clips` would have to be extracted anew."""
    files = []
    for clip in clips:
        status = (root / clip.filename).stat()
        identity = (clip.filename, clip.scene, clip.device, clip.city, clip.location, clip.segment)
        files.append([*identity, status.st_size, status.st_mtime_ns])
    return content_hash({"format": FORMAT_VERSION, "spec": spec.hash(), "files": files}, 64)


def note_path(shard: Path) -> Path:
    """Return where the note of `shard` lies."""
    return shard.parent / NOTES_FOLDER / f"{shard.stem}.json"


def write_note(shard: Path, note: ShardNote) -> None:
    """Write the note of a shard that is complete on disk."""
    write_json(note_path(shard), note.model_dump(mode="json"))


def read_valid_note(shard: Path, sources: str) -> ShardNote | None:
    """Return the note of `shard` if the shard is whole and was made from `sources`, else None."""
    try:
        note = ShardNote.model_validate(read_json(note_path(shard)))
        if note.sources != sources:
            return None
        data = shard.read_bytes()
    except (DataError, ValidationError, OSError):
        return None  # no note, or none that can be trusted: the shard is made again
    return note if hashlib.sha256(data).hexdigest() == note.sha256 else None
