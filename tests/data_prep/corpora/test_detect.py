"""Which layout a data set is read in, and which keys belong to it."""

import pytest
from data_prep_support import lines, write_tree

from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.errors import DataError

NAMES = [f"{scene}/{i}.wav" for scene in ("rain", "wind") for i in range(5)]
TABLE = {"meta.csv": lines(("file", "label"), *((name, name[:4]) for name in NAMES))}


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ({}, {"layout": "folders", "label_column": "what"}, r"label_column=what .* table only; .* read as folders"),
        ({}, {"layout": "folders", "table": "meta.csv"}, r"table=meta\.csv .* table only; .* read as folders"),
        (TABLE, {"table": "meta.csv", "subset": "esc10"}, r"subset=esc10 .* esc50 only; .* as table\. Leave it out"),
        ({}, {"layout": "evaluation", "fold_column": "part"}, r"fold_column=part .* name the layout: --layout table"),
    ],
)
def test_a_key_of_another_layout_is_refused(tmp_path, files, given, message):
    """A table, a column or a subset that the layout doesn't read: an error with the key, both layouts and a way out."""
    with pytest.raises(DataError, match=message):
        read_corpus(write_tree(tmp_path, files, NAMES), CorpusConfig(**given))


def test_the_split_that_a_shipped_configuration_sets_is_reported_in_other_layouts(tmp_path):
    """`dcase2025` sets a split of TAU: other data are read with it as without it, and a warning says so."""
    root = write_tree(tmp_path, TABLE, NAMES)
    plain = read_corpus(root)
    corpus = read_corpus(root, CorpusConfig(layout="table", split=25))
    assert corpus.folds == plain.folds
    (warning,) = set(corpus.warnings) - set(plain.warnings)
    assert warning == "prepare.corpus.split=25 is used in the layout tau only; the data set is read as table"
