"""The audio files in a data set's folder, listed or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

AUDIO_SUFFIXES = frozenset(
    (
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".caf",
        ".w64",
        ".rf64",
    )
)
"""Common suffixes of the formats that libsndfile reads."""


def is_on_disk(root: Path, filename: str) -> bool:
    """Return whether a listed name is a regular file on disk; False also for invalid names."""
    return os.path.isfile(f"{root}/{filename}")  # noqa: PTH113 - pathlib's is slow, and raises where a name is too long


def is_audio_name(name: str) -> bool:
    """Return whether a file name is that of an audio file; hidden files such as `._0.wav` are not."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")


def audio_folder(root: Path) -> Path:
    """Return the folder `audio` of a data set if it exists, else `root`."""
    return root / "audio" if (root / "audio").is_dir() else root


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files directly in `folder`: numbered files by number, then the others by name."""
    files = [path for path in folder.iterdir() if is_audio_name(path.name) and path.is_file()]
    return sorted(files, key=lambda path: (not path.stem.isdecimal(), path.stem.zfill(12), path.name))


def find_audio(root: Path) -> Iterator[str]:
    """Yield the names of all audio files below `root`, relative to it, folder by folder; follows links to folders."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a parent folder
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if is_audio_name(name):
                yield (Path(folder) / name).relative_to(root).as_posix()
