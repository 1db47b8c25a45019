"""Checks that labels, locations and file names of resolved clips are consistent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from data_prep.config import CorpusConfig
from data_prep.corpora.corpus import TAU_SCENES, Clip, ListedSplit, file_clip_id
from data_prep.corpora.listing import ListedFolds, ListRow
from data_prep.corpora.names import TauName, parse_tau_name
from data_prep.corpora.problems import ListProblem


def class_problems(
    clips: Mapping[str, Clip], folds: Mapping[int, Mapping[str, ListedSplit]], lists_of: ListedFolds
) -> Iterable[ListProblem]:
    """Yield the rows of validation and test lists whose scene is not in the training list of their fold."""
    for fold, lists in lists_of.items():
        if "train" not in lists:
            continue
        splits = folds[fold]
        known = {str(clips[i].scene) for i, split in splits.items() if split == "train"}
        for split in ("validation", "test"):
            for row in lists[split].rows if split in lists else ():
                clip = clips.get(file_clip_id(row.filename))
                if clip is None or clip.scene is None or clip.scene in known or splits[clip.clip_id] != split:
                    continue
                yield ListProblem(
                    "unknown class",
                    row,
                    f"scene {clip.scene!r} of {row.filename} does not occur in {lists['train'].title} "
                    f"({', '.join(sorted(known))}). Correct the label, add training clips of {clip.scene!r}, or remove "
                    f"it from {lists[split].title}.",
                )


def outside_classes(
    clips: Mapping[str, Clip], rows: Mapping[str, ListRow], config: CorpusConfig
) -> Iterable[ListProblem]:
    """Yield the clips whose scene is not among the configured classes, if any are configured."""
    if not config.classes:
        return
    for clip_id, clip in clips.items():
        if clip.scene is not None and clip.scene not in config.classes:
            yield ListProblem(
                "unknown class",
                rows[clip_id],
                f"scene {clip.scene!r} of {clip.filename} is not in prepare.corpus.classes "
                f"({', '.join(config.classes)}). Correct the label, or add the class.",
            )


def location_problems(
    clips: Mapping[str, Clip],
    rows: Mapping[str, ListRow],
    folds: Mapping[int, Mapping[str, ListedSplit]],
    config: CorpusConfig,
) -> Iterable[ListProblem]:
    """Yield one problem for each location in both the training and the test list of a fold."""
    for fold, splits in folds.items():
        at: dict[str, dict[ListedSplit, str]] = defaultdict(dict)
        for clip_id, split in splits.items():
            location = clips[clip_id].location
            if location is not None:
                at[location].setdefault(split, clip_id)
        for location, first in at.items():
            for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
                if one not in first or other not in first:
                    continue
                heard, tested = rows[first[one]], rows[first[other]]
                yield ListProblem(
                    "shared location",
                    tested,
                    f"{tested.filename}, in the {other} list of fold {fold}, is from location {location}, and so is "
                    f"{heard.filename} of the {one} list ({heard.path.name}, line {heard.line}), so test scores would "
                    "be too high. Remove the location from one list, or make folds by location with "
                    "prepare.corpus.k_folds"
                    + ("." if other == "validation" else ", or accept it with prepare.corpus.shared_locations=warn."),
                    fatal=other == "validation" or config.shared_locations == "refuse",
                )


def name_problems(clips: Mapping[str, Clip], rows: Mapping[str, ListRow]) -> Iterable[ListProblem]:
    """Yield the clips whose label or table row contradicts their file name.

    All clips with the same scene in the name must have the same label: that scene, or in a relabelled edition another.
    """
    names: dict[str, TauName] = {}
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for clip_id, clip in clips.items():
        name = parse_tau_name(clip_id, clip.scene)
        if name is not None:
            names[clip_id] = name
            if clip.scene is not None:
                labels[name.scene][clip.scene] += 1
    usual = {
        scene: scene if scene in counts else min(counts, key=lambda label: (-counts[label], label))
        for scene, counts in labels.items()
    }
    for clip_id, name in names.items():
        clip, row = clips[clip_id], rows[clip_id]
        wrong = clip.scene in TAU_SCENES and name.scene in TAU_SCENES and clip.scene != name.scene
        if clip.scene is not None and (wrong or clip.scene != usual[name.scene]):
            yield ListProblem(
                "name against label",
                row,
                f"{clip.filename} has the scene {clip.scene!r}, but its name says {name.scene}"
                + (f", which is {usual[name.scene]!r} elsewhere" if usual[name.scene] != name.scene else "")
                + ". Correct the label or the name, or ignore names with prepare.corpus.names=false.",
            )
        for what, declared, named in (("device", clip.device, name.device), ("location", clip.location, name.location)):
            if declared != named:
                yield ListProblem(
                    "name against table",
                    row,
                    f"{clip.filename} has the {what} {declared!r}, but its name says {named!r}; the table is used",
                    fatal=False,
                )
