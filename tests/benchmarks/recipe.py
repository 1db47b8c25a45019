"""A fixed network with the recipe that `recipe: auto` picks, next to simple systems, out of fold.

    python tests/benchmarks/recipe.py --out FOLDER [--esc10 ESC10]

On the synthesized corpus (340 training clips of 3 s) and on ESC-10 (320 of 5 s): the training side of fold 1 is
predicted in four parts, each by a training without it. An hour on two processors with ESC-10; the same call resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asc_models.metrics import log_loss, macro_accuracy, share_interval
from data_prep.config import PrepareConfig, SynthConfig
from data_prep.prepare.prepare import prepare
from data_prep.synth import synthesize
from data_prep.workers import available_cpus
from results.candidates.predictions import Predictions, read_predictions
from results.crossval.scores import read_crossval
from results.ensembles.calibration import calibrate, location_parts, locations_of
from results.rundir import CrossvalDirectory
from search.api import Quiet
from search.baselines.baselines import train_baselines
from search.config import RunConfig
from search.crossval.crossval import cross_validate

N_PARTS = 4
SMALL = {"stem_filters": 16, "stages": [{"filters": 24, "stride": 2}, {"filters": 32, "stride": 2}, {"filters": 40}]}
LARGE = {
    "stem_filters": 24,
    "stages": [
        *({"filters": filters, "stride": 2} for filters in (32, 48, 64)),
        *({"filters": filters} for filters in (80, 96)),
    ],
}


def config(name: str, network: dict[str, Any], expansion: int, features: dict[str, Any]) -> RunConfig:
    """Return the configuration of one fixed network, with nothing set that the recipe picks."""
    fixed = {"kernel_size": 3, "expansion": expansion, "attention": "casam", "reduction_ratio": 8, "dropout": 0.2}
    system = {"name": name, "model": {"family": "inverted_residual", **network, **fixed}}
    return RunConfig(prepare={"features": features}, search=None, retrain={"n_candidates": 0, "systems": [system]})


def compare(title: str, asked: RunConfig, shards: Path, out: Path) -> None:
    """Train what is missing and print a table."""
    directory = CrossvalDirectory(out)
    cross_validate(asked, directory, Quiet(), shards=shards, folds=(1,), inner=N_PARTS)
    run = directory.fold(1)
    train_baselines(run, shards, Quiet())
    (system,) = read_crossval(directory, inner=True).systems
    rows = {"recipe: auto": system.scores[0].predictions}
    for name, label in (("svm-full", "support vector machine"), ("dcase2021-baseline-full", "organisers' network")):
        rows[label] = read_predictions(run.baselines.candidate(name, 0).predictions_path("validation"))
    print(f"\n{title}, out of fold in {N_PARTS} parts\n{'':24}accuracy  95 % interval  log loss  calibrated")
    for label, answers in rows.items():
        print(f"{label:24}{line(answers)}")


def line(answers: Predictions) -> str:
    """Return the scores of a system as text; `calibrated` is the log loss as the ranking of a run has it."""
    labels, p, locations = answers.labels, answers.probabilities, locations_of(answers)
    low, high = share_interval((p.argmax(axis=1) == labels).astype(float), labels, locations)
    calibrated = calibrate(labels, p, location_parts(locations)).log_loss
    accuracy, loss = macro_accuracy(labels, p), log_loss(labels, p)
    return f"{100 * accuracy:7.1f}%    {100 * low:4.1f}–{100 * high:5.1f}%  {loss:8.3f}  {calibrated:10.3f}"


def main() -> None:
    """Compare on both data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for shards and trainings")
    parser.add_argument("--esc10", type=Path, help="ESC-10 in TAU's layout")
    asked = parser.parse_args()
    corpus = asked.out / "synth-corpus"
    synthesize(corpus, SynthConfig(clip_seconds=3.0, n_segments=3))
    sets = [("synthesized corpus", "synth", corpus, config("small", SMALL, 2, {"clip_seconds": 3.0, "n_mels": 40}))]
    if asked.esc10 is not None:
        sets.append(("ESC-10", "esc10", asked.esc10, config("windows", LARGE, 3, {"clip_seconds": 5.0})))
    for title, name, data, settings in sets:
        shards = asked.out / f"{name}-shards"
        prepare(data, shards, PrepareConfig.model_validate(settings.prepare), n_workers=available_cpus())
        compare(title, settings, shards, asked.out / name)


if __name__ == "__main__":
    main()
