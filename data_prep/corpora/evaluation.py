"""Folders of recordings to predict, such as the challenge's evaluation sets: `audio/0.wav`, `audio/1.wav` …"""

from __future__ import annotations

from pathlib import Path

from data_prep.corpora.disk import AUDIO_SUFFIXES, audio_files, audio_folder
from data_prep.corpora.listing import FoldList, Listing, ListRow
from data_prep.errors import DataError


def read_evaluation(root: Path) -> Listing:
    """Return all recordings in `audio/`, or in `root` without it, as one evaluation list: by number, then by name.

    Raises:
        DataError: if there are no recordings.
    """
    folder = audio_folder(root)
    files = audio_files(folder)
    if not files:
        raise DataError(f"{folder}: contains no audio file ({', '.join(sorted(AUDIO_SUFFIXES))}).")
    rows = [ListRow(folder, number, path.relative_to(root).as_posix()) for number, path in enumerate(files, start=1)]
    return Listing("evaluation", {1: {"evaluation": FoldList(folder.name, folder, rows)}})


def has_only_numbers(root: Path) -> bool:
    """Return whether `root` has recordings and all their names are numbers."""
    files = audio_files(audio_folder(root))
    return bool(files) and all(path.stem.isdecimal() for path in files)
