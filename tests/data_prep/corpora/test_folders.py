"""One folder per class, and folders of splits."""

import pytest
from data_prep_support import lines, write_tree

from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.errors import DataError


def splits(corpus: Corpus, fold: int = 1) -> dict[str, str]:
    return dict(corpus.folds[fold])


@pytest.mark.parametrize("top", ["", "audio/"])
def test_folders_are_the_classes(tmp_path, top):
    """DATA/dog/a.wav, DATA/rain/b.wav, or below audio/: labels by folder, five folds, each clip tested once."""
    names = [f"{top}{scene}/{i}.wav" for scene in ("dog", "rain") for i in range(6)]
    files = {"notes.txt": "of mine", f"{top}pictures/a.png": b"", f"{top}dog/._0.wav": b"\0"}
    corpus = read_corpus(write_tree(tmp_path, files, names))
    assert (corpus.layout, corpus.classes) == ("folders", ("dog", "rain"))
    assert [clip.filename for clip in corpus.clips] == names
    assert {(clip.scene, clip.location) for clip in corpus.clips} == {("dog", None), ("rain", None)}
    assert len({clip.clip_id for clip in corpus.clips}) == 12
    assert sorted(corpus.folds) == [1, 2, 3, 4, 5]
    tested = [i for fold in corpus.folds.values() for i, split in fold.items() if split == "test"]
    assert sorted(tested) == sorted(clip.clip_id for clip in corpus.clips)
    assert any("12 of 12 clips have no location" in warning for warning in corpus.warnings)


def test_folders_below_a_class_are_locations(tmp_path):
    """dog/yard/… and rain/yard/… are one location, never divided; TAU's names say their own."""
    names = [
        f"{scene}/{place}/{i}.wav" for scene in ("dog", "rain") for place in ("yard", "park", "lake") for i in (0, 1)
    ]
    tau = [f"bus/bus-oslo-{i}-{i}-a.wav" for i in range(3)]
    corpus = read_corpus(write_tree(tmp_path, {}, [*names, *tau]), CorpusConfig(k_folds=3))
    at = {clip.clip_id: clip.location for clip in corpus.clips}
    assert (at["dog/yard/0"], at["rain/yard/1"], at["bus/bus-oslo-1-1-a"]) == ("yard", "yard", "oslo-1")
    for fold in corpus.folds.values():
        sides = {(at[i], split) for i, split in fold.items()}
        assert len(sides) == len({place for place, _ in sides})


def test_folders_named_after_splits_are_splits(tmp_path):
    """train/dog/a.wav, test/rain/b.wav: the lower folders are the classes; unlabelled test clips are to predict."""
    names = [
        f"{split}/{scene}/{i}.wav" for split in ("Train", "val", "test") for scene in ("dog", "rain") for i in (0, 1)
    ]
    corpus = read_corpus(write_tree(tmp_path / "a", {}, names))
    assert corpus.classes == ("dog", "rain")
    assert {i.split("/")[0]: split for i, split in splits(corpus).items()} == {
        "Train": "train",
        "val": "validation",
        "test": "test",
    }
    names = [*(f"train/{scene}/{i}.wav" for scene in ("dog", "rain") for i in (0, 1)), "test/0.wav", "test/1.wav"]
    corpus = read_corpus(write_tree(tmp_path / "b", {}, names))
    assert {i: split for i, split in splits(corpus).items() if split != "train"} == {
        "test/0": "evaluation",
        "test/1": "evaluation",
    }


def test_what_is_no_data_set_of_folders_is_said(tmp_path):
    """One folder only, and folders that are folds, are refused with the way out; an unused table is told."""
    root = write_tree(tmp_path / "one", {}, ["dog/0.wav", "x.wav"])
    with pytest.raises(DataError, match="or one folder of recordings per class"):
        read_corpus(root)
    with pytest.raises(DataError, match="has 1 subfolders with audio; this layout needs at least two"):
        read_corpus(root, CorpusConfig(layout="folders"))
    with pytest.raises(DataError, match=r"the folders fold1, fold2 … look like folds, not classes. Name a table"):
        read_corpus(write_tree(tmp_path / "folds", {}, ["fold1/0.wav", "fold2/0.wav"]))
    names = [f"{scene}/{i}.wav" for scene in ("dog", "rain") for i in range(5)]
    corpus = read_corpus(write_tree(tmp_path / "t", {"t.csv": "a,b\n1,2\n"}, names))
    assert any("not used: " in text and "t.csv: has no column of files" in text for text in corpus.warnings)


def test_esc50_as_published_is_read(tmp_path):
    """meta/esc50.csv: its folds, src_file as location, classes in the order of target; ESC-10 alone on request."""
    rows = []
    for fold in (1, 2):
        for target, category, esc10 in (("0", "dog", "True"), ("10", "rain", "True"), ("3", "cow", "False")):
            rows += [
                (f"{fold}-{target}-{take}-{target}.wav", str(fold), target, category, esc10, f"{fold}{target}", take)
                for take in "AB"
            ]
    text = lines(("filename", "fold", "target", "category", "esc10", "src_file", "take"), *rows, sep=",")
    names = [f"audio/{row[0]}" for row in rows]
    root = write_tree(tmp_path, {"meta/esc50.csv": text}, names)
    corpus = read_corpus(root)
    assert (corpus.layout, corpus.classes) == ("esc50", ("dog", "cow", "rain"))
    assert sorted(clip.filename for clip in corpus.clips) == sorted(names)
    clip = next(clip for clip in corpus.clips if clip.clip_id == "1-0-A-0")
    assert (clip.scene, clip.location, clip.segment, clip.device) == ("dog", "10", None, "a")
    assert {i for i, split in corpus.folds[2].items() if split == "test"} == {
        row[0][:-4] for row in rows if row[1] == "2"
    }
    ten = read_corpus(root, CorpusConfig(subset="esc10"))
    assert (ten.classes, len(ten.clips), ten.layout) == (("dog", "rain"), 8, "esc50")
    (root / "meta/esc50.csv").write_text(text.replace("src_file", "source"))
    with pytest.raises(DataError, match=r"esc50\.csv: has no column src_file; ESC-50's table has"):
        read_corpus(root)
    (root / "meta/esc50.csv").unlink()
    with pytest.raises(DataError, match=r"meta/esc50\.csv: no such file"):
        read_corpus(root, CorpusConfig(subset="esc10"))
