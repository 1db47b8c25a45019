"""A data set that one table describes."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from data_prep_support import lines, write_tree

from data_prep.check.check import check_data
from data_prep.check.report import write_report
from data_prep.config import CorpusConfig, PrepareConfig
from data_prep.copies.correction import COLUMNS as CORRECTION
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.corpora.table import find_table
from data_prep.errors import DataError
from data_prep.prepare.quarantine import COLUMNS
from data_prep.shards.parquet import SCHEMA

NAMES = [f"rec{i}.wav" for i in range(10)]
LABELS = ["rain", "wind"] * 5


def splits(corpus: Corpus, fold: int = 1) -> list[str]:
    return [corpus.folds[fold].get(clip.clip_id, "") for clip in corpus.clips]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_tsv_and_parquet_say_the_same(tmp_path, kind, end):
    """Comma, TAB with byte order mark, or Parquet: the same clips, columns named in the configuration."""
    frame = pd.DataFrame(
        {
            "wave": NAMES,
            "what": LABELS,
            "microphone": ["m1"] * 10,
            "where": [f"yard {i // 2}" for i in range(10)],
            "town": ["Oslo"] * 10,
            "moment": list(range(10)),
            "part": ["train"] * 6 + ["val"] * 2 + ["test"] * 2,
        }
    )
    path = tmp_path / f"clips.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="," if kind == "csv" else "\t", index=False, lineterminator=end, encoding="utf-8-sig")
    config = CorpusConfig(
        table=path.name,
        file_column="wave",
        label_column="what",
        device_column="microphone",
        location_column="where",
        city_column="town",
        segment_column="moment",
        split_column="part",
    )
    corpus = read_corpus(write_tree(tmp_path, {}, NAMES), config)
    assert corpus.layout == "table"
    clip = corpus.clips[3]
    assert (clip.filename, clip.scene, clip.device) == ("rec3.wav", "wind", "m1")
    assert (clip.city, clip.location, clip.segment) == ("Oslo", "Oslo-yard 1", "3")
    assert splits(corpus) == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


def test_usual_names_need_no_naming(tmp_path):
    """meta.csv with path, label, location, fold is found and read by itself; files may lie in audio/."""
    rows = [(n, s, f"l{i // 2}", str(i // 2 % 3)) for i, (n, s) in enumerate(zip(NAMES, LABELS, strict=True))]
    text = lines(("Path", "label", "location", "fold"), *rows, sep=",")
    corpus = read_corpus(write_tree(tmp_path, {"meta.csv": text}, [f"audio/{n}" for n in NAMES]))
    assert {clip.filename for clip in corpus.clips} == {f"audio/{name}" for name in NAMES}
    assert sorted(corpus.folds) == [1, 2, 3]
    assert {i for i, split in corpus.folds[1].items() if split == "test"} == {"rec0", "rec1", "rec6", "rec7"}
    assert list(corpus.folds[1].values()).count("train") == 6
    assert corpus.warnings == ("the folds of meta.csv count from 0; they are renumbered from 1",)


def test_split_and_fold_together(tmp_path):
    """Both columns: a clip has a row per fold; a row without fold counts in each, one without split in none."""
    rows = [
        ("rec0.wav", "rain", "train", "1"),
        ("rec0.wav", "rain", "test", "2"),
        ("rec1.wav", "rain", "test", "1"),
        ("rec1.wav", "rain", "train", "fold2"),
        ("rec2.wav", "", "evaluation", ""),
        ("rec3.wav", "rain", "", "1"),
    ]
    text = lines(("file", "scene", "split", "fold"), *rows)
    corpus = read_corpus(write_tree(tmp_path, {"list.tsv": text}, NAMES[:4]))
    assert corpus.folds == {
        1: {"rec0": "train", "rec1": "test", "rec2": "evaluation"},
        2: {"rec0": "test", "rec1": "train", "rec2": "evaluation"},
    }
    assert (corpus.n_unlisted, corpus.warnings) == (1, ())


def test_neither_split_nor_fold_makes_k_folds(tmp_path):
    """Without both columns labelled clips are cut into five folds, or as many as asked; unlabelled are to predict."""
    rows = [(n, s, f"l{i}") for i, (n, s) in enumerate(zip(NAMES, LABELS, strict=True))]
    text = lines(("file", "scene", "location"), *rows, ("new.wav", "", ""))
    root = write_tree(tmp_path, {"list.csv": text}, [*NAMES, "new.wav"])
    for k, config in ((5, CorpusConfig()), (2, CorpusConfig(k_folds=2))):
        corpus = read_corpus(root, config)
        assert sorted(corpus.folds) == list(range(1, k + 1))
        assert {splits["new"] for splits in corpus.folds.values()} == {"evaluation"}
        tested = [i for splits in corpus.folds.values() for i, split in splits.items() if split == "test"]
        assert sorted(tested) == sorted(f"rec{i}" for i in range(10))


SCENES_AT = [(n, s, f"l{i}") for i, (n, s) in enumerate(zip(NAMES, LABELS, strict=True))]


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        (("fold",), [("1",)] * 10),
        (("fold",), [("x1",)] * 5 + [("x2",)] * 5),
        (("split",), [("dev",)] * 10),
        (("subset", "fold"), [("A", "first")] * 5 + [("test", "2")] * 5),
    ],
)
def test_new_folds_ignore_the_folds_of_the_table(tmp_path, columns, cells):
    """k_folds with a single fold, or values that are no fold or split: each clip is tested in one of the new folds."""
    rows = [(*row, *cell) for row, cell in zip(SCENES_AT, cells, strict=True)]
    root = write_tree(tmp_path, {"t.csv": lines(("file", "label", "location", *columns), *rows, sep=",")}, NAMES)
    with pytest.raises(DataError, match=r"set prepare\.corpus\.k_folds"):
        read_corpus(root)
    corpus = read_corpus(root, CorpusConfig(k_folds=2))
    tested = [i for of in corpus.folds.values() for i, split in of.items() if split == "test"]
    assert sorted(tested) == sorted(f"rec{i}" for i in range(10))
    assert {split for of in corpus.folds.values() for split in of.values()} == {"train", "test"}


def test_new_folds_keep_evaluation_clips_and_those_in_no_list_apart(tmp_path):
    """k_folds with a split that is none: evaluation clips stay, an empty cell is in no list, and a warning says it."""
    words = ["eval", "", *["dev"] * 8]
    rows = [(*row, word) for row, word in zip(SCENES_AT, words, strict=True)]
    root = write_tree(tmp_path, {"t.csv": lines(("file", "label", "location", "split"), *rows, sep=",")}, NAMES)
    corpus = read_corpus(root, CorpusConfig(k_folds=2))
    assert [(of["rec0"], "rec1" in of, len(of)) for of in corpus.folds.values()] == [("evaluation", False, 9)] * 2
    assert corpus.n_unlisted == 1
    assert corpus.warnings == (
        "t.csv: 'dev' in line 4 is not a split; its folds are not used, and only evaluation clips stay apart",
    )


def test_absolute_names_inside_the_data_set_are_made_relative(tmp_path):
    """A table with absolute paths is read as if they were relative; paths that lead elsewhere are refused."""
    rows = [(str(tmp_path / "data" / n), s, "train") for n, s in zip(NAMES, LABELS, strict=True)]
    root = write_tree(tmp_path / "data", {"t.csv": lines(("file", "label", "split"), *rows, sep=",")}, NAMES)
    assert [clip.filename for clip in read_corpus(root).clips] == NAMES
    for bad in ("/elsewhere/x.wav", "../x.wav"):
        (root / "t.csv").write_text(lines(("file", "label", "split"), (bad, "rain", "train"), sep=","))
        with pytest.raises(DataError, match=r"t\.csv, line 2: .*x\.wav is outside the data set's folder"):
            read_corpus(root)


def test_absolute_names_through_a_linked_folder_are_inside_the_data_set(tmp_path):
    """DATA is a link: names below the link and names below the folder that it leads to are both made relative."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "data")
    places = [link, tmp_path / "data"] * 5
    rows = [(str(at / n), s, "train") for at, n, s in zip(places, NAMES, LABELS, strict=True)]
    write_tree(tmp_path / "data", {"t.csv": lines(("file", "label", "split"), *rows, sep=",")}, NAMES)
    assert [clip.filename for clip in read_corpus(link).clips] == NAMES


def test_what_asc_wrote_into_the_folder_is_no_table_of_the_data_set(tmp_path):
    """A check's tables, quarantine, shard and correction in DATA: folders are read as before, and so is one table."""
    audio = [f"{scene}/{i}.wav" for scene in ("rain", "wind") for i in range(5)]
    root = write_tree(tmp_path, {}, audio)
    write_report(check_data(root, PrepareConfig()), root / "check.csv")
    (root / "quarantine.csv").write_text(lines(COLUMNS, ("0", "rain/0.wav", "length", "left out", ""), sep=","))
    pq.write_table(SCHEMA.empty_table(), root / "shard-00000.parquet")
    (root / "spectrum_correction-fold1.csv").write_text(lines(CORRECTION, ("0.0", "b", "1.0", "3"), sep=","))
    corpus = read_corpus(root)
    assert (corpus.layout, [text for text in corpus.warnings if "not used" in text]) == ("folders", [])
    (root / "clips.csv").write_text(lines(("file", "label"), *((name, name[:4]) for name in audio), sep=","))
    assert find_table(root) == root / "clips.csv"
    assert find_table(root, "file") == root / "clips.csv"


def test_mistakes_in_tables_are_named(tmp_path):
    """No such table or column, several tables, a bad split or fold, one fold only: place and way out are told."""
    root = write_tree(tmp_path, {"a.csv": lines(("file", "label"), ("rec0.wav", "rain"), sep=",")}, NAMES)
    for config, message in (
        (CorpusConfig(table="b.csv"), r"b\.csv: no such table"),
        (
            CorpusConfig(label_column="x"),
            r"has no column 'x', which prepare.corpus.label_column names. It has file, label",
        ),
    ):
        with pytest.raises(DataError, match=message):
            read_corpus(root, config)
    for text, message in (
        (
            lines(("file", "label", "split"), ("rec0.wav", "rain", "dev")),
            r"a\.csv, line 2: 'dev' is not a split. Splits:",
        ),
        (lines(("file", "label", "fold"), ("rec0.wav", "rain", "x1")), r"a\.csv, line 2: 'x1' is not a fold"),
        (
            lines(("file", "label", "fold"), ("rec0.wav", "rain", "1")),
            "all clips are of fold 1, which leaves none to train",
        ),
        (lines(("file", "label", "split"), ("", "rain", "train")), r"a\.csv, line 2: the row has no file name"),
        (lines(("file", "file"), ("rec0.wav", "rain")), "contains a column name twice"),
        (lines(("file", "label", "split"), ("rec0.wav", "", "train")), "line 2: rec0.wav has no scene_label"),
    ):
        (root / "a.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            read_corpus(root, CorpusConfig(table="a.csv"))
    (root / "a.csv").write_text(lines(("sound", "label"), ("rec0.wav", "rain")))
    with pytest.raises(
        DataError, match=r"has no column of files .*; its columns: sound, label\. Name it with --file-column"
    ):
        read_corpus(root, CorpusConfig(table="a.csv"))
    (root / "t.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read as Parquet"):
        read_corpus(root, CorpusConfig(table="t.parquet"))
    for name in ("a.csv", "b.csv"):
        (root / name).write_text(lines(("file", "label"), ("rec0.wav", "rain")))
    with pytest.raises(DataError, match=r"contains several tables \(a.csv, b.csv\). Name one with --table"):
        read_corpus(root)
