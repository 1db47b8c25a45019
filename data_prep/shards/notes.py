"""Notes on what each shard was made from, so that `asc prepare` can reuse shards when rerun.

Notes are in `SHARDS/.sources/`. They contain sizes and modification times of audio files, which differ between machines
and are therefore not in the shards or the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError

from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.schema import Config, content_hash
from data_prep.shards.manifest import FORMAT_VERSION, Quarantined, ShardEntry
from data_prep.store.store import Store

NOTES_FOLDER = ".sources"

RemakeReason = Literal["new", "changed", "damaged"]
"""Why a shard is made: it is missing, its audio or settings have changed, or its checksum differs."""


class ShardNote(Config):
    """What one shard was made from, and the findings about its clips."""

    sources: str
    """Fingerprint of the feature, the augmentation and every audio file (listed name, size, modification time)."""
    places: str
    """Fingerprint of the columns `split` and `fold`. The key is that of earlier versions, whose shards are reused."""
    shard: ShardEntry
    quarantine: tuple[Quarantined, ...]
    silent: tuple[str, ...]
    seconds: dict[str, float]
    """{clip_id: length in seconds} of recordings that differ from the feature's `clip_seconds`."""
    digests: dict[str, str]
    """{clip_id: digest of the stored log-mel}. Equal digests mean one recording under two names."""
    slips: dict[str, str] = Field(default_factory=dict)
    """{clip_id: error in the file header} of recordings that can still be decoded reliably."""


def file_identity(root: Path, clip: Clip) -> list[Any]:
    """Return what identifies a clip's file: its list entry, its size in bytes and its modification time."""
    status = (root / clip.filename).stat()
    identity = (clip.filename, clip.scene, clip.device, clip.city, clip.location, clip.segment)
    return [*identity, status.st_size, status.st_mtime_ns]


def sources_fingerprint(root: Path, clips: Iterable[Clip], settings: Any) -> str:
    """Return a fingerprint that changes when the results for `clips` under `settings` are out of date."""
    files = [file_identity(root, clip) for clip in clips]
    return content_hash({"format": FORMAT_VERSION, "settings": settings, "files": files}, 64)


def note_name(shard: str) -> str:
    """Return the file name of a shard's note."""
    return f"{NOTES_FOLDER}/{PurePosixPath(shard).stem}.json"


def write_note(store: Store, note: ShardNote) -> None:
    """Write the note of a shard; the shard must already be in the store."""
    store.write(note_name(note.shard.file), json.dumps(note.model_dump(mode="json")).encode())


def read_note(store: Store, shard: str, sources: str) -> ShardNote | RemakeReason:
    """Return the note of a shard if it is intact and was made from `sources`, else the reason to make it again."""
    try:
        note = ShardNote.model_validate_json(store.read(note_name(shard)))
    except FileNotFoundError:
        return "new"
    except (DataError, ValidationError):
        return "damaged"
    if note.sources != sources:
        return "changed"
    try:
        data = store.read(shard)
    except (FileNotFoundError, DataError):
        return "damaged"
    return note if hashlib.sha256(data).hexdigest() == note.shard.sha256 else "damaged"
