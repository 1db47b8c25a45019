"""The audio files that lie in a data set's folder, whatever its lists say."""

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
"""What libsndfile reads, by the usual suffixes."""


def is_on_disk(root: Path, filename: str) -> bool:
    """Say whether a listed name leads to a file: no folder, pipe or device, and no name that can't be one."""
    return os.path.isfile(f"{root}/{filename}")  # noqa: PTH113 - pathlib's is slow, and raises where a name is too long


def is_audio_name(name: str) -> bool:
    """Say whether a file of this name is audio; `._0.wav` and other hidden files are not."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")


def audio_folder(root: Path) -> Path:
    """Return the folder `audio` of a data set, or the data set's own where there is none."""
    return root / "audio" if (root / "audio").is_dir() else root


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files directly in `folder`: by number where the names are numbers, then by name."""
    files = [path for path in folder.iterdir() if is_audio_name(path.name) and path.is_file()]
    return sorted(files, key=lambda path: (not path.stem.isdecimal(), path.stem.zfill(12), path.name))


def find_audio(root: Path) -> Iterator[str]:
    """Yield the names of all audio files below `root`, relative to it, folder by folder; links to folders count."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if is_audio_name(name):
                yield (Path(folder) / name).relative_to(root).as_posix()
