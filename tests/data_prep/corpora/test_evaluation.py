"""Evaluation sets: numbers for names, nothing known of the clips."""

import pytest
from data_prep_support import lines, write_tree

from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import DataError

NAMES = [f"audio/{i}.wav" for i in range(12)]


@pytest.mark.parametrize("listed", [True, False])
def test_the_2021_evaluation_set_with_and_without_its_list(tmp_path, listed):
    """0.wav … in TAU's names-only list, or with no list at all: every clip is `evaluation`, in the order of numbers."""
    files = {"evaluation_setup/fold1_test.csv": lines("filename", *NAMES)} if listed else {}
    corpus = read_corpus(write_tree(tmp_path, files, NAMES))
    assert corpus.layout == ("tau" if listed else "evaluation")
    assert [clip.filename for clip in corpus.clips] == NAMES
    assert corpus.folds == {1: {str(i): "evaluation" for i in range(12)}}
    assert {(c.scene, c.device, c.city, c.location, c.segment) for c in corpus.clips} == {(None, "a", None, None, None)}
    assert (corpus.classes, corpus.warnings) == (TAU_SCENES, ())


def test_any_folder_can_be_read_as_an_evaluation_set(tmp_path):
    """layout=evaluation takes recordings of any name, beside each other or in audio/; without any it says so."""
    root = write_tree(tmp_path / "x", {"notes.txt": "no audio"}, ["b.flac", "a.ogg"])
    with pytest.raises(DataError, match="contains no lists of a fold; expected: audio/"):
        read_corpus(root)
    corpus = read_corpus(root, CorpusConfig(layout="evaluation"))
    assert [clip.filename for clip in corpus.clips] == ["a.ogg", "b.flac"]
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match="contains no audio file"):
        read_corpus(tmp_path / "hollow", CorpusConfig(layout="evaluation"))


def test_a_table_of_names_alone_is_an_evaluation_set(tmp_path):
    """The 2024 evaluation set has meta.csv with file names only: all to predict, and the want of labels is told."""
    corpus = read_corpus(write_tree(tmp_path, {"meta.csv": lines("filename", *NAMES)}, NAMES))
    assert set(corpus.folds[1].values()) == {"evaluation"}
    assert len(corpus.warnings) == 1
    assert "no column of labels" in corpus.warnings[0]
