"""Classes that training, validation or test lack: said where the data set is looked at, with the true reason."""

import pytest
from data_prep_support import SMALL, Row, lines, scene_rows, write_tree

from data_prep.check.check import check_data
from data_prep.config import CorpusConfig, PrepareConfig
from data_prep.errors import DataError
from data_prep.prepare.prepare import prepare

CONFIG = PrepareConfig(features=SMALL, quarantine={"length_tolerance": 100.0})


def test_one_class_is_an_error_of_check_and_prepare(tmp_path):
    """A column that is the same everywhere, taken for the labels: both say so, before anything is written."""
    rows = [(f"r{i}.wav", "mono", f"p{i}") for i in range(8)]
    root = write_tree(tmp_path / "data", {"m.tsv": lines(("file", "label", "location"), *rows)}, [r[0] for r in rows])
    message = r"all 6 training clips of fold 1 are of the class 'mono'; .* --label-column"
    config = CONFIG.updated(corpus=CorpusConfig(k_folds=4))
    with pytest.raises(DataError, match=message):
        prepare(root, tmp_path / "shards", config)
    assert not (tmp_path / "shards").exists()
    (finding,) = [f for f in check_data(root, config).findings if f.severity == "error"]
    assert "of the class 'mono'" in finding.message


def gaps(root) -> dict[str, str]:
    return {f.kind: f.message for f in check_data(root, CONFIG).findings if f.kind.startswith("no ")}


def test_classes_that_validation_or_test_lack_are_told_with_the_reason(make_corpus, tmp_path):
    """One training location, no row in the test list, damaged files alone: each its own reason, as prepare says."""
    single = Row("audio/tram-oslo-7-7-a.wav", "tram", "train", "oslo-7")
    assert gaps(make_corpus([*scene_rows(), single], name="a")) == {
        "no validation clip": "fold 1: scenes with a single training location have no validation clip: tram",
        "no test clip": "fold 1: scenes missing from the test list have no test clip: tram",
    }
    warnings = prepare(tmp_path / "a", tmp_path / "shards", CONFIG).warnings
    assert "fold 1: scenes missing from the test list have no test clip: tram" in warnings
    root = make_corpus(name="b")
    for path in (root / "audio").glob("park-*"):
        if int(path.name.split("-")[2]) > 3:
            path.write_bytes(b"")
    assert gaps(root) == {"no test clip": "fold 1: scenes whose test clips are unusable have no test clip: park"}
    assert gaps(make_corpus(name="c")) == {}


def test_own_validation_lists_are_the_reason(tmp_path):
    """Where a table lists validation itself, the list is what lacks the class."""
    rows = [(f"{s}{i}.wav", s, "train", f"{s}{i}") for s in ("rain", "wind") for i in range(4)]
    rows.append(("v.wav", "rain", "validation", "v"))
    table = lines(("file", "label", "split", "location"), *rows)
    root = write_tree(tmp_path, {"m.tsv": table}, [row[0] for row in rows])
    assert gaps(root) == {
        "no validation clip": "fold 1: scenes missing from the validation list have no validation clip: wind"
    }
