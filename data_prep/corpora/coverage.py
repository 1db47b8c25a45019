"""Checks that a data set suffices for training and testing: files on disk, two classes, each class in each split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from data_prep.config import ValidationSpec
from data_prep.corpora.corpus import Corpus, location_of
from data_prep.corpora.splits import assign_splits

N_NAMED = 3
"""Number of examples in a message."""


def missing_problem(corpus: Corpus, max_share: float) -> str | None:
    """Return a message if more than `max_share` of the listed files are not on disk, else None."""
    n_missing, n_listed = len(corpus.missing), len(corpus.missing) + len(corpus.clips)
    if n_missing <= max_share * n_listed:
        return None
    share = n_missing / n_listed
    enough = min(1.0, (int(share * 100) + 1) / 100)
    return (
        f"{corpus.root}: {n_missing:,} of {n_listed:,} listed files are not on disk ({share:.1%}); at most "
        f"{max_share:.4g} may be missing: {some(corpus.missing)}. Unpack the rest of the audio, correct the names in "
        f"the lists, or continue without these files: --set prepare.quarantine.max_missing_share={enough:g}"
    )


def class_problem(corpus: Corpus) -> str | None:
    """Return a message if a fold trains on clips of a single class, else None."""
    scenes = {clip.clip_id: clip.scene for clip in corpus.clips}
    for fold, listed in corpus.folds.items():
        training = [scenes[clip_id] for clip_id, split in listed.items() if split == "train"]
        if len(set(training)) == 1:
            return (
                f"{corpus.root}: all {len(training):,} training clips of fold {fold} are of the class {training[0]!r}; "
                "a classifier needs two or more. Correct the labels, or name their column: --label-column NAME "
                "(prepare.corpus.label_column)"
            )
    return None


def split_gaps(corpus: Corpus, spec: ValidationSpec, usable: Collection[str]) -> list[tuple[str, str]]:
    """Return (split, message) for the classes that a fold trains on but lacks in validation or test.

    Args:
        corpus: the data set.
        spec: how the validation split is chosen.
        usable: ids of the usable clips.
    """
    scenes = {clip.clip_id: str(clip.scene) for clip in corpus.clips}
    locations = {clip.clip_id: location_of(clip) for clip in corpus.clips}
    gaps: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for fold, assigned in assign_splits(corpus, spec).items():
        listed = corpus.folds[fold]
        trained = {scenes[i] for i, split in assigned.items() if split == "train" and i in usable}
        locations_of_scene: dict[str, set[str]] = defaultdict(set)
        for clip_id, split in listed.items():
            if split == "train":
                locations_of_scene[scenes[clip_id]].add(locations[clip_id])
        for split in ("validation", "test"):
            meant = {scenes[i] for i, of in assigned.items() if of == split}
            held = {scenes[i] for i, of in assigned.items() if of == split and i in usable}
            if split == "test" and not meant:
                continue  # reported for the whole fold
            for scene in sorted(trained - held):
                if scene in meant:
                    reason = f"whose {split} clips are unusable"
                elif split in listed.values():
                    reason = f"missing from the {split} list"
                elif len(locations_of_scene[scene]) == 1:
                    reason = "with a single training location"
                else:
                    reason = "whose training locations are all needed for training"
                gaps[fold, split, reason].append(scene)
    return [
        (split, f"fold {fold}: scenes {reason} have no {split} clip: {some(names)}")
        for (fold, split, reason), names in gaps.items()
    ]


def some(names: Collection[str]) -> str:
    """Return the first names of a list and the number of the others, as text."""
    rest = len(names) - N_NAMED
    return ", ".join(list(names)[:N_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
