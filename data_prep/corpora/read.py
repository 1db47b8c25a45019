"""A data set's folder → its clips, classes and folds."""

from __future__ import annotations

from pathlib import Path

from data_prep.config import CorpusConfig
from data_prep.corpora.corpus import Corpus
from data_prep.corpora.detect import read_listing
from data_prep.corpora.disk import is_on_disk
from data_prep.corpora.matching import match_files
from data_prep.corpora.problems import raise_first
from data_prep.corpora.resolve import Resolved, resolve
from data_prep.errors import DataError
from data_prep.wording import printable


def read_corpus(root: Path, config: CorpusConfig | None = None) -> Corpus:
    """Return the data set in the folder `root`.

    The layout is detected unless `config.layout` sets it. Training lists are `train`, labelled evaluate lists `test`,
    lists without labels `evaluation`; a test list of names only is used if there is no evaluate list. Clips in no list
    are counted and not read.

    Args:
        root: the data set's folder.
        config: how to read it; defaults to detection.

    Raises:
        DataError: if the data set or a list is missing, empty or contradicts itself (two labels or files for a clip, a
            clip in two lists, a label outside the classes, a location in both training and test of a fold), with file,
            line and way out; or if no listed file is on disk.
    """
    config = config or CorpusConfig()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give the folder with the audio and its lists.")
    listing = read_listing(root, config)
    resolved = resolve(listing, config)
    raise_first(resolved.problems)
    match_files(root, resolved)
    on_disk = {i for i, clip in resolved.clips.items() if is_on_disk(root, clip.filename)}
    _validate_on_disk(root, resolved, on_disk)
    return Corpus(
        name=printable(root.resolve().name),
        root=root,
        classes=resolved.classes(config),
        clips=tuple(clip for i, clip in resolved.clips.items() if i in on_disk),
        folds={k: {i: split for i, split in fold.items() if i in on_disk} for k, fold in resolved.folds.items()},
        n_unlisted=len(resolved.unlisted),
        missing=tuple(clip.filename for i, clip in resolved.clips.items() if i not in on_disk),
        missing_evaluation={k: _missing_evaluation(resolved, k, on_disk) for k in resolved.folds},
        layout=listing.layout,
        warnings=resolved.warnings,
    )


def _missing_evaluation(resolved: Resolved, fold: int, on_disk: set[str]) -> tuple[str, ...]:
    listed = (i for i, split in resolved.folds[fold].items() if split == "evaluation")
    return tuple(resolved.clips[i].filename for i in listed if i not in on_disk)


def _validate_on_disk(root: Path, resolved: Resolved, on_disk: set[str]) -> None:
    clips = resolved.clips
    if not on_disk:
        raise DataError(
            f"{root}: none of the {len(clips):,} listed files is on disk; the first is "
            f"{next(iter(clips.values())).filename}. Unpack the audio into the data set's folder, or give the folder "
            "that contains it."
        )
    for fold, splits in resolved.folds.items():
        training = [clip_id for clip_id, split in splits.items() if split == "train"]
        if training and on_disk.isdisjoint(training):
            row = resolved.rows[training[0]]
            raise DataError(
                f"{row.path}: none of its {len(training):,} files is on disk; the first is "
                f"{clips[training[0]].filename}. Unpack the rest of the audio, or remove the lists of fold {fold}."
            )
