"""Exports that need the scores of a candidate; those that need its files only are in `asc_models.exports`."""
