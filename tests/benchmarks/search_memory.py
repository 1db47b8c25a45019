"""Memory and time of a search's driver over thousands of trials.

    python tests/benchmarks/search_memory.py [--trials 2000] [--strategy front] [--scheduler pareto]

Replays a search over the default space (tens of thousands of networks, the real size and key of each) with made-up
accuracies, through the same sweep state that Ray's adapters ask and with a ledger on the disk, and prints along the way
the driver's resident memory, the ledger's size and the processor seconds that a proposal takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.networks.estimate import estimate
from data_prep.schema import content_hash
from results.ledger.ledger import Ledger
from search.config import RunConfig
from search.halving import HALVINGS
from search.objectives import Objectives
from search.space.sizing import Sizing
from search.space.space import Space
from search.strategies.proposer import Proposer
from search.study.config import SearchConfig
from search.study.state import SearchState

LIMIT = 128_000
SHAPE = (128, 423, 3)
EPOCHS = (6, 14, 30, 62)


def resident_bytes() -> int:
    """Return what this process holds in memory."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123 - no file on a disk
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Read the options, and run the trials with a ledger in a folder of its own."""
    settings = SearchConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--strategy", default=settings.strategy)
    parser.add_argument("--scheduler", default=settings.scheduler)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Ledger.open_for_writing(Path(folder) / "ledger.jsonl") as ledger:
        run(ledger, arguments.trials, arguments.strategy, arguments.scheduler)


def run(ledger: Ledger, n_trials: int, strategy: str, scheduler: str) -> None:
    """Run the trials, and print a line for every hundred."""
    space, objectives = Space(RunConfig().space), Objectives()

    def assess(params: Any) -> Sizing:
        cost = estimate(space.settings(params).model, SHAPE, 10)
        n_bytes = cost.weight_bytes_as("int8_weights")
        return Sizing(n_bytes <= LIMIT, n_bytes, LIMIT, "over" if n_bytes > LIMIT else "", cost.n_params, cost.macs)

    def describe(params: Any) -> tuple[str, dict[str, Any]]:
        config = {"model": space.settings(params).model.model_dump(mode="json")}
        return content_hash(config), config

    proposer = Proposer(
        space, assess, lambda params: describe(params)[0], seed=0, strategy=strategy, objectives=objectives
    )
    halving = HALVINGS[scheduler](EPOCHS, SearchConfig().eta, objectives)
    state = SearchState(ledger, proposer, halving, n_trials=n_trials, seed=0, describe=describe)
    rng = np.random.default_rng(0)
    print(f"{'trials':>7} {'MB resident':>12} {'MB of ledger':>13} {'s a proposal':>13}")
    started, n_shown, seconds = time.process_time(), 0, 0.0
    while (trial := state.next_promotion() or state.next_trial()) is not None:
        seconds += time.process_time() - started
        while state.is_training(trial):
            n_bytes = assess(trial.params).weight_bytes
            accuracy = 0.4 + 0.03 * np.log(n_bytes) / np.log(LIMIT) + 0.05 * trial.next_rung + rng.normal(0, 0.02)
            sizes = {"weight_bytes": n_bytes, "nonzero_weight_bytes": n_bytes, "file_bytes": n_bytes}
            state.on_rung(
                trial.trial_id,
                trial.next_rung,
                {
                    "macro_accuracy": accuracy,
                    "log_loss": 1.0,
                    **sizes,
                    "seconds": 1.0,
                    "train_seconds": 1.0,
                    "reading_seconds": 0.0,
                },
            )
        if len(state.trials) - n_shown >= 100:
            n_new = len(state.trials) - n_shown
            n_shown = len(state.trials)
            n_bytes = ledger.path.stat().st_size
            print(
                f"{n_shown:7d} {resident_bytes() / 1e6:12.1f} {n_bytes / 1e6:13.1f} {seconds / n_new:13.3f}", flush=True
            )
            seconds = 0.0
        started = time.process_time()


if __name__ == "__main__":
    main()
