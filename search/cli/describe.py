"""`asc describe`: size and cost of a network, from its description or its exported file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import JsonOption, terminal

if TYPE_CHECKING:
    from asc_models.config import ExportMode
    from asc_models.networks.estimate import Estimate
    from asc_models.rules import RuleName, RulesConfig, Verdict
    from search.cli.screen.terminal import Terminal

Rules = dict["RuleName", "RulesConfig"]
Verdicts = dict["RuleName", dict["ExportMode", "Verdict"]]
"""{rule set: {export mode: verdict}}"""


SystemArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Preset such as cao2021-system4, a candidate or ensemble as a folder or zip, or a .tflite file.",
        show_default=False,
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        "--seconds", help="Clip length in seconds, for a preset. Default: its data set's.", show_default=False
    ),
]
ClassesOption = Annotated[int, typer.Option("--classes", min=2, help="Number of scenes, for a preset.")]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="QUANTITY=N",
        help="Check a custom limit too, such as weight_bytes=64000. Repeatable.",
        show_default=False,
    ),
]


def describe(
    what: SystemArgument,
    seconds: SecondsOption = None,
    classes: ClassesOption = 10,
    limits: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print parameters, multiply-accumulates, activation and weight bytes, and which size rules are met."""
    screen = terminal()
    rules = _rules(limits or [])
    if what.endswith(".tflite") and not Path(what).is_dir():
        _describe_file(Path(what), rules, screen, as_json)
        return
    from asc_models.ensemble import is_ensemble

    if is_ensemble(Path(what)):
        _describe_ensemble(Path(what), rules, screen, as_json)
        return
    _describe_network(what, _cost(what, seconds, classes), rules, screen, as_json)


def _describe_network(what: str, cost: Estimate, rules: Rules, screen: Terminal, as_json: bool) -> None:
    """Print the cost of a candidate or preset, the verdict of each rule set on each export mode, and the layers."""
    from asc_models.rules import QUANTITY_NAMES

    verdicts = {name: {mode: cost.verdict(rule, mode) for mode in cost.weight_bytes} for name, rule in rules.items()}
    if as_json:
        screen.json(_as_json(cost, verdicts))
        return
    cut = f" in {cost.windows}" if cost.windows else ""
    screen.say(f"{what}: input {' × '.join(map(str, cost.input_shape))}{cut}, {cost.n_classes} scenes")
    _show_preset(what, screen)
    nonzero = [
        (f"{QUANTITY_NAMES['nonzero_weight_bytes']} as {mode}, bytes, at most", size)
        for mode, size in (cost.nonzero_weight_bytes if cost.sparsity else {}).items()
    ]
    screen.table(
        "Cost per inference",
        ("quantity", "value"),
        [
            (QUANTITY_NAMES["n_params"], cost.n_params),
            (QUANTITY_NAMES["macs"], cost.macs),
            (f"{QUANTITY_NAMES['peak_activation_bytes']}, bytes (float32)", cost.peak_activation_bytes),
            *((f"{QUANTITY_NAMES['weight_bytes']} as {mode}, bytes", size) for mode, size in cost.weight_bytes.items()),
            *nonzero,
            ("in Keras, float16 but for batch norm", cost.keras_float16_bytes),
        ],
    )
    _show_verdicts(rules, verdicts, screen, is_pruned=cost.sparsity > 0)
    rows = [(layer.name, " × ".join(map(str, layer.output_shape)), layer.n_params, layer.macs) for layer in cost.layers]
    screen.table("Layers with weights", ("layer", "output", "parameters", "MACs"), rows)


def _cost(what: str, seconds: float | None, n_classes: int) -> Estimate:
    """Return the cost of a candidate, or of a preset on clips of `seconds`."""
    from asc_models.networks.estimate import estimate
    from asc_models.networks.presets import PRESETS, preset
    from data_prep.config import FeatureSpec, ReaderSpec
    from data_prep.errors import ConfigError
    from data_prep.schema import parse_config
    from results.rundir import CandidateFiles, RunDirectory

    as_run, as_candidate = RunDirectory(Path(what)), CandidateFiles(Path(what))
    if as_run.candidates_dir.is_dir():
        names = sorted(folder.name for folder in as_run.candidates_dir.iterdir() if folder.is_dir())
        raise ConfigError(f"{what}: is a run, not a candidate; its candidates: {', '.join(names) or 'none'}")
    if as_candidate.config_path.is_file():
        from asc_models.candidate import CONFIG, read_candidate_config, require_unchanged

        require_unchanged(as_candidate.root, (CONFIG,))
        config = read_candidate_config(as_candidate.config_path)
        shape, windows = config.reader.input_shape(config.features), config.reader.windows(config.features)
        return estimate(config.model, shape, len(config.classes), windows, sparsity=config.train.sparsity)
    if Path(what).is_file() or what.endswith(".zip"):
        from asc_models.candidate import opened_candidate

        with opened_candidate(Path(what)) as folder:
            return _cost(str(folder), seconds, n_classes)
    if Path(what).exists():
        raise ConfigError(
            f"{what}: neither a candidate's folder (it has no config.yaml) nor an ensemble's (no ensemble.yaml), nor a "
            "zip of one, nor a .tflite file"
        )
    model = preset(what)
    length = PRESETS[what].seconds if seconds is None else seconds
    features = parse_config(FeatureSpec, {"clip_seconds": length}, "--seconds")
    own_shape = PRESETS[what].input_shape
    return estimate(model, own_shape(length) if own_shape else ReaderSpec().input_shape(features), n_classes)


def _rules(limits: list[str]) -> Rules:
    from asc_models.rules import LIMITS, RulesConfig
    from data_prep.errors import ConfigError
    from data_prep.schema import parse_config

    rules = {name: RulesConfig(name=name) for name, allowed in LIMITS.items() if allowed}
    parsed = {}
    for limit in limits:
        quantity, _, value = limit.partition("=")
        try:
            parsed[quantity.strip()] = int(value)
        except ValueError:
            raise ConfigError(f"--limit {limit}: must be quantity=number, such as weight_bytes=64000") from None
    if parsed:
        rules["custom"] = parse_config(RulesConfig, {"name": "custom", "limits": parsed}, "--limit")
    return rules


def _show_preset(what: str, screen: Terminal) -> None:
    from asc_models.networks.presets import PRESETS

    if what not in PRESETS:
        return
    facts = PRESETS[what]
    for label, text in (("Source", facts.source), ("Published", facts.published), ("Assumed", facts.assumed)):
        if text:
            screen.paragraph(f"{label}: {text}")
    screen.say("")


def _show_verdicts(rules: Rules, verdicts: Verdicts, screen: Terminal, *, is_pruned: bool) -> None:
    """Print the verdict of each rule set, and each quantity over a limit: by how much, and its largest layer."""
    modes = list(next(iter(verdicts.values())))
    screen.table(
        "Size rules",
        ("exported as", *verdicts),
        [(mode, *(_word(verdicts[rule][mode]) for rule in verdicts)) for mode in modes],
    )
    for rule in rules.values():
        if refused := rule.refused(modes):
            screen.paragraph(f"Refused: {refused}.")
    over = {}
    for judged in verdicts.values():
        for mode, verdict in judged.items():
            for check in verdict.checks:
                if not check.feasible:
                    # Without pruning the estimate of non-zero bytes is all bytes: one row for both.
                    name = f"bytes as {mode}" if check.quantity.endswith("weight_bytes") else check.quantity
                    name = f"non-zero {name}" if is_pruned and check.quantity == "nonzero_weight_bytes" else name
                    name += f" as {mode}, at least" if check.is_bound else ""
                    over[name, check.limit] = check
    if any(check.is_bound for judged in verdicts.values() for verdict in judged.values() for check in verdict.checks):
        screen.paragraph("file_bytes is known after export only; here it is a lower bound: weights and 200 per kernel.")
    if over:
        screen.table(
            "Over the limit",
            ("quantity", "value", "excess", "largest layer"),
            [(name, found.value, found.value - limit, found.largest) for (name, limit), found in over.items()],
        )


def _as_json(cost: Estimate, verdicts: Verdicts) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "input_shape": list(cost.input_shape),
        **({"windows": cost.windows._asdict()} if cost.windows else {}),
        "n_params": cost.n_params,
        "macs": cost.macs,
        "peak_activation_bytes": cost.peak_activation_bytes,
        "weight_bytes": cost.weight_bytes,
        **({"nonzero_weight_bytes": cost.nonzero_weight_bytes} if cost.sparsity else {}),
        "rules": {
            rule: {mode: _verdict_as_json(verdict) for mode, verdict in judged.items()}
            for rule, judged in verdicts.items()
        },
        "layers": [asdict(layer) for layer in cost.layers],
    }


def _word(verdict: Verdict) -> str:
    return "refused" if verdict.refused else "fits" if verdict.feasible else "over"


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    checks = [
        {
            "quantity": check.quantity,
            "value": check.value,
            "limit": check.limit,
            **({"is_lower_bound": True} if check.is_bound else {}),
        }
        for check in verdict.checks
    ]
    refused = {"refused": verdict.refused} if verdict.refused else {}
    return {"feasible": verdict.feasible, "checks": checks, **refused}


def _describe_file(path: Path, rules: Rules, screen: Terminal, as_json: bool) -> None:
    from asc_models.rules import check
    from asc_models.tflite.measure import measure

    sizes = measure(path).quantities()
    judged = {name: check(rule, sizes) for name, rule in rules.items()}
    # A file does not state its number of parameters, so dcase2022 cannot be checked.
    shown = {name: verdict for name, verdict in judged.items() if verdict.checks}
    if as_json:
        screen.json({**sizes, "rules": {name: _verdict_as_json(verdict) for name, verdict in shown.items()}})
        return
    screen.table(f"{path}, as measured", ("quantity", "bytes"), sizes.items())
    rows = [(name, verdict.reason or "fits") for name, verdict in shown.items()]
    screen.table("Size rules that a file can be checked against", ("rules", "verdict"), rows)


def _describe_ensemble(path: Path, rules: Rules, screen: Terminal, as_json: bool) -> None:
    """Print the sizes of each member and of all together, measured on their files, and the verdicts on these."""
    from asc_models.ensemble import opened_system
    from asc_models.networks.estimate import estimate
    from asc_models.rules import QUANTITY_NAMES, check, total
    from asc_models.tflite.measure import measure
    from data_prep.wording import plural

    sizes: dict[str, dict[str, int]] = {}
    with opened_system(path) as system:
        configs = system.read_configs()
        for name, model, config in zip(system.folders, system.model_paths, configs, strict=True):
            shape, windows = config.reader.input_shape(config.features), config.reader.windows(config.features)
            cost = estimate(config.model, shape, len(config.classes), windows)
            known = {**cost.quantities(config.mode), **measure(model).quantities()}  # bytes are the file's own
            sizes[name] = {quantity: known[quantity] for quantity in QUANTITY_NAMES}
    together: dict[str, int] = {
        quantity: total(quantity, [size[quantity] for size in sizes.values()]) for quantity in QUANTITY_NAMES
    }
    modes = {config.mode for config in configs}
    verdicts = {name: check(rule, together, modes=modes) for name, rule in rules.items()}
    heads = [(name, weight, config.mode) for name, weight, config in zip(sizes, system.weights, configs, strict=True)]
    if as_json:
        members = [{"name": name, "weight": weight, "mode": mode, **sizes[name]} for name, weight, mode in heads]
        screen.json(
            {
                **together,
                "temperature": system.temperature,
                "members": members,
                "rules": {name: _verdict_as_json(verdict) for name, verdict in verdicts.items()},
            }
        )
        return
    n_members = plural(len(heads), "member")
    screen.say(f"{path}: {n_members}, temperature {system.temperature:.3f}, {len(configs[0].classes)} scenes")
    screen.table(
        "Sizes",
        ("member", "weight", "exported as", *QUANTITY_NAMES.values()),
        [
            *((*head, *sizes[head[0]].values()) for head in heads),
            ("together", sum(system.weights), ", ".join(sorted(modes)), *together.values()),
        ],
    )
    screen.table("Size rules", ("rules", "verdict"), [(name, one.reason or "fits") for name, one in verdicts.items()])
    screen.paragraph(
        "Weights, file and peak activations in bytes, those of weights and file as measured. Members run in turn: the "
        "largest peak counts."
    )
