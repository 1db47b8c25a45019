"""Where the work of `prepare` runs: in this process, in others, or wherever a caller's executor puts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from data_prep.errors import AscError
from data_prep.extract import Extracted, Task


class Executor(Protocol):
    """Whatever spreads work: `concurrent.futures` executors fit; results must come back in the items' order."""

    def map(self, function: Callable[[Task], list[Extracted]], items: Iterable[Task], /) -> Iterable[list[Extracted]]:
        """Return the results of `function` for each item, in order."""
        ...


class _InProcess:
    def map(self, function: Callable[[Task], list[Extracted]], items: Iterable[Task], /) -> Iterable[list[Extracted]]:
        """Return the results one by one, as they are asked for."""
        return map(function, items)


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
        pool: Any = ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            yield pool
        except BrokenExecutor:
            raise AscError(
                f"one of the {n_workers} worker processes died, perhaps for want of memory. What was finished is kept: "
                "give the same command again with fewer workers. (A script of yours that calls this needs "
                '`if __name__ == "__main__":`.)'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
