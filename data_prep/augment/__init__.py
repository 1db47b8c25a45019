"""Augmentation while training: on stored log-mels as they are drawn, and on batches of network input."""
