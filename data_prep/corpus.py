"""Data sets in the layout of TAU Urban Acoustic Scenes: `audio/`, `meta.csv`, `evaluation_setup/foldK_*.csv`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from data_prep.errors import DataError
from data_prep.lists import ListRow, read_list

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

LAYOUT = "expected: audio/, evaluation_setup/fold1_train.csv and fold1_evaluate.csv (filename, scene_label), meta.csv"

ListedSplit = Literal["train", "test", "evaluation"]

_TAU_NAME = re.compile(
    r"(?P<scene>[a-z_]+)-(?P<city>[a-z_]+)-(?P<location>\w+)-(?P<segment>\w+(?:-\d+)?)-(?P<device>[abcd]|s\d+)"
)
_LIST_NAME = re.compile(r"fold(?P<fold>\d+)_(?P<kind>train|evaluate|test)\.csv")
_KINDS = ("train", "evaluate", "test")


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
    """For each fold the list of each of its clips (those on disk): clip_id → train, test or evaluation."""
    n_unlisted: int
    """Rows of `meta.csv` that no fold lists: they are not prepared."""
    missing: tuple[str, ...]
    """File names that are listed but not on disk."""


def read_corpus(root: Path) -> Corpus:
    """Return the data set in the folder `root`.

    `foldK_train.csv` is the training list, `foldK_evaluate.csv` the test list. `foldK_test.csv` counts only where there
    is no evaluate list. A list without labels takes them from `meta.csv`; without labels there it is `evaluation`.

    Raises:
        DataError: if the data set or a list is missing, empty or contradicts itself, if none of the listed files is on
            disk, or if a test list has a class that the training list of its fold lacks.
    """
    folder = root / "evaluation_setup"
    if not root.is_dir():
        raise DataError(f"{root}: no such data set. Give the folder that holds audio/ and evaluation_setup/.")
    meta_path = root / "meta.csv"
    meta = {row.filename: row for row in read_list(meta_path)} if meta_path.exists() else {}
    lists = _read_lists(folder, meta)
    if not lists:
        raise DataError(f"{folder}: holds no list of a fold; {LAYOUT}")
    _validate_classes(folder, lists)
    clips, folds = _collect(folder, lists, meta)
    labels = {clip.scene for clip in clips.values() if clip.scene is not None}
    on_disk = {clip_id: clip for clip_id, clip in clips.items() if (root / clip.filename).is_file()}
    missing = tuple(clip.filename for clip_id, clip in clips.items() if clip_id not in on_disk)
    if not on_disk:
        raise DataError(
            f"{root}: none of the {len(clips):,} listed files is on disk; the first is {missing[0]}. "
            "Unpack the audio into audio/, or give the folder that holds it."
        )
    for fold, splits in folds.items():
        training = [clip_id for clip_id, split in splits.items() if split == "train"]
        if training and on_disk.keys().isdisjoint(training):
            raise DataError(
                f"{lists[fold]['train'][0]}: none of its {len(training):,} files is on disk; the first is "
                f"{clips[training[0]].filename}. Unpack the rest of the audio, or remove the lists of fold {fold}."
            )
    listed_names = {clip.filename for clip in clips.values()}
    return Corpus(
        name=root.resolve().name,
        root=root,
        classes=TAU_SCENES if labels <= set(TAU_SCENES) else tuple(sorted(labels)),
        clips=tuple(on_disk.values()),
        folds={k: {i: split for i, split in fold.items() if i in on_disk} for k, fold in folds.items()},
        n_unlisted=len(meta.keys() - listed_names),
        missing=missing,
    )


def _read_lists(folder: Path, meta: Mapping[str, ListRow]) -> dict[int, dict[ListedSplit, tuple[Path, list[ListRow]]]]:
    """Return the rows of every fold's lists with their scenes filled in from `meta.csv` where the list has none."""
    matches = [(m, p) for p in folder.glob("*.csv") if (m := _LIST_NAME.fullmatch(p.name))]
    names = sorted(((int(m["fold"]), m["kind"], p) for m, p in matches), key=lambda n: (n[0], _KINDS.index(n[1])))
    with_evaluate = {fold for fold, kind, _ in names if kind == "evaluate"}
    lists: dict[int, dict[ListedSplit, tuple[Path, list[ListRow]]]] = {}
    for fold, kind, path in names:
        if kind == "test" and fold in with_evaluate:
            continue  # the names of the evaluate list once more, without labels
        rows = [row.completed(meta.get(row.filename), path) for row in read_list(path)]
        unlabelled = [row for row in rows if row.scene is None]
        split: ListedSplit = "train" if kind == "train" else ("evaluation" if unlabelled else "test")
        if split == "train" and unlabelled:
            raise DataError(
                f"{path}, line {unlabelled[0].line}: {unlabelled[0].filename} has no scene_label, here or in meta.csv. "
                "Every training clip needs one."
            )
        lists.setdefault(fold, {})[split] = (path, rows)
    return lists


def _validate_classes(folder: Path, lists: Mapping[int, Mapping[ListedSplit, tuple[Path, Sequence[ListRow]]]]) -> None:
    for fold in lists.values():
        if "train" not in fold or "test" not in fold:
            continue
        known = {row.scene for row in fold["train"][1]}
        path, rows = fold["test"]
        for row in rows:
            if row.scene not in known:
                raise DataError(
                    f"{path}, line {row.line}: scene {row.scene!r} of {row.filename} does not occur in "
                    f"{fold['train'][0].name} ({', '.join(sorted(map(str, known)))}). Mend the label, add training "
                    f"clips of {row.scene!r}, or take it out of {path.name}."
                )


def _collect(
    folder: Path,
    lists: Mapping[int, Mapping[ListedSplit, tuple[Path, Sequence[ListRow]]]],
    meta: Mapping[str, ListRow],
) -> tuple[dict[str, Clip], dict[int, dict[str, ListedSplit]]]:
    """Return the listed clips by their ids, and each fold's split of each of them."""
    clips: dict[str, Clip] = {}
    folds: dict[int, dict[str, ListedSplit]] = {}
    for fold, by_split in lists.items():
        splits = folds.setdefault(fold, {})
        for split, (path, rows) in by_split.items():
            for row in rows:
                clip = _clip(row, meta.get(row.filename))
                known = clips.setdefault(clip.clip_id, clip)
                if known != clip:
                    raise DataError(
                        f"{path}, line {row.line}: {row.filename} ({row.scene}) contradicts an earlier list, which has "
                        f"{known.filename} ({known.scene}). A clip has one file and one scene: mend one of the lists."
                    )
                if splits.setdefault(clip.clip_id, split) != split:
                    raise DataError(
                        f"{path}, line {row.line}: {row.filename} is also in the {splits[clip.clip_id]} list of fold "
                        f"{fold}. A clip belongs to one list of a fold: take it out of one."
                    )
    return clips, folds


def _clip(row: ListRow, meta: ListRow | None) -> Clip:
    clip_id = file_clip_id(row.filename)
    tau = _TAU_NAME.fullmatch(PurePosixPath(clip_id).name)
    if tau is not None and row.scene not in (None, tau["scene"]):
        tau = None  # another data set's name that only looks like one of TAU's
    location = meta.identifier if meta is not None else None
    city = None
    if tau is not None:
        location = location or f"{tau['city']}-{tau['location']}"
        city = tau["city"]
    device = (meta.source_label if meta is not None else None) or (tau["device"] if tau is not None else "a")
    return Clip(clip_id, row.filename, row.scene, device, city, location, tau["segment"] if tau is not None else None)


def file_clip_id(filename: str) -> str:
    """Return the id of the clip in the file `filename` of a list: without `audio/` in front, without its suffix."""
    return str(PurePosixPath(filename.removeprefix("audio/")).with_suffix(""))
