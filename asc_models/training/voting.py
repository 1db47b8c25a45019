"""Classification of clips by a network on windows, in Keras and in the exported file."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from data_prep.config import Windows


class Voting:
    """The mean of a network's probabilities over the windows of a clip.

    The windows are slices of the clip's input, stacked on the batch axis, so the graph contains the network and its
    weights once.

    Args:
        model: the network, from (n, n_mels, frames of a window, n_channels) to probabilities (n, n_classes).
        windows: length and number of the windows.
    """

    def __init__(self, model: keras.Model, windows: Windows) -> None:
        self._model, self._windows = model, windows

    @property
    def weights(self) -> list[Any]:
        """The network's variables."""
        weights: list[Any] = self._model.weights
        return weights

    def __call__(self, clips: Any, training: bool = False) -> Any:
        """Return probabilities (b, n_classes) of clips (b, n_mels, n_frames, n_channels)."""
        n_frames, n_windows = self._windows
        starts = self._windows.starts(clips.shape[2])
        stacked = tf.concat([clips[:, :, start : start + n_frames] for start in starts], axis=0)
        probabilities = self._model(stacked, training=training)
        by_window = tf.reshape(probabilities, (n_windows, -1, probabilities.shape[-1]))
        return tf.reduce_mean(by_window, axis=0)


def answering(model: keras.Model, windows: Windows | None) -> keras.Model | Voting:
    """Return the classifier of whole clips: `model` itself, or its mean over windows."""
    return model if windows is None else Voting(model, windows)
