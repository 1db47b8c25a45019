"""A folder of recordings that are to be predicted: the challenge's evaluation sets, `audio/0.wav`, `audio/1.wav` …"""

from __future__ import annotations

from pathlib import Path

from data_prep.corpora.listing import ListedRows, Listing, Row
from data_prep.errors import DataError

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


def read_evaluation(root: Path) -> Listing:
    """Return every recording in `audio/`, or beside it, as one evaluation list: by number, then by name.

    Raises:
        DataError: if there is none.
    """
    folder = audio_folder(root)
    files = audio_files(folder)
    if not files:
        raise DataError(f"{folder}: holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))}).")
    rows = [Row(folder, number, path.relative_to(root).as_posix()) for number, path in enumerate(files, start=1)]
    return Listing("evaluation", {1: {"evaluation": ListedRows(folder.name, folder, rows)}})


def audio_folder(root: Path) -> Path:
    """Return the folder `audio` of a data set, or the data set's own where there is none."""
    return root / "audio" if (root / "audio").is_dir() else root


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files directly in `folder`: by number where the names are numbers, then by name."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
    return sorted(files, key=lambda path: (not path.stem.isdecimal(), path.stem.zfill(12), path.name))


def has_only_numbers(root: Path) -> bool:
    """Say whether the recordings of `root` have numbers for names, and there are some."""
    files = audio_files(audio_folder(root))
    return bool(files) and all(path.stem.isdecimal() for path in files)
