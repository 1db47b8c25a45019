"""How well searches search: ours and peers that are told every size, on LCBench's 34 tasks and on networks of ours.

    python tests/benchmarks/search_tasks_report.py YAHPO --out ROWS [--tasks report] [--seeds 5] [--methods NAME …]
    python tests/benchmarks/search_tasks_report.py --tasks networks --out ROWS [--seeds 5] [--methods NAME …]

YAHPO is the folder of YAHPO Gym's scenario `lcbench` (github.com/slds-lmu/yahpo_data), which needs onnxruntime. The
task `networks` (network_task.py) has networks and recipes that were really trained on ESC-10. Peers need what
requirements-peers.txt and requirements-primo.txt here list. No method ever trains what is over the limit: a peer's
proposal over it costs nothing, and it proposes again (search_methods). Each finished search is a row appended to ROWS;
the same command goes on where it was ended, and one with other methods or seeds adds to the rows. Methods whose
packages are missing are left out, so that environments can share ROWS.

Reported are, by the test score that no search sees (search_task.py): hypervolume of what a search would present as its
front, over bytes and over their logarithm, as a share of that of many random points' true scores; and regret of its
most accurate trial. Settings of ours were chosen on every third task (`--tasks tuning`); the report is of the others.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from search_methods import SEARCHERS, make_method, method_names, missing_packages
from search_simulator import Method, simulate
from search_task import NETWORKS, Task, found, full_epochs
from search_tasks import DATA_SETS, TUNING, PublicTask, Surrogate
from search_tasks_rows import append_row, read_rows
from search_tasks_summary import MARKS, QUANTITIES, TIMES, draw, summary

SHARES = (0.25, 0.5)
"""Limits: quantiles of the space's sizes."""
TASKS: dict[str, tuple[str, ...]] = {
    "tuning": TUNING,
    "report": tuple(task for task in DATA_SETS if task not in TUNING),
    "networks": (NETWORKS,),
}
N_FULL = 40
"""Full trainings whose epochs a search may spend, unless `--epochs` says otherwise."""
TRAINED_SHARE = 0.3
"""Of all epochs, that a trial is trained for on average with halving, by which durations are forecast."""
START_S = 5.0
"""Seconds of a search without proposals, for the forecast."""


@dataclass(frozen=True)
class Search:
    """What a row is of."""

    method: str
    task: str
    share: float
    seed: int
    workers: int
    epochs: int
    training_s: float
    """Seconds of a full training, for the simulated time."""

    @property
    def key(self) -> tuple[str, ...]:
        """Return what stands in its row's first columns."""
        return tuple(map(str, asdict(self).values()))

    @property
    def forecast_s(self) -> float:
        """Seconds that it takes about, from the proposals' time in `SEARCHERS`."""
        searcher, _, halving = self.method.partition(" + ")
        n_trials = self.epochs / full_epochs(self.task) / (1 if halving == "none" else TRAINED_SHARE)
        return START_S + n_trials * SEARCHERS[searcher].proposal_s


class Timed:
    """A method with the processor time of its decisions."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.seconds, self.n_proposals = 0.0, 0

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return the method's next work."""
        begin = time.process_time()
        work = self._method.next_work()
        self.seconds += time.process_time() - begin
        self.n_proposals += work is not None and work[2] == 0
        return work

    def reached(self, trial_id: str, rung: int, value: Any) -> bool:
        """Tell the method."""
        begin = time.process_time()
        goes_on = self._method.reached(trial_id, rung, value)
        self.seconds += time.process_time() - begin
        return goes_on


@cache
def task_of(yahpo: Path | None, task: str, share: float) -> Task:
    """Return a task with its random points' scores, which take seconds; public ones need the folder of YAHPO."""
    if task == NETWORKS:
        from network_task import NetworkSurrogate, NetworkTask

        made: Task = NetworkTask(NetworkSurrogate(), share)
    else:
        assert yahpo is not None  # as the command's arguments say
        made = PublicTask(Surrogate(yahpo), task, share)
    _ = made.best, made.whole
    return made


def replay(yahpo: Path | None, search: Search) -> dict[str, Any]:
    """Return the row of a search."""
    return row_of(task_of(yahpo, search.task, search.share).with_seed(search.seed), search)


def row_of(task: Task, search: Search) -> dict[str, Any]:
    """Return the row of a search on a task with its seed."""
    begin = time.perf_counter()
    method = Timed(make_method(search.method, task, search.seed))
    epoch_s = search.training_s / task.epochs[-1]
    history = simulate(task, method, n_workers=search.workers, max_epochs=search.epochs, epoch_seconds=epoch_s)
    by_epochs = found(task, history, [round(search.epochs * share) for share in MARKS.values()])
    ideal_s = search.epochs * epoch_s / search.workers
    by_time = found(task, history, [ideal_s * factor for factor in TIMES], by="seconds")
    spent = sum(step.n_epochs for step in history)
    over = sum(step.n_epochs for step in history if step.value.weight_bytes > task.limit)
    return {
        **asdict(search),
        **{
            f"{quantity}_{mark}": round(getattr(result, quantity), 5)
            for mark, result in zip(MARKS, by_epochs, strict=True)
            for quantity in QUANTITIES
        },
        **{f"volume_at_{factor:g}": round(result.volume, 5) for factor, result in zip(TIMES, by_time, strict=True)},
        "trials": method.n_proposals,
        "ms_a_proposal": round(1e3 * method.seconds / max(1, method.n_proposals), 2),
        "over_share": round(over / max(1, spent), 5),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def searches(arguments: argparse.Namespace, methods: Sequence[str]) -> list[Search]:
    """Return all searches of a report: task by task, so that an interrupted one has compared methods on some."""
    return [
        Search(
            *(method, task, share, seed, arguments.workers, arguments.epochs or N_FULL * full_epochs(task)),
            arguments.training_s,
        )
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for task in TASKS[arguments.tasks][: arguments.n_tasks]
        for share in arguments.shares
        for method in methods
    ]


def key_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return the key of the search that a row is of."""
    return tuple(row[name] for name in Search.__annotations__)


def to_do(every: Sequence[Search], rows: Sequence[Mapping[str, str]]) -> list[Search]:
    """Return the searches that have no row."""
    done = {key_of(row) for row in rows}
    return [search for search in every if search.key not in done]


def run(yahpo: Path | None, wanted: Sequence[Search], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each search as it is finished; one that raises is printed and has none."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        open_searches = {pool.submit(replay, yahpo, search): search for search in wanted}
        for future in as_completed(open_searches):
            if error := future.exception():
                text = "".join(traceback.format_exception(error)).rstrip()
                print(f"failed: {open_searches[future]}\n{text}", file=sys.stderr, flush=True)
            else:
                yield future.result()


def forecast(wanted: Sequence[Search], rows: Sequence[Mapping[str, Any]], jobs: int) -> float:
    """Return the seconds that searches take about: of methods in `rows` as there, of others by their proposals."""
    measured: dict[str, list[float]] = {}
    for row in rows:
        measured.setdefault(row["method"], []).append(float(row["seconds"]))
    each = [
        sum(measured[search.method]) / len(measured[search.method]) if search.method in measured else search.forecast_s
        for search in wanted
    ]
    return sum(each) / jobs


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yahpo", type=Path, nargs="?", help="folder with model.onnx and encoding.json")
    parser.add_argument("--out", type=Path, required=True, help="CSV file that rows are appended to")
    parser.add_argument("--tasks", choices=list(TASKS), default="report")
    parser.add_argument("--n-tasks", type=int, default=None, help="the first so many of them")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the points within the limit")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=None, help=f"that a search may spend; {N_FULL} full trainings'")
    parser.add_argument("--workers", type=int, default=2, help="simulated: 2, 8 or 64")
    parser.add_argument("--training-s", type=float, default=60.0, help="seconds of a full training, simulated")
    parser.add_argument("--jobs", type=int, default=1, help="searches at a time")
    parser.add_argument("--methods", nargs="+", default=None, help=f"of: {', '.join(method_names())}")
    parser.add_argument("--figure", type=Path, default=None, help="draws hypervolume against simulated time")
    asked = parser.parse_args()
    if asked.yahpo is None and asked.tasks != NETWORKS:
        parser.error("public tasks need YAHPO, the folder with model.onnx and encoding.json")
    return asked


def main() -> None:
    """Replay what is missing, and report."""
    arguments = parse_arguments()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    asked = arguments.methods or method_names()
    rows = read_rows(arguments.out)
    every = searches(arguments, asked)
    missing = {name: packages for name in asked if (packages := missing_packages(name))}
    for name, packages in missing.items():
        print(f"left out: {name} needs {', '.join(packages)}, not installed here")
    wanted = [search for search in to_do(every, rows) if search.method not in missing]
    print(
        f"{len(every)} searches, {len(wanted)} to do here: about {forecast(wanted, rows, arguments.jobs) / 60:,.0f} "
        f"minutes with {arguments.jobs} at a time",
        flush=True,
    )
    n_failed = len(wanted)
    for row in run(arguments.yahpo, wanted, arguments.jobs) if wanted else ():
        append_row(arguments.out, row)
        n_failed -= 1
    keys = {search.key for search in every}
    rows = [row for row in read_rows(arguments.out) if key_of(row) in keys]
    print("\n".join(summary(rows, asked)))
    if arguments.figure is not None:
        draw(rows, asked, arguments.figure)
    if n_failed:
        sys.exit(f"{n_failed} searches failed, see above; the same command tries them again")


if __name__ == "__main__":
    main()
