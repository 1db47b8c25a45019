"""Augmented copies of training clips, computed from audio and stored with the originals."""
