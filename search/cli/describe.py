"""`asc describe`: the size and cost of a network, before or after it exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import JsonOption, terminal

if TYPE_CHECKING:
    from asc_models.estimate import Estimate
    from asc_models.network import NetworkConfig
    from asc_models.topology import Shape


def describe(
    what: Annotated[
        str,
        typer.Argument(
            metavar="X",
            help="Preset such as cao2021-system4, a candidate's folder, or a .tflite file.",
            show_default=False,
        ),
    ],
    seconds: Annotated[float, typer.Option("--seconds", help="Clip length in seconds, for a preset.")] = 10.0,
    classes: Annotated[int, typer.Option("--classes", min=2, help="Scenes to tell apart, for a preset.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Print parameters, multiply-accumulates, activations and weight bytes, and the verdict of every size rule."""
    screen = terminal()
    if what.endswith(".tflite") and not Path(what).is_dir():
        _describe_file(Path(what), as_json)
        return
    model, shape, n_classes = _network(what, seconds, classes)
    from asc_models.estimate import estimate

    cost = estimate(model, shape, n_classes)
    if as_json:
        screen.json(_as_json(cost))
        return
    screen.say(f"{what}: input {' × '.join(map(str, shape))}, {n_classes} scenes")
    screen.table(
        "Cost per inference",
        ("quantity", "value"),
        [
            ("parameters", cost.n_params),
            ("multiply-accumulates", cost.macs),
            ("peak activation bytes (float32)", cost.peak_activation_bytes),
            *((f"weight bytes as {mode}", size) for mode, size in cost.weight_bytes.items()),
        ],
    )
    rules = _verdicts(cost)
    modes = list(cost.weight_bytes)
    screen.table(
        "Size rules: fits, or how many times the limit it has",
        ("rule", *modes),
        [(rule, *(_verdict_cell(verdicts[mode]) for mode in modes)) for rule, verdicts in rules.items()],
    )
    rows = [(layer.name, " × ".join(map(str, layer.output_shape)), layer.n_params, layer.macs) for layer in cost.layers]
    screen.table("Layers with weights", ("layer", "output", "parameters", "MACs"), rows)


def _network(what: str, seconds: float, n_classes: int) -> tuple[NetworkConfig, Shape, int]:
    from asc_models.presets import PRESETS, preset
    from data_prep.config import FeatureSpec, ReaderSpec
    from data_prep.errors import ConfigError
    from data_prep.schema import parse_config

    if (Path(what) / "candidates").is_dir():
        names = sorted(folder.name for folder in (Path(what) / "candidates").iterdir() if folder.is_dir())
        raise ConfigError(f"{what}: is a run, not a candidate; its candidates/ holds {', '.join(names) or 'none'}")
    if (Path(what) / "config.yaml").is_file():
        from search.candidate_training import read_candidate_config

        config = read_candidate_config(Path(what) / "config.yaml")
        return config.model, config.reader.input_shape(config.features), len(config.classes)
    if Path(what).exists():
        raise ConfigError(f"{what}: neither a candidate's folder (it has no config.yaml) nor a .tflite file")
    model = preset(what)
    features = parse_config(FeatureSpec, {"clip_seconds": seconds}, "--seconds")
    own_shape = PRESETS[what].input_shape
    return model, own_shape(seconds) if own_shape else ReaderSpec().input_shape(features), n_classes


def _verdicts(cost: Estimate) -> dict[str, dict[str, Any]]:
    from asc_models.rules import LIMITS, RulesConfig, check

    return {
        name: {mode: check(RulesConfig(name=name), cost.quantities(mode)) for mode in cost.weight_bytes}
        for name, limits in LIMITS.items()
        if limits
    }


def _verdict_cell(verdict: Any) -> str:
    over = [check for check in verdict.checks if not check.feasible]
    return ", ".join(f"{check.value / check.limit:.2f} × {check.quantity}" for check in over) or "fits"


def _as_json(cost: Estimate) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "input_shape": list(cost.input_shape),
        "n_params": cost.n_params,
        "macs": cost.macs,
        "peak_activation_bytes": cost.peak_activation_bytes,
        "weight_bytes": cost.weight_bytes,
        "rules": {
            rule: {
                mode: {"feasible": verdict.feasible, "checks": [asdict(check) for check in verdict.checks]}
                for mode, verdict in verdicts.items()
            }
            for rule, verdicts in _verdicts(cost).items()
        },
        "layers": [asdict(layer) for layer in cost.layers],
    }


def _describe_file(path: Path, as_json: bool) -> None:
    from asc_models.measure import measure

    sizes = measure(path).quantities()
    screen = terminal()
    if as_json:
        screen.json(sizes)
    else:
        screen.table(f"{path}, as measured", ("quantity", "bytes"), sizes.items())
