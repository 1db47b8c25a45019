"""Feature extraction on a Ray cluster: the executor that `prepare` uses instead of local processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from data_prep.workers import IN_FLIGHT, Executor

T = TypeVar("T")
R = TypeVar("R")

MAX_RETRIES = 3
"""How often a task is repeated on another worker if its worker or node died."""


class RayExecutor:
    """Runs tasks on the processors of a Ray cluster. Every node needs the audio under the same path."""

    def __init__(self) -> None:
        import ray

        self._ray = ray

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the result of `function` for each item, in order, with a bounded number of tasks in flight."""
        remote = self._ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(function)
        n_in_flight = IN_FLIGHT * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(remote.remote(item))
                if len(waiting) >= n_in_flight:
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for reference in waiting:
                self._ray.cancel(reference)

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None


@contextmanager
def ray_executor(address: str | None) -> Iterator[Executor | None]:
    """Yield an executor on the Ray cluster at `address`; None if `address` is None."""
    if address is None:
        yield None
        return
    from search.cluster.session import ray_session

    with ray_session(address, n_cpus=1):
        yield RayExecutor()
