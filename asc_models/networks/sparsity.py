"""Which kernels are pruned (`train.sparsity`), and to how many zeros; shared by counting and training.

All pruned kernels get the same share of zeros: uniform magnitude pruning (Zhu and Gupta 2017, arXiv 1710.01878).
Ranking the weights of all kernels together would compare numbers without a common scale, as batch norm cancels the
scale of a kernel, and can empty a layer of a small network (Tanaka et al. 2020, arXiv 2006.05467). With equal shares
the non-zero bytes follow from the description alone.

As in their MobileNets, the first convolution and depthwise kernels are not pruned. Neither are kernels of fewer than
`PRUNED_MIN_VALUES` values, biases, norms and factors, which save little.
"""

from __future__ import annotations

PRUNED_MIN_VALUES = 1_024
"""Smallest pruned kernel, in values. Smaller are the layers of attention in most networks, and often the classifier."""


def n_zeros(n_values: int, sparsity: float) -> int:
    """Return how many of a kernel's values are zero at a share of `sparsity`, rounded to the nearest."""
    return round(sparsity * n_values)
