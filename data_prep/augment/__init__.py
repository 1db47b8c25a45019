"""Augmentation of training clips: copies from audio, stored log-mels as they are drawn, batches of network input."""
