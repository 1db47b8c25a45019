"""The epochs of a training are read as they were recorded, with what its schedule says of each."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from results_support import add_history

from data_prep.errors import DataError
from results.candidates.history import HISTORY_COLUMNS, read_history
from results.rundir import CandidateFiles


@pytest.fixture
def files(tmp_path: Path) -> CandidateFiles:
    made = CandidateFiles(tmp_path)
    add_history(made, swa_share=0.25)
    return made


def _epochs(table: pd.DataFrame, flag: str) -> list[int]:
    return table.loc[table[flag], "epoch"].tolist()


def test_restarts_and_averaged_epochs_are_those_of_the_schedule(files: CandidateFiles) -> None:
    """Cycles of 2, 4, 8 epochs end after 2, 6, 14, where the last has no restart; a quarter of 14 epochs is 4."""
    table = read_history(files)
    assert table is not None
    assert _epochs(table, "is_cycle_end") == [2, 6]
    assert _epochs(table, "is_averaged") == [11, 12, 13, 14]
    assert _epochs(table, "is_average") == [14]
    assert len(table) == 15
    files.config_path.write_text(yaml.safe_dump({"train": {"epochs": 14, "schedule": "cosine"}}))
    cosine = read_history(files)
    assert cosine is not None
    assert not cosine[["is_cycle_end", "is_averaged"]].any().any()


def test_older_candidates_have_fewer_columns_or_no_history(files: CandidateFiles) -> None:
    """Without the file there is no history; without the column no average."""
    pd.read_parquet(files.history_path)[[*HISTORY_COLUMNS]].head(14).to_parquet(files.history_path)
    older = read_history(files)
    assert older is not None
    assert not older["is_average"].any()
    files.history_path.unlink()
    assert read_history(files) is None


def test_a_damaged_history_names_the_file_and_the_way_out(files: CandidateFiles) -> None:
    """No Parquet, or no column of the losses: the path, what is wrong, and what to do."""
    pd.read_parquet(files.history_path).drop(columns="loss").to_parquet(files.history_path)
    with pytest.raises(DataError, match=r"history.parquet: lacks loss. .*asc retrain"):
        read_history(files)
    files.history_path.write_bytes(b"cut")
    with pytest.raises(DataError, match=r"history.parquet: cannot be read as Parquet"):
        read_history(files)
