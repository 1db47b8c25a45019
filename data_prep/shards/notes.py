"""Notes beside the shards: what each was made from, so that a later `prepare` knows which it can keep.

They live in `SHARDS/.sources/` and hold sizes and times of the audio files, which differ from machine to machine and so
have no place in the shards or the manifest.
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
from data_prep.store import Store

NOTES_FOLDER = ".sources"

Standing = Literal["new", "changed", "damaged"]
"""Why a shard is made: it was not there, its audio or its settings have changed, or its bytes are not those written."""


class ShardNote(Config):
    """What one shard was made from, and what was found on the way."""

    sources: str
    """Fingerprint of the feature, the augmentation and every audio file: listed name, size, time of change."""
    places: str
    """Fingerprint of the shard's columns split and fold."""
    shard: ShardEntry
    quarantine: tuple[Quarantined, ...]
    silent: tuple[str, ...]
    seconds: dict[str, float]
    """Length of the recordings that are not as long as the feature's clips, by clip id."""
    digests: dict[str, str]
    """Digest of the stored log-mel by clip id: equal ones are one recording under two names."""
    slips: dict[str, str] = Field(default_factory=dict)
    """What is wrong with the headers of recordings whose sound is in no doubt, by clip id."""


def file_identity(root: Path, clip: Clip) -> list[Any]:
    """Return what says that a clip's file is still the one that was read: its list entry, its size, its time."""
    status = (root / clip.filename).stat()
    identity = (clip.filename, clip.scene, clip.device, clip.city, clip.location, clip.segment)
    return [*identity, status.st_size, status.st_mtime_ns]


def sources_fingerprint(root: Path, clips: Iterable[Clip], settings: Any) -> str:
    """Return a fingerprint that changes when what was made of `clips` under `settings` has to be made anew."""
    files = [file_identity(root, clip) for clip in clips]
    return content_hash({"format": FORMAT_VERSION, "settings": settings, "files": files}, 64)


def note_name(shard: str) -> str:
    """Return the name of the note of the shard named `shard`."""
    return f"{NOTES_FOLDER}/{PurePosixPath(shard).stem}.json"


def write_note(store: Store, note: ShardNote) -> None:
    """Write the note of a shard that is complete in the store."""
    store.write(note_name(note.shard.file), json.dumps(note.model_dump(mode="json")).encode())


def read_note(store: Store, shard: str, sources: str) -> ShardNote | Standing:
    """Return the note of the shard named `shard` if that is whole and was made from `sources`, else why it isn't."""
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
