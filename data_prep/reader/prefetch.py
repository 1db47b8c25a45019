"""Prefetching: prepare the next batches on another thread while the current one is in use."""

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
class _Raised:
    error: BaseException


def prefetched(items: Iterable[T], depth: int = 4) -> Generator[T]:
    """Yield `items` in order while a separate thread prepares up to `depth` of them in advance.

    Exceptions of the thread are raised here, after the items before them. Closing the generator (for example with
    `contextlib.closing`) stops the thread before the next item and waits for it.

    Args:
        items: iterated only on the thread, from the first `next` on.
        depth: number of finished items to keep; one more may be in progress.

    Raises:
        ValueError: if `depth` is under 1.
    """
    if depth < 1:
        raise ValueError(f"at least 1 item must be made ahead, got {depth}")
    ready: Queue[_Made[T] | _Raised | None] = Queue(depth)
    stop = threading.Event()

    def work() -> None:
        """Make items until they are exhausted, one fails, or the generator is closed."""
        try:
            for item in items:
                ready.put(_Made(item))
                if stop.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # interrupts, too: the thread must not swallow what ends the program
            ready.put(_Raised(error))

    thread = threading.Thread(target=work, name="asc-reader", daemon=True)
    thread.start()
    try:
        while (received := ready.get()) is not None:
            if isinstance(received, _Raised):
                raise received.error
            yield received.item
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for a free slot
            _empty(ready)
            thread.join(0.01)


def _empty(queue: Queue[_Made[T] | _Raised | None]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
