"""The knapsack of mixed precision."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asc_models.tflite.quantization.knapsack import cheapest

ITEMS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40)), max_size=9)


@settings(deadline=None)
@given(items=ITEMS, share=st.floats(-0.1, 1))
def test_the_choice_is_that_of_trying_all(items, share):
    """Of all sets that save enough, none costs less."""
    costs, savings = [cost for cost, _ in items], [saving for _, saving in items]
    need = round(share * sum(savings))
    taken = cheapest(costs, savings, need)
    sets = chain.from_iterable(combinations(range(len(items)), n) for n in range(len(items) + 1))
    least = min(sum(costs[i] for i in one) for one in sets if sum(savings[i] for i in one) >= need)
    assert sum(savings[i] for i in taken) >= need
    assert sum(costs[i] for i in taken) == pytest.approx(least, abs=1e-9)
    assert list(taken) == sorted(set(taken))


def test_a_greedy_choice_would_cost_more():
    """The two small items together, although the large one saves most for its cost."""
    assert cheapest([1.0, 0.7, 0.8], [10, 5, 6], 11) == (1, 2)
    assert cheapest([1.0, 0.7, 0.8], [10, 5, 6], 16) == (0, 2)


def test_nothing_is_taken_without_need():
    """Items that cost nothing stay out if nothing has to be saved."""
    assert cheapest([0.0, 0.0], [5, 5], 0) == cheapest([0.0], [5], -3) == cheapest([], [], 0) == ()


def test_more_than_all_items_save_is_refused():
    """The message has both numbers."""
    with pytest.raises(ValueError, match=r"2 items save 1,100 bytes together, fewer than 1,101"):
        cheapest([0.1, 0.2], [1000, 100], 1101)
