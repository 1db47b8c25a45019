"""The knapsack behind mixed precision: which kernels to narrow, at least cost, to save enough bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cheapest(costs: Sequence[float], savings: Sequence[int], need: int) -> tuple[int, ...]:
    """Return the items of least total cost that together save `need` bytes or more.

    The minimum is exact: dynamic programming over the bytes still to be saved, as in the 0/1 knapsack. Of sets with
    equal costs, one without the later items is returned.

    Args:
        costs: cost of each item, finite and not negative.
        savings: bytes that each item saves, not negative.
        need: bytes to save; 0 or less needs no item.

    Raises:
        ValueError: if all items together save less.
    """
    if need > sum(savings):
        raise ValueError(f"{len(savings)} items save {sum(savings):,} bytes together, fewer than {need:,}")
    need = max(need, 0)
    least = np.full(need + 1, np.inf)  # least[b]: cost of saving b bytes or more with the items so far
    least[0] = 0.0
    left = np.arange(need + 1)
    is_taken = np.zeros((len(costs), need + 1), bool)
    for item, (cost, saving) in enumerate(zip(costs, savings, strict=True)):
        with_item = least[np.maximum(left - saving, 0)] + cost
        is_taken[item] = with_item < least
        least = np.where(is_taken[item], with_item, least)
    taken = []
    for item in reversed(range(len(costs))):
        if is_taken[item, need]:
            taken.append(item)
            need = max(need - savings[item], 0)
    return tuple(reversed(taken))
