"""Is the synthesized corpus neither trivial nor noise? The demo over several seeds, beside a linear model.

    python tests/benchmarks/demo_seeds.py [--seeds 5] [--out FOLDER]

For each seed: the demo on a corpus of that seed (the whole line by the real command), the test accuracy of its selected
candidate (best validation log loss) on all devices and on the unseen ones (s4–s6), and that of logistic regression on
each clip's mean band energies, trained on the same training clips.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from asc_models.metrics import macro_accuracy
from data_prep.config import ReaderSpec
from data_prep.reader.reader import read_split
from results.candidates.candidates import read_candidates
from results.rundir import RunDirectory

UNSEEN = ("s4", "s5", "s6")


def linear(shards: Path) -> tuple[float, float]:
    """Return macro accuracy of the linear model on all test clips and on the unseen devices'."""
    train, test = (read_split(shards, split, fold=1, reader=ReaderSpec()) for split in ("train", "test"))
    means = [features.log_mel.astype(np.float64).mean(axis=2) for features in (train, test)]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(means[0], train.labels)
    return scores(test.labels, model.predict_proba(means[1]), test.clips["device"])


def scores(labels: np.ndarray, probabilities: np.ndarray, devices: pd.Series) -> tuple[float, float]:
    """Return macro accuracy on all clips and on the unseen devices'."""
    unseen = devices.isin(UNSEEN).to_numpy()
    return macro_accuracy(labels, probabilities), macro_accuracy(labels[unseen], probabilities[unseen])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="asc-demo-seeds-"))
    print(
        f"{'seed':>4}  {'linear, all':>11}  {'unseen':>6}  {'candidate, all':>14}  {'unseen':>6}  {'bytes':>7}  minutes"
    )
    for seed in range(arguments.seeds):
        run = RunDirectory(folder / f"seed{seed}")
        command = [sys.executable, "-m", "search.cli.main", "--quiet", "demo", "--out", str(run.root)]
        started = time.monotonic()
        subprocess.run(
            [*command, "--set", f"synth.seed={seed}", "--set", f"search.seed={seed}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        minutes = (time.monotonic() - started) / 60
        best = read_candidates(run)[0]
        test = best.predictions("test")
        ours = scores(test.labels, test.probabilities, test.clips["device"])
        theirs = linear(run.shards_dir)
        row = [f"{seed:>4}", f"{theirs[0]:>11.1%}", f"{theirs[1]:>6.1%}", f"{ours[0]:>14.1%}", f"{ours[1]:>6.1%}"]
        print("  ".join([*row, f"{best.metrics.nonzero_weight_bytes:>7,}", f"{minutes:7.1f}"]), flush=True)


if __name__ == "__main__":
    main()
