"""Items made ahead on another thread."""

import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.reader.prefetch import prefetched


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "asc-reader"]


@given(st.lists(st.integers(), max_size=50), st.integers(1, 6))
def test_items_and_their_order_are_the_same(items, depth):
    """Any items come out as they are, in order, and no thread is left."""
    assert list(prefetched(items, depth)) == items
    assert not reader_threads()


def test_a_random_stream_is_the_same_as_without():
    """What is drawn while iterating is drawn by one thread, in order: the same numbers."""

    def draws():
        rng = np.random.default_rng(3)
        for _ in range(20):
            yield rng.permutation(5).tolist()

    assert list(prefetched(draws())) == list(draws())


def test_work_is_done_ahead_but_not_without_bound():
    """While the first item is in use, the next ones are made, up to the depth and one in the making."""
    made, n_ahead, n_asked = threading.Semaphore(0), [], 0

    def items():
        for i in range(100):
            n_ahead.append(i - n_asked)
            made.release()
            yield i

    with closing(prefetched(items(), depth=3)) as ahead:
        n_asked += 1
        assert next(ahead) == 0
        for _ in range(5):  # the one in use, three that are ready, one that waits for room
            made.acquire()
        for i in range(1, 100):
            n_asked += 1
            assert next(ahead) == i
    assert max(n_ahead) == 3
    assert not reader_threads()


def test_items_are_made_on_another_thread():
    """The making thread isn't the one that iterates."""
    seen = list(prefetched(threading.current_thread().name for _ in range(3)))
    assert seen == ["asc-reader"] * 3


def test_an_error_comes_at_its_place_with_its_trace():
    """What the making raises is raised to the user behind the items before it, and says where it came from."""

    def items():
        yield 1
        yield 2
        raise RuntimeError("shard is damaged")

    ahead = prefetched(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(RuntimeError, match="shard is damaged") as caught:
        next(ahead)
    assert caught.traceback[-1].name == "items"
    assert not reader_threads()


def test_leaving_early_stops_the_thread():
    """A loop that is left, by an error too, ends the thread before it makes everything."""
    made = []

    def items():
        for i in range(10_000):
            made.append(i)
            yield i

    def use():
        with closing(prefetched(items(), depth=2)) as ahead:
            for item in ahead:
                if item == 3:
                    raise KeyError

    with pytest.raises(KeyError):
        use()
    assert not reader_threads()
    assert len(made) < 20


def test_nothing_ahead_is_refused():
    """A depth of 0 is told."""
    with pytest.raises(ValueError, match="at least 1 item must be made ahead, got 0"):
        next(prefetched([1], depth=0))
