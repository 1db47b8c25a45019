"""Reading shards back."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
import soundfile
from data_prep_support import SMALL, scene_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data_prep.config import ReaderSpec
from data_prep.copies.rows import recorded_rows
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import extract_files, read_split, read_splits, training_statistics
from data_prep.reader.statistics import BandStatistics
from data_prep.shards.parquet import CLIP_COLUMNS, Assignment, log_mels_of, read_clips, read_shard, write_shard
from data_prep.store.store import LocalStore


@pytest.fixture
def shards(make_corpus, small_config, tmp_path) -> Path:
    prepare(make_corpus(), tmp_path / "shards", small_config)
    return tmp_path / "shards"


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
stored = hnp.arrays(np.float16, (SMALL.n_mels, SMALL.n_frames), elements=st.floats(-20, 20, width=16), fill=st.just(0))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(words, st.none() | words, st.none() | words, stored), max_size=4, unique_by=lambda t: t[0]))
def test_write_then_read_is_identity(rows):
    """Any names, missing descriptions and float16 values come back from a shard as they were written."""
    clips = [Clip(name, f"audio/{name}", scene, "a", None, place, None) for name, scene, place, _ in rows]
    assignments = {clip.clip_id: Assignment(1, "train") for clip in clips}
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        entry = write_shard(store, "s.parquet", recorded_rows(clips), assignments, [x for *_, x in rows])
        assert entry.n_bytes == (Path(folder) / "s.parquet").stat().st_size
        table = read_shard(store, entry)
        described = read_clips(Path(folder), entry)
    assert described.equals(table.select(described.column_names)), "the same without log-mels"
    assert [Clip(**row) for row in table.select(list(CLIP_COLUMNS)).to_pylist()] == clips
    expected = np.array([x for *_, x in rows], dtype=np.float16).reshape(-1, SMALL.n_mels, SMALL.n_frames)
    np.testing.assert_array_equal(log_mels_of(table, SMALL, "s"), expected)


def test_a_shard_has_the_documented_columns(shards):
    """A shard is readable with pandas alone: its columns, and a clip's log-mel from its bytes."""
    frame = pd.read_parquet(shards / "shard-00000.parquet")
    assert frame.columns.tolist() == [
        *("clip_id", "filename", "scene", "device", "city", "location", "segment", "split", "fold"),
        *("augmentation", "source_clip_id", "n_mels", "n_frames", "log_mel"),
    ]
    row = frame.iloc[0]
    log_mel = np.frombuffer(row["log_mel"], dtype="<f2").reshape(row["n_mels"], row["n_frames"])
    clips = read_split(shards, row["split"], fold=row["fold"], reader=ReaderSpec())
    position = clips.clips["clip_id"].tolist().index(row["clip_id"])
    np.testing.assert_array_equal(clips.log_mel[position], log_mel)
    assert (row["augmentation"], row["source_clip_id"]) == ("none", row["clip_id"])


def test_splits_divide_the_lists(shards):
    """Train, validation and test have every listed clip once, in the order of the lists, no location twice."""
    sets = {name: read_split(shards, name, fold=1, reader=ReaderSpec()) for name in ("train", "validation", "test")}
    listed = [Path(row.filename).stem for row in scene_rows()]
    ids = {name: s.clips["clip_id"].tolist() for name, s in sets.items()}
    assert sorted(clip_id for found in ids.values() for clip_id in found) == sorted(listed)
    for found in ids.values():
        assert found == [clip_id for clip_id in listed if clip_id in set(found)]
    assignments = [set(s.clips["location"]) for s in sets.values()]
    assert not assignments[0] & assignments[1] | assignments[1] & assignments[2] | assignments[0] & assignments[2]


def test_inputs_take_slices_and_index_arrays(shards):
    """Any choice of clips gives their inputs in that order; `take` gives a set of them."""
    clips = read_split(shards, "train", fold=1, reader=ReaderSpec())
    assert clips.input_shape == ReaderSpec().input_shape(SMALL)
    whole = clips.inputs(slice(None))
    assert whole.shape == (clips.n_clips, *clips.input_shape)
    chosen = np.array([5, 0, 5])
    np.testing.assert_array_equal(clips.inputs(chosen), whole[chosen])
    few = clips.take(chosen)
    np.testing.assert_array_equal(few.inputs(slice(None)), whole[chosen])
    assert few.clips["clip_id"].tolist() == clips.clips["clip_id"].iloc[chosen].tolist()
    assert few.labels.tolist() == clips.labels[chosen].tolist()


def test_standardization_is_fitted_on_training_clips_only(make_corpus, small_config, tmp_path):
    """Louder validation and test clips change nothing in the fitted statistics; every split is scaled by the same."""
    reader = ReaderSpec(scaling="standardize", deltas=0)
    root = make_corpus()
    prepare(root, tmp_path / "one", small_config)
    train, validation, test = (
        read_split(tmp_path / "one", split, fold=1, reader=reader) for split in ("train", "validation", "test")
    )
    assert train.statistics == validation.statistics == test.statistics == training_statistics(tmp_path / "one", fold=1)
    x = train.inputs(slice(None))
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-4)

    for name in [*validation.clips["filename"], *test.clips["filename"]]:
        y, rate = soundfile.read(root / name)
        soundfile.write(root / name, np.clip(3 * y, -1, 1), rate)
    prepare(root, tmp_path / "other", small_config)
    louder = read_split(tmp_path / "other", "validation", fold=1, reader=reader)
    assert not np.array_equal(louder.log_mel, validation.log_mel)
    assert louder.statistics == train.statistics
    given = BandStatistics(mean=(0.0,) * SMALL.n_mels, deviation=(2.0,) * SMALL.n_mels)
    halved = read_split(tmp_path / "other", "test", fold=1, reader=reader, statistics=given)
    np.testing.assert_array_equal(halved.inputs(slice(None))[..., 0], halved.log_mel.astype(np.float32) / 2)


def test_two_splits_are_read_as_one(shards):
    """Train and validation together are the clips of both, scaled by what both have, and of the test split nothing."""
    reader = ReaderSpec(scaling="standardize", deltas=0)
    apart = [read_split(shards, name, fold=1, reader=reader) for name in ("train", "validation")]
    both = read_splits(shards, ("train", "validation"), fold=1, reader=reader)
    rows = {name: x for part in apart for name, x in zip(part.clips["clip_id"], part.log_mel, strict=True)}
    assert sorted(both.clips["clip_id"]) == sorted(rows)
    for clip_id, x in zip(both.clips["clip_id"], both.log_mel, strict=True):
        np.testing.assert_array_equal(x, rows[clip_id])
    x = both.inputs(slice(None))
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    assert both.statistics != apart[0].statistics


def test_shards_are_read_by_others(shards):
    """pyarrow, pandas and DuckDB, given the folder alone, find the same rows and a log-mel behind its bytes."""
    pattern = str(shards / "shard-*.parquet")
    by_arrow = ds.dataset([*sorted(shards.glob("shard-*.parquet"))]).to_table().to_pandas()
    by_pandas = pd.concat([pd.read_parquet(path) for path in sorted(shards.glob("shard-*.parquet"))], ignore_index=True)
    pd.testing.assert_frame_equal(by_arrow, by_pandas)
    clips = read_split(shards, "test", fold=1, reader=ReaderSpec())
    rows = by_pandas[by_pandas["split"] == "test"]
    assert rows["clip_id"].tolist() == clips.clips["clip_id"].tolist()
    for row, log_mel in zip(rows.itertuples(), clips.log_mel, strict=True):
        np.testing.assert_array_equal(np.frombuffer(row.log_mel, "<f2").reshape(row.n_mels, row.n_frames), log_mel)
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    counted = duckdb.sql(f"select scene, count(*) as n from '{pattern}' where split = 'test' group by scene").df()
    assert dict(zip(counted["scene"], counted["n"], strict=True)) == rows["scene"].value_counts().to_dict()
    one = duckdb.sql(f"select log_mel from '{pattern}' where clip_id = '{rows['clip_id'].iloc[0]}'").fetchall()
    assert [bytes(stored) for (stored,) in one] == [rows["log_mel"].iloc[0]]


def test_damaged_and_missing_shards_are_named(shards):
    """A flipped byte and a missing file name the shard and the way out."""
    path = shards / "shard-00002.parquet"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00002\.parquet: its bytes .* Rerun `asc prepare`"):
        read_split(shards, "train", fold=1, reader=ReaderSpec())
    path.unlink()
    with pytest.raises(DataError, match=r"shard-00002\.parquet: the manifest lists this shard, but it is missing"):
        read_split(shards, "train", fold=1, reader=ReaderSpec())


def test_unknown_folds_and_splits_say_what_there_is(shards):
    """An unknown fold, an unknown split and an empty one name what the folder has."""
    with pytest.raises(DataError, match="no fold 7; folds: 1"):
        read_split(shards, "train", fold=7, reader=ReaderSpec())
    with pytest.raises(DataError, match="no split 'training'; splits: train, validation, test, evaluation"):
        read_split(shards, "training", fold=1, reader=ReaderSpec())
    with pytest.raises(DataError, match="has no clips in evaluation; it has 12 in train"):
        read_split(shards, "evaluation", fold=1, reader=ReaderSpec())


def test_single_files_are_extracted_as_prepare_stores_them(shards, make_corpus):
    """`extract_files` gives the same features for a file as the shards have; what can't be read is named."""
    root = make_corpus(name="again")
    clips = read_split(shards, "test", fold=1, reader=ReaderSpec())
    files = [root / name for name in clips.clips["filename"]]
    direct = extract_files(files, SMALL, ReaderSpec(), clips.classes)
    np.testing.assert_array_equal(direct.log_mel, clips.log_mel)
    assert direct.clips["clip_id"].tolist() == clips.clips["clip_id"].tolist()
    assert set(direct.labels) == {-1}
    assert direct.clips["scene"].isna().all()
    files[0].write_text("not audio")
    with pytest.raises(DataError, match=rf"{files[0].name}: cannot be decoded"):
        extract_files(files, SMALL, ReaderSpec(), clips.classes)
    with pytest.raises(DataError, match="no audio files were given"):
        extract_files([], SMALL, ReaderSpec(), clips.classes)
