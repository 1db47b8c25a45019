"""Decoding of audio files, and detection of damaged ones."""
