"""Cross-validation: scores of frozen systems over folds and seeds."""
