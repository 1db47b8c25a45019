"""Cross-validation of frozen systems over the folds of a data set."""
