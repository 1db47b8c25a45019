"""A search under a hard limit, for benchmarks: what trainings measure, and what they are worth on data never seen."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from data_prep.schema import canonical_json
from results.pareto import hypervolume, pareto_front
from search.objectives import Value
from search.space.sizing import Sizing
from search.space.space import Params, Space

if TYPE_CHECKING:
    from search_simulator import Reached

NETWORKS = "networks"
"""The task of network_task.py; others are public ones (search_tasks.py)."""
N_DRAWN = 20_000
"""Random points from which a task's best score and its front are taken."""


def full_epochs(task: str) -> int:
    """Return the epochs of a full training."""
    return 30 if task == NETWORKS else 52


@dataclass(frozen=True)
class Measured:
    """What a training measures."""

    rungs: Sequence[tuple[float, float]]
    """Accuracy and log loss on validation at each rung."""
    hidden: float
    """Accuracy at the end on data that the search never sees."""


class Task(ABC):
    """A search with a limit on bytes.

    Args:
        task: its short name, which the noise depends on.
        seed: of the trainings' noise.
    """

    epochs: ClassVar[tuple[int, ...]]
    """Of the rungs."""
    n_drawn: ClassVar[int] = N_DRAWN
    name: str
    space: Space
    n_classes: int
    limit: int
    """Most bytes."""
    smallest: int
    """Fewest bytes of any point."""

    def __init__(self, task: str, seed: int) -> None:
        self.task, self.seed = task, seed
        self._values: dict[str, tuple[Value, ...]] = {}
        self._hidden: dict[str, float] = {}

    @abstractmethod
    def cost_of(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Return a point's bytes and MACs."""

    @abstractmethod
    def true_accuracies(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return what points are worth at the end on data that the search never sees, without noise."""

    @abstractmethod
    def measured(self, params: Mapping[str, Any], rng: np.random.Generator) -> Measured:
        """Return what a training of a point measures; `rng` is that of its noise."""

    def another(self) -> Task:
        """Return another task, for methods that begin with what they found there.

        Raises:
            ValueError: if there is none.
        """
        raise ValueError(f"{self.name} is alone: leave out the methods that begin with another task")

    def with_seed(self, seed: int) -> Self:
        """Return the same task with trainings of other seeds."""
        other = object.__new__(type(self))
        other.__dict__ |= {**self.__dict__, "seed": seed, "_values": {}, "_hidden": {}}
        return other

    def key_of(self, params: Mapping[str, Any]) -> str:
        """Return a text that is the same for the same training."""
        return canonical_json(dict(params))

    def sizing(self, params: Mapping[str, Any]) -> Sizing:
        """Return what a network weighs, and whether that is inside the limit."""
        n_bytes, macs = self.cost_of(params)
        fits = n_bytes <= self.limit
        return Sizing(
            fits, n_bytes, self.limit, "" if fits else f"weight_bytes {n_bytes:,} over {self.limit:,}", macs=macs
        )

    def value_at(self, params: Mapping[str, Any], rung: int) -> Value:
        """Return what a training measures at a rung."""
        key = self.key_of(params)
        if key not in self._values:
            self._train(key, params)
        return self._values[key][rung]

    def hidden_accuracy(self, params: Mapping[str, Any]) -> float:
        """Return a training's accuracy on data that the search never sees, at its end."""
        self.value_at(params, 0)
        return self._hidden[self.key_of(params)]

    def _train(self, key: str, params: Mapping[str, Any]) -> None:
        digest = hashlib.blake2b(f"{self.task} {self.seed} {key}".encode(), digest_size=8).digest()
        measured = self.measured(params, np.random.default_rng(int.from_bytes(digest, "little")))
        n_bytes, macs = self.cost_of(params)
        self._values[key] = tuple(
            Value(float(np.clip(accuracy, 0, 1)), float(loss), n_bytes, macs) for accuracy, loss in measured.rungs
        )
        self._hidden[key] = float(np.clip(measured.hidden, 0, 1))

    @cached_property
    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """True accuracies and bytes of random points inside the limit."""
        rng = np.random.default_rng(0)
        points: list[Params] = []
        while len(points) < self.n_drawn:
            params = self.space.draw(rng)
            if self.sizing(params).feasible:
                points.append(params)
        return self.true_accuracies(points), np.array([self.sizing(params).weight_bytes for params in points])

    @cached_property
    def best(self) -> float:
        """Highest true accuracy of the random points."""
        return float(self.drawn[0].max())

    @cached_property
    def whole(self) -> tuple[float, float]:
        """Hypervolume of the random points' true scores, over bytes and over their logarithm."""
        accuracies, sizes = self.drawn
        front = pareto_front(accuracies.tolist(), sizes.tolist())
        return self.volumes(accuracies[front], sizes[front])

    def volumes(self, accuracies: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
        """Return the hypervolume above chance and within the limit: over bytes, and over their logarithm."""
        chance = 1 / self.n_classes
        scale = math.log(self.limit / self.smallest) + 0.1
        logs = [math.log(size / self.smallest) + 0.1 for size in sizes]
        above = list(map(float, accuracies))
        return (
            hypervolume(above, [float(size) for size in sizes], float(self.limit), chance),
            hypervolume(above, logs, scale, chance),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a user gets from a search after some epochs, by the score that the search never saw."""

    regret: float
    """Best test accuracy of the task, less that of the finished trial with the best validation accuracy."""
    volume: float
    """Hypervolume of the test scores of the validation's front, as a share of that of the task's random points."""
    log_volume: float
    """The same over the logarithm of bytes."""


def found(
    task: Task, history: Sequence[Reached], grid: Sequence[float], *, by: Literal["spent", "seconds"] = "spent"
) -> list[Found]:
    """Return what a search had at each of `grid`'s numbers of epochs spent, or of seconds."""
    results = []
    for mark in grid:
        last = [step for step in history if getattr(step, by) <= mark and step.rung == len(task.epochs) - 1]
        if not last:
            results.append(Found(task.best - 1 / task.n_classes, 0.0, 0.0))
            continue
        seen = [step.value.macro_accuracy for step in last]
        front = pareto_front(seen, [step.value.weight_bytes for step in last])
        tests = np.array([task.hidden_accuracy(last[index].params) for index in front])
        sizes = np.array([last[index].value.weight_bytes for index in front])
        volumes = np.array(task.volumes(tests, sizes)) / task.whole
        chosen = task.hidden_accuracy(last[int(np.argmax(seen))].params)
        results.append(Found(task.best - chosen, float(volumes[0]), float(volumes[1])))
    return results
