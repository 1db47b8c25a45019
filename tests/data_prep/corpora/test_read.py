"""Reading data sets in TAU's layout."""

from pathlib import Path

import pytest
from data_prep_support import Row, scene_rows, write_audio, write_lists

from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import DataError


def write_list(root: Path, name: str, *lines: str) -> None:
    (root / "evaluation_setup" / name).write_text("\n".join(lines) + "\n")


def test_tau_file_names_give_city_location_segment_and_device(make_corpus):
    """A clip with a TAU name has its city, location, segment and device, also where there is no meta.csv."""
    with_meta = read_corpus(make_corpus())
    without = read_corpus(make_corpus(name="bare", meta=False))
    clip = without.clips[1]
    assert clip.clip_id == "park-lisbon-0-0-b"
    assert (clip.scene, clip.device, clip.city, clip.location, clip.segment) == ("park", "b", "lisbon", "lisbon-0", "0")
    assert with_meta.clips == without.clips


def test_tau_2022_file_names_keep_the_second_in_the_segment(make_corpus):
    """The one-second clips of TAU 2022 differ in their segment, so that twins are still of one moment."""
    rows = [Row(f"audio/park-lisbon-1000-40000-{i}-s1.wav", "park", "train", "", "") for i in range(2)]
    clips = read_corpus(make_corpus(rows)).clips
    assert [clip.segment for clip in clips] == ["40000-0", "40000-1"]
    assert {(clip.location, clip.device) for clip in clips} == {("lisbon-1000", "s1")}


@pytest.mark.parametrize("sep", ["\t", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separator_line_ends_and_byte_order_mark_do_not_matter(make_corpus, sep, end, encoding):
    """TAB or comma, LF or CRLF, with or without a byte order mark: the same corpus is read."""
    plain = read_corpus(make_corpus())
    other = read_corpus(make_corpus(name="other", sep=sep, end=end, encoding=encoding))
    assert (other.clips, other.folds, other.classes) == (plain.clips, plain.folds, plain.classes)


def test_classes_are_those_of_the_data_set(make_corpus):
    """Sorted, which is TAU's own order; a data set of some of TAU's scenes has no others."""
    assert tuple(sorted(TAU_SCENES)) == TAU_SCENES
    corpus = read_corpus(make_corpus())
    assert set(corpus.classes) == {clip.scene for clip in corpus.clips} < set(TAU_SCENES)
    assert list(corpus.classes) == sorted(corpus.classes)
    rows = [Row(f"audio/{c}/x{i}.wav", c, "train", f"place{c}{i}") for c in ("rain", "dog", "axe") for i in range(2)]
    corpus = read_corpus(make_corpus(rows, name="own"))
    assert corpus.classes == ("axe", "dog", "rain")
    assert corpus.clips[0].clip_id == "rain/x0"
    assert (corpus.clips[0].location, corpus.clips[0].city, corpus.clips[0].segment) == ("placerain0", None, None)


def test_names_that_only_look_like_taus_are_left_alone(make_corpus):
    """A name of five parts whose first is not the clip's scene tells nothing of cities and devices."""
    rows = [Row("audio/take-home-1-2-a.wav", "dog", "train", "yard", "phone")]
    clip = read_corpus(make_corpus(rows)).clips[0]
    assert (clip.city, clip.segment, clip.location, clip.device) == (None, None, "yard", "phone")


def test_test_list_counts_only_where_there_is_no_evaluate_list(make_corpus):
    """foldK_test.csv beside foldK_evaluate.csv adds nothing; alone it is test if meta.csv labels it all."""
    root = make_corpus()
    before = read_corpus(root).folds
    evaluate = root / "evaluation_setup/fold1_evaluate.csv"
    names = [line.split("\t")[0] for line in evaluate.read_text().splitlines()]
    write_list(root, "fold1_test.csv", *names)
    assert read_corpus(root).folds == before
    evaluate.unlink()
    assert read_corpus(root).folds == before
    (root / "meta.csv").unlink()
    unlabelled = read_corpus(root)
    assert set(unlabelled.folds[1].values()) == {"train", "evaluation"}
    assert all(c.scene is None for c in unlabelled.clips if unlabelled.folds[1][c.clip_id] == "evaluation")


def test_an_evaluation_set_without_any_labels_is_read(tmp_path):
    """The challenge's own evaluation set, names like 0.wav in one list, is a corpus of unlabelled clips."""
    rows = [Row(f"audio/{i}.wav", "", "", "") for i in range(3)]
    write_audio(tmp_path, rows)
    (tmp_path / "evaluation_setup").mkdir()
    write_list(tmp_path, "fold1_test.csv", "filename", *(row.filename for row in rows))
    corpus = read_corpus(tmp_path)
    assert corpus.folds == {1: {"0": "evaluation", "1": "evaluation", "2": "evaluation"}}
    assert corpus.classes == TAU_SCENES


def test_rows_of_meta_in_no_list_are_counted_not_read(make_corpus):
    """Clips that only meta.csv has are no clips of the corpus; their number is told."""
    extra = [Row("audio/park-lisbon-900-0-a.wav", "park", "", "lisbon-900")]
    corpus = read_corpus(make_corpus([*scene_rows(), *extra]))
    assert corpus.n_unlisted == 1
    assert len(corpus.clips) == len(scene_rows())


def test_several_folds_share_their_clips(make_corpus):
    """A clip in two folds is one clip, with its own list in each fold."""
    root = make_corpus()
    swapped = [Row(r.filename, r.scene, "evaluate" if r.listed == "train" else "train", "") for r in scene_rows()]
    write_lists(root, swapped, fold=2, meta=False)
    corpus = read_corpus(root)
    assert len(corpus.clips) == len(scene_rows())
    assert corpus.folds[1]["park-lisbon-0-0-a"] == "train"
    assert corpus.folds[2]["park-lisbon-0-0-a"] == "test"


def test_listed_files_that_are_not_on_disk_are_reported(make_corpus):
    """Missing files leave clips and folds and are named; only if all are missing it is an error."""
    root = make_corpus()
    gone = "audio/park-lisbon-0-0-a.wav"
    (root / gone).unlink()
    corpus = read_corpus(root)
    assert corpus.missing == (gone,)
    assert gone not in {clip.filename for clip in corpus.clips}
    assert "park-lisbon-0-0-a" not in corpus.folds[1]
    for row in scene_rows():
        if row.listed == "train":
            (root / row.filename).unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"fold1_train\.csv: none of its 16 files is on disk"):
        read_corpus(root)
    for path in root.glob("audio/*.wav"):
        path.unlink()
    with pytest.raises(DataError, match=r"none of the 24 listed files is on disk; the first is audio/park"):
        read_corpus(root)


def test_a_class_that_training_lacks_is_named_with_its_file(make_corpus):
    """A scene that only the evaluate list has can't be learned: the message names it, the file and the line."""
    rows = [*scene_rows(), Row("audio/tram-lisbon-900-0-a.wav", "tram", "evaluate", "lisbon-900")]
    with pytest.raises(DataError, match=r"fold1_evaluate\.csv, line 10: scene 'tram' .* not occur in fold1_train\.csv"):
        read_corpus(make_corpus(rows))


def test_missing_and_empty_data_sets_are_named(tmp_path, make_corpus):
    """No folder, no lists, an empty list, a list without header: each message names the place and the way out."""
    with pytest.raises(DataError, match=r"nowhere: no such folder\. Give the folder"):
        read_corpus(tmp_path / "nowhere")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match="contains no lists of a fold; expected: audio/"):
        read_corpus(tmp_path / "hollow")
    root = make_corpus()
    train = root / "evaluation_setup/fold1_train.csv"
    for text, message in (
        ("filename\tscene_label\n", r"fold1_train\.csv: the list is empty"),
        ("", r"fold1_train\.csv: the first line must name the columns"),
        ("audio/x.wav\tpark\n", "it is 'audio/x.wav"),
        ("filename\tscene_label\n\tpark\n", "line 2: the row has no file name"),
        ("filename\tscene_label\naudio/unknown.wav\t\n", "line 2: audio/unknown.wav has no scene_label"),
    ):
        train.write_text(text)
        with pytest.raises(DataError, match=message):
            read_corpus(root)
    train.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a list in UTF-8"):
        read_corpus(root)


def test_contradictions_between_lists_are_refused(make_corpus):
    """One clip in both lists of a fold, with two labels, or in two files, is refused with the line."""
    root = make_corpus()
    train = root / "evaluation_setup/fold1_train.csv"
    good = train.read_text()
    test_clip = "audio/park-lisbon-4-4-a.wav"
    for line, message in (
        (f"{test_clip}\tpark", "is also in the .* list of fold 1"),
        ("audio/park-lisbon-0-0-a.flac\tpark", "contradicts an earlier list, which has audio/park-lisbon-0-0-a.wav"),
        ("audio/bus-vienna-101-1-a.wav\tpark", "has the scene 'park' here, but 'bus' in meta.csv"),
    ):
        train.write_text(good + line + "\n")
        with pytest.raises(DataError, match=message):
            read_corpus(root)
