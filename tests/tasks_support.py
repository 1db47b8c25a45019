"""A public tuning task whose curves have a closed form, for tests without the surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from search_tasks import PublicTask, Surrogate


class Curves(Surrogate):
    """Curves in closed form: wider networks and a rate near 0.01 are better, and longer trainings."""

    def __init__(self) -> None:
        pass

    def curves(self, task: str, points: Sequence[Mapping[str, Any]], epochs: Sequence[int]) -> np.ndarray:
        """Return accuracy, loss and test accuracy, which is two points lower."""
        made = np.zeros((len(points), len(epochs), 3))
        for row, point in enumerate(points):
            rate = abs(np.log10(point["train.learning_rate"]) + 2)
            top = 0.6 + 0.03 * np.log2(point["max_units"] / 64) - 0.1 * rate
            for column, n in enumerate(epochs):
                made[row, column] = top - 0.2 / n, 1.0, top - 0.02 - 0.2 / n
        return made


class SmallTask(PublicTask):
    """A task that draws few random points."""

    n_drawn = 500

    def __init__(self) -> None:
        super().__init__(Curves(), "3945", 0.25)
        _ = self.best, self.whole  # once, for the copies with other seeds
