"""What a search costs beside training: seconds from one trial's rung to the next trial's training, on a real Ray.

    python tests/benchmarks/search_overhead.py [--trials 16] [--scheduler pareto]

A search of small networks on three bands of noise runs with one trial at a time, so that everything between two rungs
in the ledger is either a trial's own (training, export, evaluation: it tells these seconds) or overhead: Ray handing
over, the process taking up another network, the searcher's proposal, the ledger. Printed are the overhead of a trial's
first rung, of a promotion, and of going on at once; and apart from them the start: Ray, the process, TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])

from search_support import settings, write_shards  # noqa: E402 - the path first

from results.ledger.ledger import Ledger  # noqa: E402
from results.rundir import RunDirectory  # noqa: E402
from search.tune.tuner import run_search  # noqa: E402


def overheads(events: list[dict]) -> dict[str, list[float]]:
    """Return the seconds between rungs that no trial accounts for, by what happened between them."""
    found: dict[str, list[float]] = {"new trial": [], "promotion": [], "went on at once": []}
    before, promoted = None, set()
    for event in events:
        if event["event"] == "trial_promoted":
            promoted.add(event["trial_id"])
        if event["event"] != "rung":
            continue
        now = datetime.fromisoformat(event["time"]).timestamp()
        if before is not None:
            trial_id = event["trial_id"]
            kind = "promotion" if trial_id in promoted else "went on at once" if event["rung"] else "new trial"
            promoted.discard(trial_id)
            found[kind].append(now - before - event["seconds"])
        before = now
    return found


def main() -> None:
    """Run the search and print its overheads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--scheduler", default="pareto")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(Path(folder))
        run = RunDirectory(Path(folder) / "run")
        config = settings(n_trials=asked.trials, epochs=8, n_concurrent=1, scheduler=asked.scheduler)
        started = time.time()
        run_search(run, shards=shards, config=config)
        events = Ledger(run.ledger_path).events()
    rungs = [event for event in events if event["event"] == "rung"]
    first = datetime.fromisoformat(rungs[0]["time"]).timestamp() - rungs[0]["seconds"] - started
    print(f"start (Ray, its process, TensorFlow, features): {first:.1f} s")
    print(
        f"a trial's own (training, export, evaluation): median {statistics.median(e['seconds'] for e in rungs):.2f} s"
    )
    print(f"{'overhead of a':<18}{'n':>4}{'median s':>10}{'mean s':>8}{'largest':>9}")
    for kind, seconds in overheads(events).items():
        if seconds:
            middle, mean = statistics.median(seconds), statistics.mean(seconds)
            print(f"{kind:<18}{len(seconds):>4}{middle:>10.2f}{mean:>8.2f}{max(seconds):>9.2f}")
    total = sum(sum(seconds) for seconds in overheads(events).values())
    print(f"per trial: {total / asked.trials:.2f} s")


if __name__ == "__main__":
    main()
