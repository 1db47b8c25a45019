"""Listed names that the disk spells differently."""

import unicodedata
from pathlib import Path

import pytest
from data_prep_support import lines, write_tree

from data_prep.check.check import check_data
from data_prep.config import CorpusConfig, PrepareConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare

N = 10


def data_set(root: Path, listed: str, actual: str) -> Corpus:
    """Write and read ten recordings, each listed as `listed` and lying at `actual` (`{i}` is its number)."""
    rows = [(listed.format(i=i), ("rain", "wind")[i % 2], f"p{i}") for i in range(N)]
    table = lines(("file", "label", "location"), *rows, sep=",")
    return read_corpus(write_tree(root, {"meta.csv": table}, [actual.format(i=i) for i in range(N)]))


@pytest.mark.parametrize(
    ("listed", "actual"),
    [
        ("a{i}.wav", " a{i}.wav"),
        ("Dog/A{i}.WAV", "dog/a{i}.wav"),
        ("café{i}.wav", unicodedata.normalize("NFD", "café{i}.wav")),
        (unicodedata.normalize("NFD", "ÉCOLE{i}.wav"), "école{i}.wav"),
        ("dog/x\\a{i}.wav", "dog/x/a{i}.wav"),
        ("a{i}.wav", "a{i}.flac"),
        ("a{i}", "a{i}.wav"),
        ("a{i}.wav", "audio/fold1/a{i}.wav"),
        ("C:\\data\\mine\\a{i}.wav", "audio/a{i}.wav"),
        ("sub/A{i}.mp3", "audio/a{i} .ogg"),
    ],
)
def test_a_name_that_is_in_no_doubt_is_found(tmp_path, listed, actual):
    """Blanks, case, Unicode form, slashes, suffix, folders: all ten are read from where they lie, with a warning."""
    corpus = data_set(tmp_path, listed, actual)
    assert corpus.missing == ()
    assert [clip.filename for clip in corpus.clips] == [actual.format(i=i) for i in range(N)]
    (warning,) = [text for text in corpus.warnings if "another name on disk" in text]
    assert warning.startswith("10 listed files have another name on disk, which is used: ")
    assert "; and 5 more" in warning


def test_several_candidates_are_shown_and_none_is_taken(tmp_path):
    """One listed name and two files, or two names and one file: no file is taken, and the warning shows the pairs."""
    rows = [(f"r{i}.wav", "rain", "train") for i in range(4)] + [("a.wav", "rain", "train")]
    rows += [("B.wav", "rain", "train"), ("b.WAV", "rain", "train"), ("dog/1.wav", "rain", "train")]
    files = [*(f"r{i}.wav" for i in range(4)), "A.wav", "a.WAV", "b.wav", "cat/1.wav"]
    corpus = read_corpus(write_tree(tmp_path, {"m.csv": lines(("file", "label", "split"), *rows)}, files))
    assert corpus.missing == ("a.wav", "B.wav", "b.WAV", "dog/1.wav")
    (warning,) = [text for text in corpus.warnings if "are ambiguous" in text]
    assert warning.startswith("3 listed files are not on disk")
    assert "a.wav may be A.wav or a.WAV; B.wav may be b.wav; b.WAV may be b.wav" in warning


def test_folders_by_fold_are_found_by_the_number_of_the_fold(tmp_path):
    """The same names in every fold's folder are told apart by the column fold, also where it counts from 0."""
    rows = [(f"{i}.wav", ("rain", "wind")[i % 2], str(fold)) for fold in range(3) for i in range(4)]
    files = [f"audio/fold{fold}/{name}" for name, _, fold in rows]
    corpus = read_corpus(write_tree(tmp_path, {"meta.csv": lines(("file", "label", "fold"), *rows)}, files))
    assert sorted(clip.filename for clip in corpus.clips) == files
    assert sorted(corpus.folds) == [1, 2, 3]
    assert corpus.folds[1]["fold0/0"] == "test"


def test_hidden_files_beside_an_evaluation_set_are_no_clips(tmp_path):
    """`._0.wav`, which another system leaves behind, neither hides the layout nor becomes a clip."""
    names = [f"audio/{i}.wav" for i in range(3)]
    root = write_tree(tmp_path, {"audio/._0.wav": b"\0\5\x16\7", ".DS_Store": b"\0", "._meta.csv": b"\0"}, names)
    corpus = read_corpus(root)
    assert (corpus.layout, [clip.filename for clip in corpus.clips]) == ("evaluation", names)


def test_names_that_cannot_be_files_are_refused_or_missing(tmp_path):
    """Control characters are refused with the line; a name too long for any disk is missing, not a crash."""
    rows = [(f"r{i}.wav", ("rain", "wind")[i % 2], "train") for i in range(4)]
    head = ("file", "label", "split")
    root = write_tree(tmp_path, {"m.csv": lines(head, *rows, ("x" * 5000, "rain", "train"))}, [r[0] for r in rows])
    assert read_corpus(root).missing == ("x" * 5000,)
    (root / "m.csv").write_text(lines(head, *rows, ("r\x1b[2J.wav", "rain", "train")))
    with pytest.raises(DataError, match=r"m\.csv, line 6: 'r\\x1b\[2J\.wav' contains control characters"):
        read_corpus(root)


def test_half_a_data_set_that_is_missing_stops_check_and_prepare(tmp_path):
    """More missing files than the setting allows are an error of both, with the setting to go on with."""
    rows = [(f"r{i}.wav", ("rain", "wind")[i % 2], f"p{i}") for i in range(20)]
    table = lines(("file", "label", "location"), *rows)
    root = write_tree(tmp_path / "data", {"m.tsv": table}, [f"r{i}.wav" for i in range(10)])
    config = PrepareConfig(corpus=CorpusConfig(k_folds=2), quarantine={"max_missing_share": 0.49})
    message = (
        r"10 of 20 listed files are not on disk \(50.0%\); at most 0.49 .* --set prepare.quarantine.max_missing_share"
    )
    with pytest.raises(DataError, match=message):
        prepare(root, tmp_path / "shards", config)
    (finding,) = [f for f in check_data(root, config).findings if f.severity == "error"]
    assert (finding.kind, "10 of 20 listed files" in finding.message) == ("lists", True)
    loose = config.updated(quarantine={"max_missing_share": 0.5})
    assert check_data(root, loose).n_errors == 0
