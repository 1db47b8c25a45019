"""Augmented copies of training clips, computed from audio and stored beside the originals."""
