"""What bounds a search of many trials: the driver's memory, its time for each event, and the time to resume.

    python tests/benchmarks/search_scale.py [--trials 1000 10000 100000] [--scheduler pareto] [--objectives NAME …]

Makes ledgers of so many trials of the default space, with made-up accuracies: all reach the first rung, half of them
the second, and so on. Each is read by a process of its own, as when a search is resumed, which then proposes and enters
some more trials. Printed are the ledger's size, the seconds to resume, the memory that the search takes, the processor
milliseconds of a proposal and of a rung, and how many workers a driver that needs so long can keep busy with trials
that take a minute from rung to rung (a trial comes to two rungs on average, and is proposed once). An event's write to
the disk, of some milliseconds, is not among them.

With `--storage URI` a ledger is written to shared storage instead, an object for each event, and restored from there:
events a second, and seconds to restore.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from search_memory import EPOCHS, LIMIT, SHAPE, resident_bytes
from search_simulator import MemoryLog

from asc_models.networks.estimate import estimate
from data_prep.schema import content_hash
from data_prep.store.store import open_store, parse_location
from results.ledger.lines import EventReader, ledger_line
from results.storage.stored_ledger import StoredLedger
from search.config import RunConfig
from search.halving import HALVINGS
from search.objectives import Objectives
from search.space.sizing import Sizing
from search.space.space import Space
from search.strategies.proposer import Proposer
from search.study.config import SearchConfig
from search.study.state import SearchState

N_POINTS = 20_000
"""Different points of a made ledger; further trials repeat them."""
N_PROPOSALS = 8
RUNG_SECONDS = 60.0


class ResumedLog(MemoryLog):
    """A ledger whose events so far are in a file, and whose new ones are kept in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def events(self) -> list[dict[str, Any]]:
        """Return the file's events."""
        return EventReader(self._path).read(self._path.read_bytes())


class Problem:
    """The default space with its sizes and keys."""

    def __init__(self) -> None:
        self.space = Space(RunConfig().space)

    def assess(self, params: Any) -> Sizing:
        """Return size and cost of a point."""
        cost = estimate(self.space.settings(params).model, SHAPE, 10)
        n_bytes = cost.weight_bytes_as("int8_weights")
        return Sizing(n_bytes <= LIMIT, n_bytes, LIMIT, "over" if n_bytes > LIMIT else "", cost.n_params, cost.macs)

    def describe(self, params: Any) -> tuple[str, dict[str, Any]]:
        """Return key and configuration of a point."""
        config = {"model": self.space.settings(params).model.model_dump(mode="json")}
        return content_hash(config), config


def measured(n_bytes: int, rung: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return what a trial of a size measures at a rung."""
    accuracy = 0.4 + 0.03 * np.log(n_bytes) / np.log(LIMIT) + 0.05 * rung + rng.normal(0, 0.02)
    sizes = dict.fromkeys(("weight_bytes", "nonzero_weight_bytes", "file_bytes"), n_bytes)
    seconds = dict.fromkeys(("seconds", "train_seconds", "reading_seconds"), 1.0)
    return {"macro_accuracy": float(accuracy), "log_loss": 1.0, **sizes, **seconds}


def events_of(n_trials: int) -> Iterator[bytes]:
    """Yield the lines of a search: of n trials at a rung, every second goes on."""
    problem, rng = Problem(), np.random.default_rng(0)
    points = []
    while len(points) < min(n_trials, N_POINTS):
        params = problem.space.draw(rng)
        if (sizing := problem.assess(params)).feasible:
            points.append((params, sizing, *problem.describe(params)))
    for number in range(n_trials):
        params, sizing, key, config = points[number % len(points)]
        trial_id = f"t{number + 1:04d}"
        yield _line("trial_started", trial_id, key=key, params=params, config=config, seed=0, macs=sizing.macs,
                    n_params=sizing.n_params, peak_activation_bytes=1, weight_bytes=sizing.weight_bytes)  # fmt: skip
        for rung, epochs in enumerate(EPOCHS):
            is_last, goes_on = rung == len(EPOCHS) - 1, number % 2 ** (rung + 1) == 0
            decision = "finish" if is_last else "continue" if goes_on else "pause"
            values = measured(sizing.weight_bytes, rung, rng)
            yield _line("rung", trial_id, rung=rung, epochs=epochs, decision=decision, **values)
            if is_last:
                yield _line("trial_ended", trial_id, state="finished", reason=None)
            if decision != "continue":
                break


def _line(event: str, trial_id: str, **fields: Any) -> bytes:
    return ledger_line(event, {"trial_id": trial_id, **fields})


def resume(path: Path, n_trials: int, scheduler: str, objectives: Objectives) -> None:
    """Rebuild a search from a ledger, go on a little, and print a line."""
    problem, rng = Problem(), np.random.default_rng(1)
    before = resident_bytes()
    begin = time.perf_counter()
    proposer = Proposer(
        problem.space, problem.assess, lambda params: problem.describe(params)[0], seed=0, objectives=objectives
    )
    halving = HALVINGS[scheduler](EPOCHS, SearchConfig().eta, objectives)
    state = SearchState(
        ResumedLog(path), proposer, halving, n_trials=10**9, seed=0, describe=problem.describe
    )  # fmt: skip
    resumed = time.perf_counter() - begin
    trials = []
    begin = time.process_time()
    for _ in range(N_PROPOSALS):
        trials.append(state.next_trial())
    a_proposal = (time.process_time() - begin) / N_PROPOSALS
    begin = time.process_time()
    for trial in trials:
        n_bytes = problem.assess(trial.params).weight_bytes
        state.on_rung(trial.trial_id, 0, measured(n_bytes, 0, rng))
        state.next_promotion()
    a_rung = (time.process_time() - begin) / N_PROPOSALS
    n_workers = int(RUNG_SECONDS / (a_rung + a_proposal / 2))
    megabytes = [path.stat().st_size / 1e6, (resident_bytes() - before) / 1e6]
    print(
        f"{n_trials:7,d} {megabytes[0]:13.1f} {resumed:12.1f} {megabytes[1]:12.0f} {1e3 * a_proposal:14.0f} "
        f"{1e3 * a_rung:10.1f} {n_workers:8,d}",
        flush=True,
    )


def store(uri: str, n_events: int) -> None:
    """Write a ledger to storage and restore it, and print a line for each."""
    place = open_store(parse_location(uri))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with StoredLedger.open_stored(Path(folder) / "ledger.jsonl", place) as ledger:
            for number in range(n_events):
                ledger.append("note", number=number)
        written = time.perf_counter() - begin
        begin = time.perf_counter()
        with StoredLedger.open_stored(Path(folder) / "restored.jsonl", place) as ledger:
            n_restored = len(ledger.events())
        restored = time.perf_counter() - begin
    print(f"{n_events:,} events written in {written:.1f} s: {n_events / written:.0f} a second")
    print(f"{n_restored:,} events restored in {restored:.1f} s: {n_restored / restored:.0f} a second")


def main() -> None:
    """Make the ledgers, and resume each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--scheduler", choices=list(HALVINGS), default=SearchConfig().scheduler)
    parser.add_argument("--objectives", nargs="+", default=["macro_accuracy", "weight_bytes"])
    parser.add_argument("--storage", default=None, help="URI of an empty folder; the environment has the credentials")
    parser.add_argument("--events", type=int, default=1_000, help="for --storage")
    parser.add_argument("--resume", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.resume is not None:
        resume(arguments.resume, arguments.trials[0], arguments.scheduler, Objectives(arguments.objectives))
        return
    if arguments.storage is not None:
        store(arguments.storage, arguments.events)
        return
    print(" trials  MB of ledger  s to resume  MB resident  ms a proposal  ms a rung  workers")
    for n_trials in arguments.trials:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.jsonl"
            with path.open("wb") as file:
                file.writelines(events_of(n_trials))
            settings = ["--scheduler", arguments.scheduler, "--objectives", *arguments.objectives]
            command = [sys.executable, __file__, "--trials", str(n_trials), "--resume", str(path), *settings]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
