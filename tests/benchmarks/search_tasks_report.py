"""How well searches search on public tasks: ours and peers that are told every size, on LCBench's 34 tasks.

    python tests/benchmarks/search_tasks_report.py YAHPO [--tasks report] [--seeds 5] [--epochs 2080] [--out FOLDER]

YAHPO is the folder of YAHPO Gym's scenario `lcbench` (github.com/slds-lmu/yahpo_data); needs onnxruntime. Every method
never trains what is over the limit: peers are asked again until they propose what fits. Reported are, by the test score
that no search sees (search_tasks.py): hypervolume of what a search would present as its front, over bytes and over
their logarithm, as a share of that of 20,000 random points' true scores; and regret of its most accurate trial. Means
over tasks, limits and seeds with the standard error of the paired difference to ours, and average ranks over tasks with
the critical difference of Nemenyi's test (Demšar, 2006).

Settings of ours were chosen on every third task (`--tasks tuning`); the report is of the others.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from search_peers import PEERS
from search_simulator import Method, Ours, simulate
from search_tasks import DATA_SETS, Surrogate, Task, found

from data_prep.files.files import written_whole
from search.strategies import STRATEGIES
from search.study.config import SearchConfig

OUT = Path(__file__).parents[2] / "results" / "reference" / "search-tasks"
SHARES = (0.25, 0.5)
"""Limits: quantiles of the space's sizes."""
MARKS = (1 / 3, 2 / 3, 1.0)
"""Shares of the epochs at which is reported."""
TUNING = tuple(DATA_SETS)[::3]
TASKS: dict[str, tuple[str, ...]] = {
    "tuning": TUNING,
    "report": tuple(task for task in DATA_SETS if task not in TUNING),
}
QUANTITIES = ("regret", "volume", "log_volume")
STUDENTIZED = {2: 1.960, 3: 2.344, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Critical values of Nemenyi's test at 5 % (Demšar, 2006, table 5a): {methods: value}."""


class Timed:
    """A method with the seconds that its decisions took."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.seconds, self.n_proposals = 0.0, 0

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return the method's next work."""
        begin = time.perf_counter()
        work = self._method.next_work()
        self.seconds += time.perf_counter() - begin
        self.n_proposals += work is not None and work[2] == 0
        return work

    def reached(self, trial_id: str, rung: int, value: Any) -> bool:
        """Tell the method."""
        return self._method.reached(trial_id, rung, value)


def replay(arguments: argparse.Namespace, name: str, task_id: str, share: float) -> list[dict[str, Any]]:
    """Return a row for each seed and mark of one method on one task."""
    STRATEGIES.update(PEERS)
    strategy, scheduler = name.split(" + ")
    settings = SearchConfig()
    task = Task(Surrogate(arguments.yahpo), task_id, share)
    grid = [round(arguments.epochs * mark) for mark in MARKS]
    rows = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        task = task.with_seed(seed)
        method = Timed(Ours(task, seed, strategy=strategy, scheduler=scheduler, eta=settings.eta))
        history = simulate(task, method, n_workers=arguments.workers, max_epochs=arguments.epochs)
        for epochs, result in zip(grid, found(task, history, grid), strict=True):
            rows.append(
                {
                    **{"method": name, "task": task_id, "share": share, "seed": seed, "epochs": epochs},
                    **{quantity: getattr(result, quantity) for quantity in QUANTITIES},
                    "seconds_a_proposal": method.seconds / max(1, method.n_proposals),
                }
            )
    return rows


def main() -> None:
    """Replay and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yahpo", type=Path, help="folder with model.onnx and encoding.json")
    parser.add_argument("--tasks", choices=list(TASKS), default="report")
    parser.add_argument("--n-tasks", type=int, default=None, help="the first so many of them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40 * 52, help="that a search may spend")
    parser.add_argument("--workers", type=int, default=2, help="simulated")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--methods", nargs="+", default=["front + pareto", "front + none", "random + none", "random + pareto"]
    )
    parser.add_argument("--out", type=Path, default=None, help="where the rows go; none are written otherwise")
    arguments = parser.parse_args()
    tasks = TASKS[arguments.tasks][: arguments.n_tasks]
    jobs = [(arguments, name, task, share) for name in arguments.methods for task in tasks for share in SHARES]
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        rows = [row for found_rows in pool.map(replay, *zip(*jobs, strict=True)) for row in found_rows]
    if arguments.out is not None:
        with written_whole(arguments.out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print("\n".join(summary(rows, arguments.methods)))


def summary(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return the table of means at each mark."""
    import pandas as pd

    table = pd.DataFrame(rows)
    lines = []
    for epochs in sorted(table["epochs"].unique()):
        at = table[table["epochs"] == epochs].set_index(["task", "share", "seed"])
        lines.append(f"\n{epochs} epochs, {at.index.nunique()} searches a method")
        first = at[at["method"] == names[0]]
        for name in names:
            mine = at[at["method"] == name]
            texts = []
            for quantity in QUANTITIES:
                # Seeds of a task share its surface: the error is that of the mean over tasks and limits.
                difference = (mine[quantity] - first[quantity]).groupby(["task", "share"]).mean()
                error = difference.std(ddof=1) / np.sqrt(len(difference))
                texts.append(f"{quantity} {mine[quantity].mean():.4f} ({difference.mean():+.4f} ± {error:.4f})")
            seconds = f"{1e3 * mine['seconds_a_proposal'].mean():.0f} ms a proposal"
            lines.append(f"  {name:24s} {'  '.join(texts)}  {seconds}")
        if len(names) > 1:
            lines.append("  " + ranks(at.reset_index(), names))
    return lines


def ranks(at: Any, names: Sequence[str]) -> str:
    """Return the average ranks by hypervolume over tasks and limits."""
    means = at.pivot_table("volume", index=["task", "share"], columns="method")[list(names)]
    average = means.rank(axis=1, ascending=False).mean()
    n, k = means.shape
    width = STUDENTIZED[min(k, 10)] * np.sqrt(k * (k + 1) / (6 * n))
    return f"ranks by volume: {', '.join(f'{name} {average[name]:.2f}' for name in names)}; differ from {width:.2f} on"


if __name__ == "__main__":
    main()
