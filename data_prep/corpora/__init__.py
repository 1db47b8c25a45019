"""Reading data sets in several layouts, which are detected automatically.

One module per layout (`tau`, `tut`, `evaluation`, `table`, `esc50`, `folders`) reads lists into rows. `resolve` derives
clips and folds from the rows and finds contradictions. Callers use only `read_corpus` in `read`.
"""

from data_prep.corpora.read import read_corpus

__all__ = ["read_corpus"]
