"""Scores on the test split epoch by epoch, to compare with results that were chosen by them.

Published results are often those of the epoch that is best on the test split. The curve says what such a choice would
give here. It is asked for explicitly, kept in a file that nothing but the tables of a cross-validation reads, and no
epoch, recipe or candidate is chosen by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from asc_models.candidate import CandidateConfig
from asc_models.metrics import log_loss, macro_accuracy
from data_prep.files.files import written_whole
from data_prep.reader.reader import FeatureSet, read_split
from data_prep.store.store import Location

if TYPE_CHECKING:
    from asc_models.training.trainer import Trainer


class CurveOnTest:
    """Writes the network's scores on the test split after every `every` epochs to a Parquet file.

    A resumed training calls `note` with the epoch that it resumes from, too, whose scores a killed call may lack.

    Args:
        trainer: the training.
        test: the test split.
        path: path of the file. It may have the scores of a killed call; those of epochs that are trained again are
            replaced.
        every: number of epochs between two scores.
    """

    def __init__(self, trainer: Trainer, test: FeatureSet, path: Path, every: int) -> None:
        self._trainer, self._test, self._path, self._every = trainer, test, path, every

    def note(self, epoch: int) -> None:
        """Score the network after `epoch` epochs, if that is its turn."""
        if not epoch or epoch % self._every:
            return
        probabilities = self._trainer.predict(self._test)
        labels = self._test.labels
        scores = {"macro_accuracy": macro_accuracy(labels, probabilities), "log_loss": log_loss(labels, probabilities)}
        row = pd.DataFrame([{"epoch": epoch, **scores}])
        if self._path.is_file():
            known = pd.read_parquet(self._path)
            row = pd.concat([known[known["epoch"] < epoch], row], ignore_index=True)
        with written_whole(self._path) as temporary:
            row.to_parquet(temporary, index=False)


def curve_on_test(config: CandidateConfig, shards: Location, trainer: Trainer, path: Path, every: int) -> CurveOnTest:
    """Return the curve of a candidate's training, after reading the test split."""
    test = read_split(shards, "test", fold=config.fold, reader=config.reader, statistics=config.statistics)
    return CurveOnTest(trainer, test, path, every)
