"""Magnitude pruning during training (Zhu and Gupta 2017, arXiv 1710.01878).

Before each epoch the weights of smallest magnitude in every pruned kernel become zero, as many as the schedule says
(`asc_models.training.schedule.sparsity`), and a weight that is zero is never updated again. The zeros are the masks:
checkpoints need no others, and a resumed training has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from asc_models.networks.sparsity import n_zeros
from asc_models.training.kernels import Kernels


class Pruner:
    """Zeros in the kernels of a network.

    Args:
        kernels: those of the layers that are pruned (`Layer.is_pruned`).
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels, self._averages = kernels.trained, kernels.averages

    def prune(self, sparsity: float) -> None:
        """Set the weights of smallest magnitude to zero, a share of `sparsity` of each kernel; ties by position.

        Existing zeros are among them. A moving average gets the same zeros.
        """
        for number, kernel in enumerate(self._kernels):
            magnitudes = np.abs(kernel.numpy())
            n = n_zeros(magnitudes.size, sparsity)
            smallest = np.argsort(magnitudes, axis=None, kind="stable")[:n]
            for variable in (kernel, *self._averages[number : number + 1]):
                values = np.array(variable.numpy())
                values.flat[smallest] = 0.0
                variable.assign(values)

    def masks(self) -> list[Any]:
        """Return for every kernel 1 where a weight is not zero, else 0; called inside the graph of a step."""
        return [tf.cast(tf.not_equal(kernel, 0.0), kernel.dtype) for kernel in self._kernels]

    def apply(self, masks: Sequence[Any]) -> None:
        """Set the weights to zero that were so when `masks` were taken; called inside the graph of a step."""
        for kernel, mask in zip(self._kernels, masks, strict=True):
            kernel.assign(kernel * mask)
