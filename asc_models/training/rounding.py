"""Training for int4: the kernels that the file stores in int4 are rounded while they are trained.

In every step of the last epochs the network computes with rounded kernels, and the gradient at these is applied to the
exact ones (the straight-through estimator: Bengio et al. 2013, arXiv 1308.3432; Hubara et al. 2018, arXiv 1609.07061).
Between epochs the network has its rounded kernels. What is scored, averaged and exported is therefore free of errors of
rounding, and the export finds the integers again: batch norm, which it folds in, scales an output channel as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from asc_models.training.kernels import Kernels

Floats = npt.NDArray[np.float32]

LARGEST = 7
"""Integers are −7 to 7, as in TFLite's symmetric int4 kernels."""
N_ITERATIONS = 20
"""Of a range: over twice as many as the kernels of a trained network need."""


class Rounder:
    """The kernels of a network that are int4 in its file.

    Args:
        kernels: those that `int4_int8_weights` stores in int4 (`asc_models.networks.estimate.is_int4`).
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels, self._averages = kernels.trained, kernels.averages
        self._steps = [tf.Variable(tf.zeros(kernel.shape[-1:])) for kernel in self._kernels]
        self.exact: list[Floats] = []
        """Kernels before they were rounded between two epochs, then those of the moving average; else empty."""

    def round(self) -> None:
        """Round the kernels of both networks after an epoch."""
        both = [*self._kernels, *self._averages]
        self.exact = [kernel.numpy() for kernel in both]
        for kernel, exact in zip(both, self.exact, strict=True):
            kernel.assign(rounded(exact))

    def round_average(self) -> None:
        """Round the kernels in training, which are averaged ones, for good."""
        for kernel in self._kernels:
            kernel.assign(rounded(kernel.numpy()))

    def restore(self) -> None:
        """Set the kernels to what they were before `round`."""
        if self.exact:
            for kernel, exact in zip([*self._kernels, *self._averages], self.exact, strict=True):
                kernel.assign(exact)
            self.exact = []

    def set_ranges(self) -> None:
        """Set the ranges for an epoch's steps to those of its first kernels."""
        for kernel, step in zip(self._kernels, self._steps, strict=True):
            step.assign(ranges(kernel.numpy()) / LARGEST)

    def begin_step(self) -> Sequence[Any]:
        """Round the kernels in training and return the exact ones; called inside the graph of a step."""
        exact = [tf.identity(kernel) for kernel in self._kernels]
        for kernel, step in zip(self._kernels, self._steps, strict=True):
            integers = tf.clip_by_value(tf.round(tf.math.divide_no_nan(kernel, step)), -LARGEST, LARGEST)
            kernel.assign(integers * step)
        return exact

    def end_step(self, exact: Sequence[Any]) -> None:
        """Set the kernels to the exact ones, to which the gradient is applied; called inside the graph of a step."""
        for kernel, values in zip(self._kernels, exact, strict=True):
            kernel.assign(values)


def rounded(kernel: Floats) -> Floats:
    """Return a kernel, shape (…, n_channels), with its weights rounded to the nearest of 15 values per channel."""
    step = ranges(kernel) / LARGEST
    integers = np.rint(np.divide(kernel, step, out=np.zeros_like(kernel), where=step > 0))
    return np.asarray(np.clip(integers, -LARGEST, LARGEST) * step, np.float32)


def ranges(kernel: Floats) -> Floats:
    """Return the largest value c of each output channel, shape (n_channels,); larger weights are clipped to it.

    It is the export's, OCTAV, which minimizes the expected squared error of clipping and rounding. From the weights w
    of a channel, at 4 bits: c ← Σ|w| [|w| ≥ c] / (4⁻⁴ / 3 · n[|w| < c] + n[|w| ≥ c]), iterated from 0 (Sakr et al.
    2022, arXiv 2206.06501, equation 6). It never exceeds the largest weight, so that one at least gets the largest
    integer, by which the export finds the range again.

    Args:
        kernel: weights, shape (…, n_channels).
    """
    magnitudes = np.abs(kernel.astype(np.float64)).reshape(-1, kernel.shape[-1])
    share = 4.0**-4 / 3.0
    found = np.zeros(kernel.shape[-1])
    for _ in range(N_ITERATIONS):
        is_clipped = magnitudes >= found
        n_clipped = is_clipped.sum(axis=0)
        total = np.where(is_clipped, magnitudes, 0.0).sum(axis=0)
        found = np.where(n_clipped > 0, total / (share * (len(magnitudes) - n_clipped) + n_clipped), found)
    return found.astype(np.float32)
