"""Contradictions in lists: each is an error with file, line and way out."""

import pytest
from data_prep_support import lines, scene_rows, write_tree

from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.detect import read_listing
from data_prep.corpora.resolve import resolve
from data_prep.errors import DataError

TRAIN = "evaluation_setup/fold1_train.csv"


def change(root, name, old, new) -> None:
    path = root / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("where", ["meta.csv", TRAIN])
def test_a_label_that_contradicts_its_file_name_is_refused(make_corpus, where):
    """A TAU name with another of TAU's scenes for a label is refused, also where all lists agree on it."""
    root = make_corpus()
    for name in ("meta.csv", TRAIN):
        change(root, name, "park-lisbon-0-0-a.wav\tpark", "park-lisbon-0-0-a.wav\tbus")
    with pytest.raises(DataError, match=r"fold1_train\.csv, line 2: .* has the scene 'bus', but its name says park"):
        read_corpus(root)
    assert read_corpus(root, CorpusConfig(names=False)).clips[0].scene == "bus"


def test_a_misspelt_label_is_no_new_class(make_corpus):
    """One `prak` among parks is refused instead of making an eleventh scene."""
    root = make_corpus()
    for name in ("meta.csv", TRAIN):
        change(root, name, "park-lisbon-0-0-a.wav\tpark", "park-lisbon-0-0-a.wav\tprak")
    with pytest.raises(DataError, match=r"line 2: audio/park-lisbon-0-0-a.wav has the scene 'prak', but its name says"):
        read_corpus(root)


def test_one_wrong_label_of_a_relabelled_edition_is_found(tmp_path):
    """Where airports are indoor, the one airport that is outdoor is named."""
    rows = [(f"audio/airport-lyon-{i}-{i}-a.wav", "indoor", f"lyon-{i}", "a") for i in range(4)]
    rows += [
        ("audio/park-lyon-9-9-a.wav", "outdoor", "lyon-9", "a"),
        ("audio/airport-lyon-8-8-a.wav", "outdoor", "lyon-8", "a"),
    ]
    header = ("filename", "scene_label", "identifier", "source_label")
    root = write_tree(tmp_path, {TRAIN: lines(header, *rows)}, [row[0] for row in rows])
    with pytest.raises(
        DataError, match=r"line 7: .*airport-lyon-8-8-a.wav has the scene 'outdoor', .* 'indoor' elsewhere"
    ):
        read_corpus(root)


def test_a_location_on_both_sides_is_refused_or_accepted(make_corpus):
    """A location in train and test: an error that names both rows; accepted where the configuration says so."""
    root = make_corpus()
    text = (root / TRAIN).read_text()
    (root / TRAIN).write_text(text + "audio/park-lisbon-4-4-b.wav\tpark\n")
    change(root, "evaluation_setup/fold1_evaluate.csv", "audio/park-lisbon-4-4-b.wav\tpark\n", "")
    with pytest.raises(DataError, match=r"fold1_evaluate\.csv, line 2: .* location lisbon-4, and so is .* line 18"):
        read_corpus(root)
    assert read_corpus(root, CorpusConfig(shared_locations="warn")).folds[1]["park-lisbon-4-4-b"] == "train"


def test_a_listed_validation_location_must_not_be_trained_on(tmp_path):
    """A table's own validation split shares no location with training, whatever is accepted for test."""
    rows = [("a.wav", "x", "here", "train"), ("b.wav", "x", "here", "val"), ("c.wav", "x", "there", "test")]
    root = write_tree(tmp_path, {"t.csv": lines(("file", "label", "location", "split"), *rows)}, [r[0] for r in rows])
    with pytest.raises(
        DataError, match=r"t\.csv, line 3: b.wav, in the validation list of fold 1, is from location here"
    ):
        read_corpus(root, CorpusConfig(shared_locations="warn"))


def test_labels_outside_the_stated_classes_are_refused(make_corpus):
    """prepare.corpus.classes gives the order and forbids other labels."""
    root = make_corpus()
    assert read_corpus(root, CorpusConfig(classes=("park", "bus"))).classes == ("park", "bus")
    with pytest.raises(
        DataError, match=r"fold1_train\.csv, line 10: scene 'bus' .* is not in prepare\.corpus\.classes"
    ):
        read_corpus(root, CorpusConfig(classes=("park", "tram")))


def test_two_contents_under_one_clip_name_are_refused(tmp_path):
    """x.wav and x.flac, or x.wav beside audio/x.wav, would be one clip: refused."""
    for other in ("audio/x.flac", "x.wav"):
        files = {TRAIN: lines(("filename", "scene_label"), ("audio/x.wav", "bus"), (other, "bus"))}
        root = write_tree(tmp_path / other.replace("/", "_"), files, ["audio/x.wav", other])
        with pytest.raises(
            DataError, match=rf"line 3: {other} \(bus\) contradicts an earlier list, which has audio/x.wav"
        ):
            read_corpus(root)


def test_two_rows_of_meta_with_two_labels_are_refused(make_corpus):
    """meta.csv that labels a clip twice differently is refused; the same row twice is told."""
    root = make_corpus()
    row = "audio/park-lisbon-0-0-a.wav\tpark\tlisbon-0\ta\n"
    text = (root / "meta.csv").read_text()
    (root / "meta.csv").write_text(text + row)
    assert "is already in line 2" in read_corpus(root).warnings[0]
    (root / "meta.csv").write_text(text + row.replace("\tpark", "\tbus"))
    with pytest.raises(DataError, match=r"meta\.csv, line 26: .* has the scene 'bus' here, but 'park' in line 2"):
        read_corpus(root)


def test_a_test_list_with_some_labels_missing_is_refused(make_corpus):
    """One clip without label does not make a whole test list an evaluation list."""
    root = make_corpus(meta=False)
    change(root, "evaluation_setup/fold1_evaluate.csv", "park-lisbon-4-4-b.wav\tpark", "park-lisbon-4-4-b.wav\t")
    with pytest.raises(DataError, match=r"fold1_evaluate\.csv, line 3: .* has no scene_label"):
        read_corpus(root)


def test_a_table_that_contradicts_names_is_told(make_corpus):
    """A device in meta.csv that is not the name's: the table counts, and it is said."""
    root = make_corpus()
    change(
        root,
        "meta.csv",
        "audio/park-lisbon-0-0-b.wav\tpark\tlisbon-0\tb",
        "audio/park-lisbon-0-0-b.wav\tpark\tlisbon-0\ts1",
    )
    corpus = read_corpus(root)
    assert corpus.clips[1].device == "s1"
    assert "has the device 's1', but its name says 'b'; the table is used" in corpus.warnings[0]


def test_all_problems_are_found_at_once(make_corpus):
    """Three mistakes: the error shows the first and counts the others; resolving lists them all."""
    root = make_corpus(scene_rows())
    change(root, TRAIN, "park-lisbon-0-0-a.wav\tpark", "park-lisbon-0-0-a.wav\tbus")
    change(root, TRAIN, "park-lisbon-2-2-a.wav\tpark", "park-lisbon-2-2-a.wav\tbus")
    with pytest.raises(DataError, match=r"3 more problems: `asc data check` lists them"):
        read_corpus(root)
    found = resolve(read_listing(root, CorpusConfig()), CorpusConfig()).problems
    assert [problem.kind for problem in found] == ["two labels"] * 2 + ["name against label"] * 2
