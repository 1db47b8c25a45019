"""Output files of any system: tables of scores, matched by file name, as class probabilities."""
