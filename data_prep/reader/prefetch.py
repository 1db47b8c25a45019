"""Work ahead on another thread: the next batches are made while the last one is in use."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    item: T


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


def prefetched(items: Iterable[T], depth: int = 4) -> Generator[T]:
    """Yield `items` in their order while a thread of its own makes up to `depth` of them ahead.

    What the thread raises is raised here, at its place in the order. Closing the generator (as leaving a
    `contextlib.closing` does) stops the thread before it makes another item, and waits for it.

    Args:
        items: iterated on the thread alone, from the first `next` on.
        depth: items held ready; one more may be in the making.

    Raises:
        ValueError: if `depth` is under 1.
    """
    if depth < 1:
        raise ValueError(f"at least 1 item must be made ahead, got {depth}")
    ready: Queue[_Made[T] | _Failed | None] = Queue(depth)
    stop = threading.Event()

    def work() -> None:
        """Make items until they end, one fails, or nobody wants them."""
        try:
            for item in items:
                ready.put(_Made(item))
                if stop.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # an interrupt too: this thread must not swallow what ends the program
            ready.put(_Failed(error))

    thread = threading.Thread(target=work, name="asc-reader", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) is not None:
            if isinstance(got, _Failed):
                raise got.error
            yield got.item
    finally:
        stop.set()
        while thread.is_alive():  # it may wait for room
            _empty(ready)
            thread.join(0.01)


def _empty(queue: Queue[_Made[T] | _Failed | None]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
