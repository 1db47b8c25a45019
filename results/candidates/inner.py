"""The parts of a candidate's inner cross-validation on disk, each with what it was trained with, until it is scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from asc_models.candidate import CandidateConfig, read_candidate_config
from data_prep.errors import DataError
from results.candidates.predictions import Predictions, read_predictions
from results.rundir import CandidateFiles


def predicted_parts(files: CandidateFiles) -> dict[int, CandidateFiles]:
    """Return {part: its files} of the parts that have predicted their clips, in order."""
    numbers = sorted(int(path.name) for path in files.inner_dir.glob("*") if path.name.isdecimal())
    parts = {part: files.inner(part) for part in numbers}
    return {part: own for part, own in parts.items() if own.predictions_path("validation").is_file()}


def trained_with(files: CandidateFiles) -> CandidateConfig | None:
    """Return the candidate's configuration that a part was trained with; None if an earlier version trained it.

    Raises:
        ConfigError: if the stored configuration is invalid.
    """
    return read_candidate_config(files.config_path) if files.config_path.is_file() else None


def number_of_parts(files: CandidateFiles) -> int:
    """Return the number of parts that a candidate's parts were trained for; 0 if they do not state it."""
    stated = (trained_with(own) for own in predicted_parts(files).values())
    return next((one.inner_folds for one in stated if one is not None), 0)


def require_parts_of(files: CandidateFiles, n_parts: int) -> None:
    """Check that all parts which have predicted their clips are those of a cross-validation in `n_parts` parts.

    Raises:
        DataError: if one is of another number of parts.
    """
    for part, own in predicted_parts(files).items():
        config = trained_with(own)
        if part > n_parts or (config is not None and config.inner_folds != n_parts):
            of = f"more than {n_parts}" if config is None else str(config.inner_folds)
            raise DataError(
                f"{own.root}: is a part of an inner cross-validation in {of} parts, not in {n_parts}. Use that number "
                f"of parts, choose another --out, or move the folder {files.inner_dir} away to train its parts again."
            )


def joined_parts(files: CandidateFiles, parts: Sequence[int], classes: tuple[str, ...] | None = None) -> Predictions:
    """Return the predictions of a candidate's `parts`, one part after another.

    Args:
        files: files of the candidate.
        parts: numbers of the parts.
        classes: expected scenes; None takes those of the files.

    Raises:
        DataError: if a part's predictions are missing, or two parts contain the same clip.
    """
    read = [read_predictions(files.inner(part).predictions_path("validation"), classes) for part in parts]
    clips = pd.concat([one.clips for one in read], ignore_index=True)
    if twice := sorted(clips["clip_id"][clips["clip_id"].duplicated()]):
        raise DataError(
            f"{files.root}: {twice[0]} is in two parts; delete the folder {files.inner_dir} and rerun the same command"
        )
    return Predictions(clips, np.concatenate([one.probabilities for one in read]), read[0].classes)
