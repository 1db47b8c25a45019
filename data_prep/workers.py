"""Executors for `asc prepare`: this process, worker processes, or an executor of the caller."""

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
"""Tasks submitted per worker: enough to keep it busy, few enough to bound memory."""


class Executor(Protocol):
    """Anything that distributes work. Results are returned in order; only a few items are in flight at a time."""

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results of `function` for each item, in order."""
        ...


class _InProcess:
    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results one by one, each computed on demand."""
        return map(function, items)


class _Pool:
    """An executor of `concurrent.futures` with a bounded number of items in flight."""

    def __init__(self, pool: Any, n_workers: int) -> None:
        self._pool = pool
        self._n_in_flight = IN_FLIGHT * n_workers

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results in order; each yielded result makes room for the next item."""
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) >= self._n_in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def worker_pool(n_workers: int, executor: Executor | None = None) -> Iterator[Executor]:
    """Yield `executor` if given, else one with `n_workers` processes, or with this process if `n_workers` is 1.

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

        # Spawned: forking a process in which TensorFlow or Ray has started threads can hang.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent)
        try:
            yield _Pool(pool, n_workers)
        except BrokenExecutor:
            raise AscError(
                f"one of the {n_workers} worker processes died, probably out of memory. Finished work is kept: rerun "
                "the same command with fewer workers to resume. (A script that calls this needs "
                '`if __name__ == "__main__":`.)'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when its parent process is gone; a killed parent can't stop its workers."""
    import multiprocessing
    import threading
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()

    def watch() -> None:
        """Wait for the end of the parent in the background."""
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def available_cpus() -> int:
    """Return the number of processors available to this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
