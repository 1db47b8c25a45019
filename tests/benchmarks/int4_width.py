"""More weights in fewer bits: one network in int8, and wider ones in int4, all of them at the same number of bytes.

    python tests/benchmarks/int4_width.py [CONFIG] --data DATA --out FOLDER [--limit BYTES] [--folds K,K] [--seeds N]
        [--share SHARE]

CONFIG (default: esc10) has one system in `retrain.systems`. Its filters are multiplied until the weights fill --limit
(default: that of its rules) in four ways: with int8 kernels; with large kernels in int4, trained in float32 or for int4
(`train.int4_share`, --share); and, at a width between the two, with as many large kernels in int8 as the limit allows
(`retrain.int4_limit_bytes`). Each is cross-validated as `asc crossval` does, in a folder of its own; rerun the same
command to resume, or with more folds or seeds to extend.

Printed are accuracy and log loss of the exported files on test, and by how much quantization raised the log loss of the
float32 networks. `--data` takes the layouts of `asc crossval`, `--shards` prepared features; `--set` changes CONFIG.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asc_models.metrics import log_loss
from asc_models.networks.estimate import estimate
from asc_models.networks.families import parse_network
from asc_models.networks.network import NetworkConfig
from data_prep.store.store import parse_location
from results.crossval.scores import SystemScores, difference
from results.rundir import CrossvalDirectory
from search.cli.screen.terminal import Terminal
from search.config import RunConfig
from search.crossval.crossval import cross_validate
from search.crossval.frozen import frozen_config

WIDTHS = ("stem_filters", "filters", "base_channels", "stem_channels", "dense_units")
"""Keys of networks that are multiplied; those of base_channels are multiples of 8 in every family."""
STEPS = 64
"""Widths are tried in steps of one part in so many."""


def widened(network: NetworkConfig, factor: float) -> NetworkConfig:
    """Return the network with its filters multiplied by `factor`, rounded to multiples of 8 where they are such."""

    def scaled(value: Any) -> Any:
        """Return a part of the description, scaled."""
        if isinstance(value, Mapping):
            return {key: width(part) if key in WIDTHS else scaled(part) for key, part in value.items()}
        return [scaled(part) for part in value] if isinstance(value, (list, tuple)) else value

    def width(value: Any) -> Any:
        """Return one width or several, scaled."""
        if isinstance(value, (list, tuple)):
            return [width(part) for part in value]
        step = 8 if value % 8 == 0 else 1
        return max(step, step * round(factor * value / step))

    return parse_network(scaled(network.model_dump(mode="json")))


def configurations(config: RunConfig, limit: int, n_classes: int, share: float) -> dict[str, tuple[float, RunConfig]]:
    """Return {name: (factor of the width, configuration)} of the ways to fill `limit`.

    Args:
        config: with one system.
        limit: bytes of weights.
        n_classes: number of scenes.
        share: `train.int4_share` of the network that is trained for int4.
    """
    (system,) = config.retrain.systems
    spec = config.prepare.features
    shape, windows = config.reader.input_shape(spec), config.reader.windows(spec)

    def fitting(mode: str) -> float:
        """Return the largest factor with which the weights are within the limit."""
        factors = [step / STEPS for step in range(STEPS // 4, 4 * STEPS)]
        sizes = {
            factor: estimate(widened(system.network, factor), shape, n_classes, windows).weight_bytes[mode]
            for factor in factors
        }
        return max(factor for factor, size in sizes.items() if size <= limit)

    narrow, wide = fitting("int8_weights"), fitting("int4_int8_weights")
    settings: dict[str, tuple[float, dict[str, Any]]] = {
        "int8": (narrow, {"mode": "int8_weights"}),
        "mixed": (math.sqrt(narrow * wide), {"mode": "int4_int8_weights", "int4_limit_bytes": limit}),
        "int4": (wide, {"mode": "int4_int8_weights"}),
        "trained for int4": (
            wide,
            {"mode": "int4_int8_weights", "train": {**config.retrain.train, "int4_share": share}},
        ),
    }
    found = {}
    for name, (factor, changes) in settings.items():
        model = widened(system.network, factor).model_dump(mode="json")
        systems = [{"name": name, "model": model, "epochs": system.epochs, "train": system.train}]
        found[name] = (factor, config.updated(retrain=config.retrain.updated(**changes, systems=systems)))
    return found


def row(name: str, scores: SystemScores, reference: SystemScores, factor: float) -> str:
    """Return a system's row of the table."""
    sizes = [one.metrics for one in scores.scores if one.metrics is not None]
    rises = [
        log_loss(one.predictions.labels, one.predictions.probabilities) - one.metrics.float_scores["test"]["log_loss"]
        for one in scores.scores
        if one.metrics is not None
    ]
    paired = ""
    if scores is not reference:
        found = difference(scores, reference)
        low, high = found.loss_interval
        paired = f"{found.loss:+.3f} ({low:+.3f} to {high:+.3f})"
    spread = "" if scores.accuracy.sd is None else f" ± {100 * scores.accuracy.sd:.1f}"
    n_bytes = ", ".join(f"{number:,}" for number in sorted({one.weight_bytes for one in sizes}))
    return (
        f"| {name} | {factor:.2f} | {sizes[0].n_params:,} | {n_bytes} | {sizes[0].file_bytes:,} | "
        f"{100 * scores.accuracy.mean:.2f}{spread} | {scores.loss.mean:.3f} | {paired} | "
        f"{sum(rises) / len(rises):+.4f} ({min(rises):+.4f} to {max(rises):+.4f}) |"
    )


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="esc10")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="bytes of weights")
    parser.add_argument("--classes", type=int, default=10, help="number of scenes of the data")
    parser.add_argument("--folds", default="", help="such as 1,3; default: all")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--share", type=float, default=0.2, help="train.int4_share of the network trained for int4")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    config = frozen_config(asked.config, asked.overrides)
    config = config.updated(retrain=config.retrain.updated(seeds=tuple(range(asked.seeds))))
    limit = asked.limit or (config.rules.size_limit() or ("", 128_000))[1]
    shards = asked.shards or (asked.out / "shards").as_posix()
    found: dict[str, tuple[float, SystemScores]] = {}
    for name, (factor, one) in configurations(config, limit, asked.classes, asked.share).items():
        scores = cross_validate(
            one,
            CrossvalDirectory(asked.out / name.replace(" ", "-")),
            Terminal(),
            data=asked.data,
            shards=parse_location(shards),
            folds=[int(fold) for fold in asked.folds.split(",") if fold],
        )
        found[name] = (factor, scores.systems[0])
    print(
        "| kernels | width | parameters | bytes of weights | file | accuracy, % | log loss | to int8, paired | "
        "log loss by quantization |"
    )
    print("|" + "---|" * 9)
    for name, (factor, scores) in found.items():
        print(row(name, scores, found["int8"][1], factor))


if __name__ == "__main__":
    main()
