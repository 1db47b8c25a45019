"""The epochs of a candidate's training, as kept in `history.parquet`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from asc_models.candidate import RETRAIN_AGAIN
from asc_models.config import TrainConfig
from asc_models.training.schedule import cycle_ends, n_averaged
from data_prep.errors import DataError
from data_prep.schema import parse_config
from results.rundir import CandidateFiles

HISTORY_COLUMNS = ("epoch", "loss", "learning_rate", "macro_accuracy", "log_loss")
"""Columns of every `history.parquet`; its scores are those of the network on validation, before its export."""


def read_history(files: CandidateFiles) -> pd.DataFrame | None:
    """Return the epochs of a candidate's training, one row each; None if none were kept, as by older versions.

    With averaged weights there is one more row, for the scores of the average (`is_average`). Scores are NaN if the
    candidate was trained on validation.

    Columns: `HISTORY_COLUMNS`, `is_average`, `is_cycle_end` (the learning rate restarts after the epoch) and
    `is_averaged` (the weights after the epoch are part of the average).

    Raises:
        ConfigError, RunError: if the candidate's configuration is damaged.
        DataError: if the file is damaged.
    """
    path = files.history_path
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises various exceptions for a file that is not Parquet
        raise DataError(f"{path}: cannot be read as Parquet: {error}. {RETRAIN_AGAIN}") from None
    if missing := [name for name in HISTORY_COLUMNS if name not in table]:
        raise DataError(f"{path}: lacks {', '.join(missing)}. {RETRAIN_AGAIN}")
    is_average = table["is_average"].astype(bool) if "is_average" in table else pd.Series(False, index=table.index)
    config = parse_config(TrainConfig, files.read_config().get("train") or {}, str(files.config_path))
    epochs = table["epoch"].to_numpy()
    is_sgdr = config.schedule == "sgdr"
    ends = cycle_ends(config.first_cycle, config.cycle_factor, config.epochs - 1) if is_sgdr else []
    return table[[*HISTORY_COLUMNS]].assign(
        is_average=is_average,
        is_cycle_end=np.isin(epochs, ends) & ~is_average,
        is_averaged=(epochs > config.epochs - n_averaged(config)) & ~is_average,
    )
