"""Data sets as they are found on disk: the layouts, told apart by themselves, and what they come to.

One module a layout (`tau`, `tut`, `evaluation`, `table`) reads lists into rows; `resolve` makes clips and folds of the
rows and finds what contradicts itself; `read` puts it together. Whoever reads a data set calls `read_corpus` alone.
"""

from data_prep.corpora.read import read_corpus

__all__ = ["read_corpus"]
