"""Public tuning tasks as searches under a hard limit: LCBench's 34 tasks, by the surrogate of YAHPO Gym.

Zimmer, Lindauer, Hutter, 2021, "Auto-PyTorch Tabular" trained 2,000 multilayer perceptrons on each data set for 52
epochs; Pfisterer et al., 2022, "YAHPO Gym" fitted a network to these curves. A task has what a search here has: a hard
limit on bytes known before training, epochs as fidelity, a noisy score on validation, and a score on data that the
search never sees (balanced accuracies, both).

What is assumed, since the surrogate does not say it:

- Weights. LCBench's networks are funnels: the widths of the hidden layers fall linearly from `max_units` to the number
  of classes. Bytes are of int8 weights and float32 biases, MACs the number of weights. Inputs are the data set's
  columns; categories count once.
- Noise. The surrogate is deterministic. A training differs from another one with a different seed by `SEED_NOISE` at
  all rungs alike (on validation and test), a rung from the curve by `RUNG_NOISE` (on validation alone).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from search_task import Measured, Task

from search.space.knobs import Knob
from search.space.space import Space

EPOCHS = (6, 13, 26, 52)
"""Rungs: the curves' full length, halved."""
SEED_NOISE = 0.01
RUNG_NOISE = 0.01
"""Standard deviations of the noise in balanced accuracy, as between trainings of small networks here (the table of
ESC-10's networks has 0.02 to 0.03 at 51 clips)."""

DATA_SETS: dict[str, tuple[str, int, int]] = {
    "3945": ("KDDCup09_appetency", 230, 2),
    "7593": ("covertype", 54, 7),
    "34539": ("Amazon_employee_access", 9, 2),
    "126025": ("adult", 14, 2),
    "126026": ("nomao", 118, 2),
    "126029": ("bank-marketing", 16, 2),
    "146212": ("shuttle", 9, 7),
    "167104": ("Australian", 14, 2),
    "167149": ("kr-vs-kp", 36, 2),
    "167152": ("mfeat-factors", 216, 10),
    "167161": ("credit-g", 20, 2),
    "167168": ("vehicle", 18, 4),
    "167181": ("kc1", 21, 2),
    "167184": ("blood-transfusion-service-center", 4, 2),
    "167185": ("cnae-9", 856, 9),
    "167190": ("phoneme", 5, 2),
    "167200": ("higgs", 28, 2),
    "167201": ("connect-4", 42, 3),
    "168329": ("helena", 27, 100),
    "168330": ("jannis", 54, 4),
    "168331": ("volkert", 180, 10),
    "168335": ("MiniBooNE", 50, 2),
    "168868": ("APSFailure", 170, 2),
    "168908": ("christine", 1636, 2),
    "168910": ("fabert", 800, 7),
    "189354": ("airlines", 7, 2),
    "189862": ("jasmine", 144, 2),
    "189865": ("sylvine", 20, 2),
    "189866": ("albert", 78, 2),
    "189873": ("dionis", 60, 355),
    "189905": ("car", 6, 4),
    "189906": ("segment", 16, 7),
    "189908": ("Fashion-MNIST", 784, 10),
    "189909": ("jungle_chess_2pcs_raw_endgame_complete", 6, 3),
}
"""{OpenML task: (data set, columns without the label, classes)}, by openml.org."""

TUNING = tuple(DATA_SETS)[::3]
"""Tasks on which settings are chosen; the report is of the others."""

UNITS = tuple(round(64 * 2 ** (step / 4)) for step in range(17))
BATCHES = tuple(round(16 * 2 ** (step / 2)) for step in range(11))
KNOBS = {
    "num_layers": Knob(choices=(1, 2, 3, 4, 5)),
    "max_units": Knob(choices=UNITS),
    "train.batch_size": Knob(choices=BATCHES),
    "train.learning_rate": Knob(low=1e-4, high=0.1, log=True),
    "train.momentum": Knob(low=0.1, high=0.99),
    "train.weight_decay": Knob(low=1e-5, high=0.1),
    "train.max_dropout": Knob(low=0.0, high=1.0),
}
"""YAHPO's space; widths and batch sizes on a grid of its logarithmic scales."""


class TaskSpace(Space):
    """YAHPO's search space of a task."""

    def __init__(self, n_columns: int, n_classes: int) -> None:
        config: Any = SimpleNamespace(knobs=KNOBS, monotone=())
        super().__init__(config, (n_columns, 1, 1), n_classes)
        self._n_columns = n_columns

    def _cost(self, params: Mapping[str, Any]) -> tuple[float, float]:
        return funnel_cost(params["num_layers"], params["max_units"], self._n_columns, self.n_classes)


def funnel_cost(n_layers: int, max_units: int, n_columns: int, n_classes: int) -> tuple[int, int]:
    """Return the bytes of a funnel's int8 weights with float32 biases, and its MACs.

    Args:
        n_layers: hidden layers.
        max_units: width of the first of them.
        n_columns: inputs.
        n_classes: outputs.
    """
    fall = (max_units - n_classes) / n_layers
    widths = [n_columns, *(round(max_units - layer * fall) for layer in range(n_layers)), n_classes]
    macs = sum(before * after for before, after in pairwise(widths))
    return macs + 4 * sum(widths[1:]), macs


class Surrogate:
    """YAHPO's network: curves of all tasks."""

    def __init__(self, folder: Path) -> None:
        """Load `model.onnx` and `encoding.json` of a folder."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]

    def curves(self, task: str, points: Sequence[Mapping[str, Any]], epochs: Sequence[int]) -> np.ndarray:
        """Return validation accuracy (a share), validation loss in nats and test accuracy: (points, epochs, 3)."""
        names = ["batch_size", "learning_rate", "momentum", "weight_decay"]
        rows = [
            [epoch, *(p[f"train.{name}"] for name in names), p["num_layers"], p["max_units"], p["train.max_dropout"]]
            for p in points
            for epoch in epochs
        ]
        codes = np.full((len(rows), 1), self._codes[task], np.int32)
        answers = self._session.run(None, {"x_cat": codes, "x_cont": np.array(rows, np.float32)})[0]
        found = answers[:, [3, 2, 5]].reshape(len(points), len(epochs), 3)
        return np.clip(found, [0, 0, 0], [1, np.inf, 1]).astype(np.float64)


class PublicTask(Task):
    """A search on one data set with one limit.

    Args:
        surrogate: of the curves.
        task: number of the OpenML task.
        share: of the space's points, by size, that the limit lets through.
        seed: of the trainings' noise.
    """

    epochs = EPOCHS

    def __init__(self, surrogate: Surrogate, task: str, share: float, seed: int = 0) -> None:
        super().__init__(task, seed)
        self._surrogate, self._share = surrogate, share
        self.name, n_columns, self.n_classes = DATA_SETS[task]
        self.space = TaskSpace(n_columns, self.n_classes)
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {
            (n_layers, units): funnel_cost(n_layers, units, n_columns, self.n_classes)
            for n_layers in KNOBS["num_layers"].choices
            for units in UNITS
        }
        sizes = sorted(size for size, _ in self._sizes.values())
        self.limit = sizes[round(share * len(sizes)) - 1]
        self.smallest = sizes[0]

    def another(self) -> PublicTask:
        """Return a task for tuning other than this one, drawn by the seed, with its own limit at the same share."""
        others = [task for task in TUNING if task != self.task]
        rng = np.random.default_rng([self.seed, int(self.task)])
        return PublicTask(self._surrogate, others[int(rng.integers(len(others)))], self._share, self.seed)

    def cost_of(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Return the bytes and MACs of a funnel."""
        return self._sizes[params["num_layers"], params["max_units"]]

    def true_accuracies(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return test accuracies by the surrogate."""
        return self._surrogate.curves(self.task, points, EPOCHS[-1:])[:, 0, 2]

    def measured(self, params: Mapping[str, Any], rng: np.random.Generator) -> Measured:
        """Return the surrogate's curve with noise."""
        noise = rng.normal(size=1 + len(EPOCHS))
        (curve,) = self._surrogate.curves(self.task, [params], EPOCHS)
        of_seed = SEED_NOISE * noise[0]
        rungs = [
            (accuracy + of_seed + RUNG_NOISE * own, loss)
            for (accuracy, loss, _), own in zip(curve, noise[1:], strict=True)
        ]
        return Measured(rungs, curve[-1][2] + of_seed)
