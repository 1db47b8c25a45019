"""Augmentation on batches, in NumPy: asc_models and search only configure it."""
