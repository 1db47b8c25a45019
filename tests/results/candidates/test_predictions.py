"""Predictions survive their file, and a class order that disagrees is fatal."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import DataError
from results.candidates.predictions import (
    CLIP_COLUMNS,
    Predictions,
    clip_locations,
    read_predictions,
    write_predictions,
)

CLASSES = ("tram", "airport", "metro_station")


def _clips(scenes: list[str | None]) -> pd.DataFrame:
    known = {"device": "a", "city": None, "location": "x-1", "segment": None}
    rows = [
        {"clip_id": f"c{i}", "filename": f"audio/c{i}.wav", "scene": scene, **known} for i, scene in enumerate(scenes)
    ]
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS))


def _random(scenes: list[str | None], seed: int = 0) -> Predictions:
    p = np.random.default_rng(seed).dirichlet(np.ones(len(CLASSES)), size=len(scenes)).astype(np.float32)
    return Predictions(_clips(scenes), p, CLASSES)


@settings(max_examples=25, deadline=None)
@given(scenes=st.lists(st.sampled_from([*CLASSES, None]), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_write_then_read_is_identity(
    tmp_path_factory: pytest.TempPathFactory, scenes: list[str | None], seed: int
) -> None:
    """Probabilities come back bit for bit, clips with their nulls, classes in their order."""
    path = tmp_path_factory.mktemp("p") / "predictions" / "test.parquet"
    predictions = _random(scenes, seed)
    write_predictions(path, predictions)
    read = read_predictions(path, CLASSES)
    np.testing.assert_array_equal(read.probabilities, predictions.probabilities)
    assert read.classes == CLASSES
    np.testing.assert_array_equal(read.labels, predictions.labels)
    assert read.clips.isna().values.tolist() == predictions.clips.isna().values.tolist()
    assert read.clips["filename"].tolist() == predictions.clips["filename"].tolist()


def test_the_file_has_the_contract_s_columns(tmp_path: Path) -> None:
    """Clip columns first, then one float32 column per class in class order."""
    write_predictions(tmp_path / "p.parquet", _random(["tram"]))
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert table.columns.tolist() == [*CLIP_COLUMNS, "p_tram", "p_airport", "p_metro_station"]
    assert (table.dtypes.iloc[-3:] == np.float32).all()


def test_another_class_order_is_fatal(tmp_path: Path) -> None:
    """The same classes in another order are refused with both orders named."""
    write_predictions(tmp_path / "p.parquet", _random(["tram"]))
    with pytest.raises(DataError, match=r"tram, airport.*airport, tram"):
        read_predictions(tmp_path / "p.parquet", ("airport", "tram", "metro_station"))


def test_bad_values_name_the_clip() -> None:
    """NaN or a probability outside [0, 1] names the clip."""
    for bad in (np.nan, 1.5, -0.1):
        p = np.full((2, 3), 1 / 3, dtype=np.float32)
        p[1, 2] = bad
        with pytest.raises(DataError, match="clip c1"):
            Predictions(_clips(["tram", "tram"]), p, CLASSES)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    """A file that is missing or no Parquet is an error with its path."""
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    for name in ("x.parquet", "y.parquet"):
        with pytest.raises(DataError, match=name):
            read_predictions(tmp_path / name)


def test_unknown_scene_and_unlabelled_split() -> None:
    """A scene that is no class is refused; a split with an unlabelled clip is not scored."""
    with pytest.raises(DataError, match="beach"):
        _ = _random(["beach"]).labels
    with pytest.raises(DataError, match="label"):
        _random(["tram", None]).summarize()
    assert _random(["tram", "airport"]).summarize()["n_clips"] == 2


def test_clips_are_grouped_by_what_is_known_of_their_place() -> None:
    """By location; else by the segment that devices recorded at once; else each by itself."""
    nothing = [None] * 4
    table = pd.DataFrame({"clip_id": list("abcd"), "location": ["x", *nothing[1:]], "segment": ["1", "1", "1", None]})
    assert clip_locations(table) == ["x", "segment:1", "segment:1", "d"]
    assert clip_locations(table.assign(segment=nothing)) == ["x", "b", "c", "d"]
    assert clip_locations(table.drop(columns="segment")) == ["x", "b", "c", "d"]
