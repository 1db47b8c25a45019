"""Rows of lists → clips and folds, with all contradictions among the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from unicodedata import category

from data_prep.config import CorpusConfig
from data_prep.corpora.contradictions import class_problems, location_problems, name_problems, outside_classes
from data_prep.corpora.corpus import TAU_SCENES, Clip, ListedSplit, file_clip_id
from data_prep.corpora.kfold import cut_folds
from data_prep.corpora.listing import FoldList, Listing, ListRow
from data_prep.corpora.lists import by_filename
from data_prep.corpora.names import parse_tau_name
from data_prep.corpora.problems import ListProblem, warnings_of

DEFAULT_K_FOLDS = 5
"""Number of folds for a data set that lists none."""
DEFAULT_DEVICE = "a"


@dataclass
class Resolved:
    """Clips, folds and problems derived from the lists, independent of the files on disk."""

    clips: dict[str, Clip] = field(default_factory=dict)
    """{clip_id: clip}, in the order of the lists."""
    rows: dict[str, ListRow] = field(default_factory=dict)
    """{clip_id: first row that lists it}."""
    folds: dict[int, dict[str, ListedSplit]] = field(default_factory=dict)
    unlisted: list[ListRow] = field(default_factory=list)
    """Rows of clips that no fold lists."""
    problems: list[ListProblem] = field(default_factory=list)
    order: tuple[str, ...] = ()
    """The scenes in the data set's order, if it defines one."""
    remarks: tuple[str, ...] = ()
    """Further warnings."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings, including non-fatal problems."""
        return (*self.remarks, *warnings_of(self.problems))

    def classes(self, config: CorpusConfig) -> tuple[str, ...]:
        """Return the scenes as configured, else in the data set's order, else sorted (the order of TAU's scenes).

        An evaluation set has no labels; it gets TAU's scenes.
        """
        if config.classes:
            return config.classes
        if self.order:
            return self.order
        labels = {clip.scene for clip in self.clips.values() if clip.scene is not None}
        return tuple(sorted(labels)) or TAU_SCENES


def resolve(listing: Listing, config: CorpusConfig) -> Resolved:
    """Return the clips and folds of a data set and all problems of its lists.

    Raises:
        DataError: if the data set can't be split into k folds.
    """
    found = Resolved(order=listing.classes)
    described = by_filename(listing.described)
    found.problems += _described_twice(listing.described, described)
    for fold, lists in listing.folds.items():
        for split, listed in lists.items():
            _take(found, fold, split, listed, described, config)
    if not listing.folds:
        _take_all(found, described.values(), config)
    listed_names = {clip.filename for clip in found.clips.values()}
    found.unlisted = [row for name, row in described.items() if name not in listed_names]
    remarks = list(listing.warnings)
    if config.k_folds is not None or not listing.folds:
        k = config.k_folds or DEFAULT_K_FOLDS
        found.folds, odd = cut_folds(found.clips, found.folds, k, config.seed)
        remarks += odd
    else:
        found.problems += class_problems(found.clips, found.folds, listing.folds)
        found.problems += location_problems(found.clips, found.rows, found.folds, config)
        remarks += _no_test(found.folds)
    found.problems += outside_classes(found.clips, found.rows, config)
    if config.names:
        found.problems += name_problems(found.clips, found.rows)
    found.remarks = tuple(remarks)
    return found


def _described_twice(rows: Sequence[ListRow], first: Mapping[str, ListRow]) -> Iterable[ListProblem]:
    for row in rows:
        known = first[row.filename]
        if row is known:
            continue
        if row.scene != known.scene:
            yield ListProblem(
                "two labels",
                row,
                f"{row.filename} has the scene {row.scene!r} here, but {known.scene!r} in line {known.line}. Correct "
                "one of them.",
            )
        else:
            yield ListProblem("listed twice", row, f"{row.filename} is already in line {known.line}", fatal=False)


def _take(
    found: Resolved,
    fold: int,
    split: ListedSplit,
    listed: FoldList,
    described: Mapping[str, ListRow],
    config: CorpusConfig,
) -> None:
    """Add the rows of one list to clips and folds."""
    rows = []
    for row in listed.rows:
        known = described.get(row.filename)
        if known is not None and known.scene and row.scene and known.scene != row.scene:
            found.problems.append(
                ListProblem(
                    "two labels",
                    row,
                    f"{row.filename} has the scene {row.scene!r} here, but {known.scene!r} in {known.path.name}, line "
                    f"{known.line}. Correct one of them.",
                )
            )
        rows.append(row.completed(known))
    if split == "test" and all(row.scene is None for row in rows):
        split = "evaluation"
    splits = found.folds.setdefault(fold, {})
    for row in rows:
        if (problem := _path_problem(row)) is not None:
            found.problems.append(problem)
            continue
        if row.scene is None and split != "evaluation":
            found.problems.append(_no_label(row, split))
        clip = _clip(row, config)
        known_clip = found.clips.setdefault(clip.clip_id, clip)
        found.rows.setdefault(clip.clip_id, row)
        if known_clip != clip:
            found.problems.append(_contradiction(row, clip, known_clip))
        elif clip.clip_id in splits:
            found.problems.append(_again(row, split, splits[clip.clip_id], fold))
        splits.setdefault(clip.clip_id, split)


def _take_all(found: Resolved, rows: Iterable[ListRow], config: CorpusConfig) -> None:
    """Add the clips of a data set without lists as one training list, to be split into folds."""
    by_label: dict[bool, list[ListRow]] = {True: [], False: []}
    for row in rows:
        by_label[row.scene is not None].append(row)
    parts: tuple[tuple[ListedSplit, bool], ...] = (("train", True), ("evaluation", False))
    for split, labelled in parts:
        if by_label[labelled]:
            path = by_label[labelled][0].path
            _take(found, 1, split, FoldList(path.name, path, by_label[labelled]), {}, config)


def _clip(row: ListRow, config: CorpusConfig) -> Clip:
    clip_id = file_clip_id(row.filename)
    name = parse_tau_name(clip_id, row.scene) if config.names else None
    city = row.city or (name.city if name is not None else None)
    return Clip(
        clip_id=clip_id,
        filename=row.filename,
        scene=row.scene,
        device=row.device or (name.device if name is not None else DEFAULT_DEVICE),
        city=city,
        location=row.location or (name.location if name is not None else None),
        segment=row.segment or (name.segment if name is not None else None),
    )


def _path_problem(row: ListRow) -> ListProblem | None:
    if not row.filename.isprintable() and any(category(letter) in ("Cc", "Cs") for letter in row.filename):
        return ListProblem(
            "bad path",
            row,
            f"{row.filename!r} contains control characters or is not UTF-8. Rename the file and correct the list.",
        )
    if row.filename.startswith("/") or (".." in row.filename and ".." in PurePosixPath(row.filename).parts):
        return ListProblem(
            "bad path",
            row,
            f"{row.filename} is outside the data set's folder. File names are relative to that folder: shorten them, "
            "or give the folder that contains the audio.",
        )
    return None


def _no_label(row: ListRow, split: str) -> ListProblem:
    what = "training" if split == "train" else split
    return ListProblem(
        "no label",
        row,
        f"{row.filename} has no scene_label, here or in the table that describes the clips. Every {what} clip needs "
        "one; only a list without any labels is an evaluation list.",
    )


def _contradiction(row: ListRow, clip: Clip, known: Clip) -> ListProblem:
    if clip.filename != known.filename or clip.scene != known.scene:
        return ListProblem(
            "two files" if clip.filename != known.filename else "two labels",
            row,
            f"{row.filename} ({row.scene}) contradicts an earlier list, which has {known.filename} ({known.scene}). A "
            "clip has one file and one scene: correct one of the lists.",
        )
    return ListProblem(
        "two labels",
        row,
        f"{row.filename} has device {clip.device}, city {clip.city}, location {clip.location}, segment {clip.segment} "
        f"here, but {known.device}, {known.city}, {known.location}, {known.segment} earlier. Correct one of the rows.",
    )


def _again(row: ListRow, split: str, earlier: str, fold: int) -> ListProblem:
    if split != earlier:
        return ListProblem(
            "two lists",
            row,
            f"{row.filename} is also in the {earlier} list of fold {fold}. A clip may be in one list of a fold only: "
            "remove it from one.",
        )
    return ListProblem("listed twice", row, f"{row.filename} is already in this list of fold {fold}", fatal=False)


def _no_test(folds: Mapping[int, Mapping[str, ListedSplit]]) -> list[str]:
    """Return a warning for each fold with training clips but no test clips."""
    untested = [str(k) for k, splits in folds.items() if "train" in splits.values() and "test" not in splits.values()]
    if not untested:
        return []
    which = f"fold {untested[0]} has" if len(untested) == 1 else f"folds {', '.join(untested)} have"
    return [
        f"{which} no labelled evaluate list, so no candidate can be tested; prepare.corpus.k_folds=5 makes folds that "
        "each have a test split"
    ]
