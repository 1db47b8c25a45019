"""Class probabilities of one model on one split, and their Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from asc_models.ensemble import temper
from asc_models.metrics import summarize
from data_prep.errors import DataError
from data_prep.files.files import written_whole
from data_prep.shards.parquet import CLIP_COLUMNS
from results.outputs.table import PREFIX
from results.rundir import SystemFiles

FilesT = TypeVar("FilesT", bound=SystemFiles)


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of the clips of a split."""

    clips: pd.DataFrame
    """One row per clip, with CLIP_COLUMNS."""
    probabilities: npt.NDArray[np.float32]
    """Shape (n_clips, n_scenes), finite and in [0, 1]."""
    classes: tuple[str, ...]
    """Names of the scenes in the order of the data set."""

    def __post_init__(self) -> None:
        missing = [column for column in CLIP_COLUMNS if column not in self.clips.columns]
        if missing:
            raise DataError(f"predictions lack the columns {', '.join(missing)}")
        expected = (len(self.clips), len(self.classes))
        if self.probabilities.shape != expected:
            raise DataError(f"probabilities must be (n_clips, n_scenes) = {expected}, got {self.probabilities.shape}")
        if self.probabilities.size and not (self.probabilities.min() >= 0 and self.probabilities.max() <= 1 + 1e-6):
            row = int(np.argmin(((self.probabilities >= 0) & (self.probabilities <= 1 + 1e-6)).all(axis=1)))
            raise DataError(
                f"clip {self.clips['clip_id'].iloc[row]}: probabilities must be finite and in [0, 1], "
                f"got {self.probabilities[row]}"
            )

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class indices, shape (n_clips,); -1 for clips without a label."""
        index = {scene: number for number, scene in enumerate(self.classes)}
        scenes = self.clips["scene"]
        unknown = sorted({str(scene) for scene in scenes.dropna()} - set(index))
        if unknown:
            raise DataError(f"scenes that are not classes: {', '.join(unknown)}")
        return np.array([-1 if pd.isna(scene) else index[scene] for scene in scenes], dtype=np.int64)

    @property
    def is_labelled(self) -> bool:
        """Whether there is at least one clip and every clip has a label."""
        return len(self.clips) > 0 and bool(self.clips["scene"].notna().all())

    def summarize(self) -> dict[str, Any]:
        """Return the scores of this split, as stored in metrics.json (see asc_models.metrics.summarize).

        Raises:
            DataError: if a clip has no label.
        """
        if not self.is_labelled:
            raise DataError("predictions can only be scored if every clip has a label")
        return summarize(self.labels, self.probabilities, self.classes, self.clips["device"].astype(str).tolist())


def tempered(predictions: Predictions, temperature: float) -> Predictions:
    """Return predictions with a temperature applied."""
    if temperature == 1.0:
        return predictions
    return replace(predictions, probabilities=temper(predictions.probabilities, temperature).astype(np.float32))


@dataclass(frozen=True)
class PredictedSystem(Generic[FilesT]):
    """A system with its folder in a run; predictions are read on demand."""

    files: FilesT

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.files.name

    def has_predictions(self, split: str) -> bool:
        """Whether predictions of a split are stored."""
        return self.files.predictions_path(split).is_file()

    def predictions(self, split: str) -> Predictions:
        """Return the stored predictions of a split."""
        return read_predictions(self.files.predictions_path(split))


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions as Parquet: CLIP_COLUMNS, then one float32 column `p_<scene>` per class in class order."""
    clips = predictions.clips[list(CLIP_COLUMNS)].reset_index(drop=True).astype("string")
    columns = {f"{PREFIX}{scene}": predictions.probabilities[:, i] for i, scene in enumerate(predictions.classes)}
    table = pd.concat([clips, pd.DataFrame(columns, dtype=np.float32)], axis=1)
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_predictions(path: Path, classes: Sequence[str] | None = None) -> Predictions:
    """Return the predictions in a file.

    Args:
        path: file written by `write_predictions`.
        classes: expected class order; None accepts that of the file.

    Raises:
        DataError: if the file is missing or damaged, or if its class order differs from `classes`.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; the candidate has no predictions of this split") from None
    except Exception as error:  # pyarrow raises various exceptions for a file that is not Parquet
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None
    found = tuple(name.removeprefix(PREFIX) for name in table.columns if name.startswith(PREFIX))
    if classes is not None and found != tuple(classes):
        raise DataError(
            f"{path}: its class order is {', '.join(found)}; the data set's is {', '.join(classes)}. Use predictions "
            "of the same data set."
        )
    try:
        probabilities = table[[f"{PREFIX}{scene}" for scene in found]].to_numpy(dtype=np.float32)
        return Predictions(table[[name for name in CLIP_COLUMNS if name in table]], probabilities, found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def clip_locations(clips: pd.DataFrame) -> list[str]:
    """Return the location of each clip, else its segment, else its id: what is resampled, or left out, as one.

    Args:
        clips: one row per clip, with CLIP_COLUMNS.
    """
    alone = clips["clip_id"]
    if "segment" in clips:
        segments = clips["segment"]
        alone = ("segment:" + segments.astype(str)).where(segments.notna(), alone)
    return clips["location"].where(clips["location"].notna(), alone).astype(str).tolist()
