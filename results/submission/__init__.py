"""Submission packages for DCASE Task 1: selection of systems, metadata, packaging and validation."""
