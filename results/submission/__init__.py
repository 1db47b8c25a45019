"""A submission package for DCASE Task 1: systems, their meta data, the package, and its check."""
