"""What every data set comes to, whatever its layout: clips, classes, and the list each clip is in, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import Literal

TAU_SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)
"""The ten scenes of TAU Urban Acoustic Scenes, in the order that every table and submission of it has."""

ListedSplit = Literal["train", "validation", "test", "evaluation"]
"""What a data set says of a clip. Only a table can list `validation`; elsewhere it is cut from `train`."""


@dataclass(frozen=True)
class Clip:
    """One recording of a data set."""

    clip_id: str
    """The listed file name without `audio/` in front and without its suffix."""
    filename: str
    """As listed, relative to the data set's folder."""
    scene: str | None
    """None where unlabelled."""
    device: str
    """`a` where nothing is known of it."""
    city: str | None
    location: str | None
    """Unique across cities."""
    segment: str | None
    """The recorded moment, shared by the devices that heard it."""


@dataclass(frozen=True)
class Corpus:
    """What a data set lists and has on disk."""

    name: str
    root: Path
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    """Clips that some fold lists and that are on disk, in the order of the lists."""
    folds: Mapping[int, Mapping[str, ListedSplit]]
    """For each fold the list of each of its clips (those on disk), by clip id."""
    n_unlisted: int
    """Clips that the data set describes but no fold lists: they are not prepared."""
    missing: tuple[str, ...]
    """File names that are listed but not on disk."""
    missing_evaluation: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Of these, for each fold, those of its evaluation list."""
    layout: str = "tau"
    """The layout it was read as."""
    warnings: tuple[str, ...] = ()
    """What is odd about its lists, in words."""


def file_clip_id(filename: str) -> str:
    """Return the id of the clip in the file `filename` of a list: without `audio/` in front, without its suffix."""
    name = filename.removeprefix("audio/")
    if "//" in name or "./" in name:
        name = str(PurePosixPath(name))
    return splitext(name)[0]  # pathlib takes five times as long, and a list may have 230,000 names


def location_of(clip: Clip) -> str:
    """Return what is never divided between two splits: a clip without a location stands for itself."""
    return clip.location if clip.location is not None else f"clip:{clip.clip_id}"
