"""Two ways to score trials on few clips, with as many epochs: on a validation split, and out of fold.

    python tests/benchmarks/inner_search.py ESC10 --out OUT [--folds 1,2,3,4,5] [--trials 16] [--epochs 42]
    python tests/benchmarks/inner_search.py ESC10 --out LONG --networks OUT/rows.csv --epochs 375 \
        [--ways "validation split"] [--seeds 0,1]

On each fold, the default search runs twice on the training side: with `search.inner_folds: 4` and `--trials`, and on
the validation split with so many trials that the expected epochs are equal. Each way selects the trial with the lowest
log loss of its own kind; both are then trained alike on all clips of the training side, and tested once. Five folds
take some two and a half hours on two processors; the same call resumes, and takes up further folds. `--networks` trains
the networks that earlier searches selected, for other epochs, and searches nothing; `--ways` names whose.

OUT has rows.csv (one row per fold, way and seed, with the selected network), predictions.parquet (probabilities of the
tested clips), systems.csv and differences.csv (test scores of both ways and their paired difference). Rows that the
first two files have already, of other folds, ways or seeds than those asked for, stay in all tables.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from asc_models.candidate import read_candidate_config
from data_prep.shards.parquet import CLIP_COLUMNS
from data_prep.workers import available_cpus
from results.candidates.candidates import Candidate, CandidateMetrics, read_candidates
from results.candidates.predictions import Predictions
from results.crossval.scores import Crossval, FoldScore, SystemScores
from results.crossval.tables import paired_table, system_table
from results.ledger.ledger import Ledger
from results.ledger.progress import summarize_search
from results.outputs.table import PREFIX
from results.run import open_run
from results.rundir import RunDirectory
from search.api import pick_recipe, read_config, run
from search.config import RunConfig
from search.study.forecast import expected_epochs

N_PARTS = 4
METRICS = TypeAdapter(CandidateMetrics)
WAYS = {"validation split": 0, "out of fold": N_PARTS}
FINAL = {"schedule": "plateau-cosine", "swa_share": 0.15}
"""Recipe of the selected networks, beside what the data call for."""


def settings(fold: int, n_parts: int, n_trials: int, epochs: int, changes: list[str]) -> RunConfig:
    """Return the configuration of a search that scores trials in `n_parts` parts; 0 is the validation split."""
    asked = {
        "fold": fold,
        "search.n_trials": n_trials,
        "search.seed": fold,
        "search.inner_folds": n_parts,
        "search.objectives": ["log_loss", "weight_bytes"],
        "retrain.n_candidates": 1,
        "retrain.all_clips": True,
        "retrain.inner_folds": 0,
        "retrain.train": FINAL | {"epochs": epochs},
    }
    overrides: list[Any] = [f"{key}={value}" for key, value in asked.items()]
    return read_config("default", [*overrides, *changes])


def as_many_epochs(asked: RunConfig, epochs: int) -> RunConfig:
    """Return a search with the fewest trials that are expected to take `epochs`."""
    n_trials = 1
    while True:
        more = asked.updated(search=asked.search_settings().search.updated(n_trials=n_trials))
        if expected_epochs(more.search_settings())[0] >= epochs:
            return more
        n_trials += 1


def run_fold(asked: argparse.Namespace, fold: int) -> list[dict[str, Any]]:
    """Search, select, train and test on a fold in both ways, as far as that is not done; return a row of each."""
    rows, budget = [], 0
    for way, n_parts in reversed(WAYS.items()):
        config = settings(fold, n_parts, asked.trials, asked.epochs, asked.set)
        config, _ = pick_recipe(config, data=asked.data)
        config = as_many_epochs(config, budget) if budget else config
        budget = budget or expected_epochs(config.search_settings())[0]
        out = asked.out / f"{way.replace(' ', '-')}-{fold}"
        run(config, asked.data, out, shards=asked.out / "shards", n_workers=available_cpus())
        directory = RunDirectory(out)
        (candidate,) = read_candidates(directory)
        events = Ledger(directory.ledger_path).events()
        trials = open_run(out).trials.set_index("trial_id")
        rows.append(
            {
                "fold": fold,
                "way": way,
                "seed": 0,
                "trials": config.search_settings().search.n_trials,
                "epochs": summarize_search(events).epochs,
                "selected": candidate.metrics.trial_id,
                "search_loss": trials["log_loss"][str(candidate.metrics.trial_id)],
                "weight_bytes": candidate.metrics.weight_bytes,
                "network": read_candidate_config(candidate.files.config_path).model.model_dump_json(),
                "score": fold_score(way, fold, 0, candidate),
            }
        )
    return rows


def train_again(asked: argparse.Namespace, fold: int) -> list[dict[str, Any]]:
    """Train and test the networks that the ways selected on a fold, side by side; return their rows."""
    known = pd.read_csv(asked.networks)
    known = known[(known["fold"] == fold) & known["way"].isin(asked.ways.split(","))]
    chosen = {row["way"].replace(" ", "-"): row for row in known.to_dict("records")}
    systems = [{"name": name, "model": json.loads(row["network"])} for name, row in chosen.items()]
    only = {"search": None, "retrain.n_candidates": 0, "retrain.inner_folds": 0, "retrain.all_clips": True}
    only["retrain.seeds"] = asked.seeds
    asked_for = {"fold": fold, **only, "train": FINAL | {"epochs": asked.epochs}, "retrain.systems": systems}
    changes = [f"{key}={json.dumps(value)}" for key, value in asked_for.items()]
    config, _ = pick_recipe(read_config("default", [*changes, *asked.set]), data=asked.data)
    out = asked.out / f"fold-{fold}-seeds-{'-'.join(map(str, asked.seeds))}"
    run(config, asked.data, out, shards=asked.out / "shards", n_workers=available_cpus())
    found = {candidate.name: candidate for candidate in read_candidates(RunDirectory(out))}
    return [
        row | {"seed": seed, "score": fold_score(row["way"], fold, seed, found[f"{name}-full-s{seed}"])}
        for name, row in chosen.items()
        for seed in asked.seeds
    ]


def fold_score(way: str, fold: int, seed: int, candidate: Candidate) -> FoldScore:
    """Return the test score of a network that a way selected on a fold."""
    metrics = replace(candidate.metrics, splits={}, general={}, float_scores={})  # the sizes are left
    return FoldScore(way, fold, seed, candidate.predictions("test"), metrics)


def written_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows that earlier calls have written."""
    if not (out / "rows.csv").exists():
        return []
    written, table = pd.read_csv(out / "rows.csv"), pd.read_parquet(out / "predictions.parquet")
    rows = written.to_dict("records")
    for row in rows:
        clips = table[(table["fold"] == row["fold"]) & (table["way"] == row["way"]) & (table["seed"] == row["seed"])]
        p = clips[[name for name in table if name.startswith(PREFIX)]]
        classes = tuple(name.removeprefix(PREFIX) for name in p)
        predictions = Predictions(clips[list(CLIP_COLUMNS)].reset_index(drop=True), p.to_numpy(np.float32), classes)
        metrics = METRICS.validate_json(row.pop("metrics"))
        row["score"] = FoldScore(row["way"], row["fold"], row["seed"], predictions, metrics)
    return rows


def key_of(row: dict[str, Any]) -> tuple[int, str, int]:
    """Return what a row is told from others by."""
    return row["fold"], row["way"], row["seed"]


def scored(rows: list[dict[str, Any]]) -> Crossval:
    """Return the test scores of all ways over all folds."""
    found: dict[str, list[FoldScore]] = {row["way"]: [] for row in rows}
    for row in sorted(rows, key=lambda row: (row["fold"], row["seed"])):
        found[row["way"]].append(row["score"])
    return Crossval("test", tuple(SystemScores(way, tuple(scores)) for way, scores in found.items()))


def write(rows: list[dict[str, Any]], out: Path) -> None:
    """Write the rows and the probabilities of the tested clips."""
    table, predictions = [], []
    for row in rows:
        score = row["score"]
        table.append(row | {"metrics": METRICS.dump_json(score.metrics).decode()})
        p = pd.DataFrame(score.predictions.probabilities, columns=[PREFIX + name for name in score.predictions.classes])
        clips = score.predictions.clips[list(CLIP_COLUMNS)].reset_index(drop=True)
        predictions.append(pd.concat([clips.assign(fold=score.fold, way=score.system, seed=score.seed), p], axis=1))
    pd.DataFrame(table).drop(columns="score").to_csv(out / "rows.csv", index=False)
    pd.concat(predictions, ignore_index=True).to_parquet(out / "predictions.parquet", index=False)


def numbers(text: str) -> list[int]:
    """Return the numbers of a list such as 1,2."""
    return [int(number) for number in text.split(",")]


def main() -> None:
    """Run what is missing and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="ESC-10 in TAU's layout, or another data set with folds")
    parser.add_argument("--out", type=Path, required=True, help="folder of shards, runs and tables")
    parser.add_argument("--folds", type=numbers, default=[1, 2, 3, 4, 5])
    parser.add_argument("--trials", type=int, default=16, help="trials of the search out of fold")
    parser.add_argument("--epochs", type=int, default=42, help="of the selected network's training")
    parser.add_argument(
        "--networks", type=Path, help="rows.csv of earlier searches, whose networks are trained instead"
    )
    parser.add_argument("--ways", default=",".join(WAYS), help="with --networks: the ways whose networks are trained")
    parser.add_argument(
        "--seeds", type=numbers, default=[0], help="with --networks: one training of each network a seed"
    )
    parser.add_argument("--set", action="append", default=[], help="further settings, as of asc run")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # lengths of clips, and candidates that no package is made of
    known = {key_of(row): row for row in written_rows(asked.out)}
    for fold in asked.folds:
        known |= {key_of(row): row for row in (train_again if asked.networks else run_fold)(asked, fold)}
        rows = [known[key] for key in sorted(known)]
        write(rows, asked.out)
        scores = scored(rows)
        table = pd.DataFrame(rows).drop(columns=["score", "network"])
        print(f"\nafter fold {fold}\n{table.to_string(index=False)}\n")
        for name, shown in {"systems": system_table(scores), "differences": paired_table(scores)}.items():
            shown.frame().to_csv(asked.out / f"{name}.csv", index=False)
            print(shown.frame().round(4).T.to_string(header=False), "\n", flush=True)


if __name__ == "__main__":
    main()
