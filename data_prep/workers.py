"""Where the work of `prepare` runs: in this process, in others, or wherever a caller's executor puts it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from data_prep.errors import AscError

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 4
"""Tasks that wait or run for each worker: enough that none stands idle, few enough that memory stays flat."""


class Executor(Protocol):
    """Whatever spreads work. Results come back in the items' order; few items at a time are under way."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results of `function` for each item, in order."""
        ...


class _InProcess:
    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results one by one, as they are asked for."""
        return map(function, items)


class _Pool:
    """An executor of `concurrent.futures`, given a bounded number of items at a time."""

    def __init__(self, pool: Any, n_workers: int) -> None:
        self._pool = pool
        self._n_in_flight = IN_FLIGHT * n_workers

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results in order; an item is taken when one before it was given back."""
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) >= self._n_in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def worker_pool(n_workers: int, executor: Executor | None = None) -> Iterator[Executor]:
    """Yield `executor` if there is one, else one that runs in `n_workers` processes, or in this one for 1.

    Raises:
        AscError: if a worker process dies.
    """
    if executor is not None:
        yield executor
    elif n_workers <= 1:
        yield _InProcess()
    else:
        import multiprocessing
        from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

        # Spawned: a fork of a process in which TensorFlow or Ray has started threads can hang.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent)
        try:
            yield _Pool(pool, n_workers)
        except BrokenExecutor:
            raise AscError(
                f"one of the {n_workers} worker processes died, perhaps for want of memory. What was finished is kept: "
                "give the same command again with fewer workers. (A script of yours that calls this needs "
                '`if __name__ == "__main__":`.)'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: killed, that can't send its workers home."""
    import multiprocessing
    import threading
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()

    def watch() -> None:
        """Wait for the parent's end, whatever this process does meanwhile."""
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def available_cpus() -> int:
    """Return the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
