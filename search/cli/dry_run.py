"""`asc search --dry-run`: size of a space, the share of it within the limits, and epochs a search would train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asc_models.rules import BEFORE_TRAINING
from search.study.forecast import expected_epochs

if TYPE_CHECKING:
    from search.api import NetworkInput
    from search.cli.screen.terminal import Terminal
    from search.config import RunConfig
    from search.space.survey import Sized, Survey
    from search.study.forecast import Forecast
    from search.study.settings import SearchSettings


def dry_run(config: RunConfig, shards: str | None, screen: Terminal, as_json: bool) -> None:
    """Survey the space and print the result. Nothing is written.

    With `shards`, the smallest and the largest candidate are trained for some seconds, to say how long a search takes.

    Args:
        config: of a run that has a search.
        shards: folder or URI of shards, which give the input shape and the scenes; None takes both from `config`.
        screen: prints the tables.
        as_json: whether to print JSON instead.

    Raises:
        BudgetError: if nothing in the space fits.
    """
    from data_prep.shards.manifest import read_manifest
    from data_prep.store.store import parse_location
    from search.api import network_input, pick_recipe, survey
    from search.run_config import unlike_shards

    if shards is not None and (other := unlike_shards(config, read_manifest(parse_location(shards)))):
        screen.warn(other)
    config, picks = pick_recipe(config, shards=shards)
    for pick in picks:
        screen.note(f"Recipe: {pick}")
    given, settings = network_input(config, shards), config.search_settings()
    with screen.stage("Space", "points") as on_progress:
        found = survey(config, shards, on_progress=on_progress)
    measured = None if given.n_clips is None else _measured(settings, given, found, screen)
    if as_json:
        screen.json(_as_json(settings, given, found, measured))
        return
    _show(settings, given, found, screen)
    if measured is not None:
        screen.say(measured.text)


def _measured(settings: SearchSettings, given: NetworkInput, found: Survey, screen: Terminal) -> Forecast | None:
    """Return the forecast of the search, None with a warning if the networks cannot be trained here."""
    from asc_models.errors import TrainingError
    from search.study.forecast import forecast

    if found.smallest is None or found.largest is None or given.n_clips is None:
        return None
    ends = found.smallest.params, found.largest.params
    try:
        with screen.stage("Measure", "networks") as on_progress:
            return forecast(settings, *ends, given.features, given.n_classes, given.n_clips, on_progress)
    except TrainingError as error:
        screen.warn(f"no forecast of time and memory: {error}")
        return None


def _show(settings: SearchSettings, given: NetworkInput, found: Survey, screen: Terminal) -> None:
    rows = []
    for name, knob in settings.space.knobs.items():
        written = f"{knob.low:g} to {knob.high:g}{', log scale' if knob.log else ''}"
        choices = written if knob.is_range else ", ".join(_written(choice) for choice in knob.choices)
        when = "; ".join(f"{other} is {' or '.join(map(_written, values))}" for other, values in knob.when.items())
        rows.append((name, choices, when))
    screen.table(f"Knobs of {settings.space.family}", ("knob", "choices", "only if"), rows)
    screen.table("Space", ("quantity", "value"), _sizes(found))
    if found.smallest is not None and found.largest is not None:
        _show_ends(settings, found.smallest, found.largest, found.is_exact, screen)
    n_trials = settings.search.n_trials
    expected, most = expected_epochs(settings)
    halved = f"about {expected:,} epochs in total with 1 in {settings.search.eta} promoted, at most {most:,}"
    screen.say(
        f"A search trains {n_trials:,} of them, compared at epochs {', '.join(map(str, settings.epochs))}"
        f"{_parts_text(settings)}: {halved if expected < most else f'{most:,} epochs in total'}."
    )
    if found.n_feasible_candidates is not None and found.n_feasible_candidates < n_trials:
        screen.warn(f"only {found.n_feasible_candidates:,} candidates fit: the search ends after these.")
    limits = [f"{name} {limit:,} ({BEFORE_TRAINING[name]})" for name, limit in settings.rules.in_force().items()]
    screen.say(f"Limits ({settings.rules.name}), as checked before training: {', '.join(limits)}.")
    cut = f" in {given.windows}" if given.windows else ""
    screen.say(f"Input {' × '.join(map(str, given.shape))}{cut}, {given.n_classes} scenes: {given.source}.")


def _parts_text(settings: SearchSettings) -> str:
    """Return how many networks a trial has at each rung, if it may have several."""
    n_parts = settings.search.inner_folds
    networks = ", ".join(map(str, settings.folds))
    return f" by {networks} networks, each trained without one of {n_parts} parts" if n_parts else ""


def _sizes(found: Survey) -> list[tuple[str, Any]]:
    n_points = "unlimited" if found.n_points is None else f"{found.n_points:,}"
    if found.is_exact:
        return [
            ("points", n_points),
            ("different candidates", found.n_candidates),
            ("candidates that fit", found.n_feasible_candidates),
            ("share of points that fit", f"{found.share:.1%}"),
        ]
    low, high = found.interval
    return [
        ("points", n_points),
        ("drawn at random", found.n_seen),
        ("share of points that fit", f"{found.share:.1%} (95 % confidence: {low:.1%} to {high:.1%})"),
    ]


def _show_ends(settings: SearchSettings, smallest: Sized, largest: Sized, is_exact: bool, screen: Terminal) -> None:
    ends = (("smallest that fits", smallest), ("largest that fits", largest))
    modes = [end.params.get("mode", settings.search.mode) for _, end in ends]
    nonzero = [end.sizing.nonzero_weight_bytes for _, end in ends]
    is_pruned = nonzero != [end.sizing.weight_bytes for _, end in ends]
    rows: list[tuple[Any, ...]] = [
        ("parameters", *(end.sizing.n_params for _, end in ends)),
        ("weight bytes", *(end.sizing.weight_bytes for _, end in ends)),
        *([("non-zero weight bytes, at most", *nonzero)] if is_pruned else []),
        ("exported as", *modes),
        ("multiply-accumulates", *(end.sizing.macs for _, end in ends)),
    ]
    for name in settings.space.knobs:
        if name != "mode":
            rows.append((name, *(_written(end.params[name]) if name in end.params else None for _, end in ends)))
    title = "Candidates" if is_exact else "Candidates, found by local search from the sample"
    screen.table(title, ("", *(name for name, _ in ends)), rows)


def _written(value: Any) -> str:
    return " × ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _as_json(settings: SearchSettings, given: NetworkInput, found: Survey, measured: Forecast | None) -> dict[str, Any]:
    expected, most = expected_epochs(settings)
    low, high = found.interval

    def sized(end: Sized | None) -> dict[str, Any] | None:
        """Return a candidate in plain values."""
        if end is None:
            return None
        costs = {
            name: getattr(end.sizing, name) for name in ("n_params", "weight_bytes", "nonzero_weight_bytes", "macs")
        }
        return {**costs, "mode": end.params.get("mode", settings.search.mode), "params": end.params}

    return {
        "input_shape": list(given.shape),
        **({"windows": given.windows._asdict()} if given.windows else {}),
        "n_classes": given.n_classes,
        "input_from": given.source,
        "limits": settings.rules.in_force(),
        "limits_checked": {name: BEFORE_TRAINING[name] for name in settings.rules.in_force()},
        "n_points": found.n_points,
        "n_seen": found.n_seen,
        "is_exact": found.is_exact,
        "n_candidates": found.n_candidates,
        "n_feasible_candidates": found.n_feasible_candidates,
        "feasible_share": found.share,
        "feasible_share_95": [low, high],
        "smallest": sized(found.smallest),
        "largest": sized(found.largest),
        "n_trials": settings.search.n_trials,
        "rungs": list(settings.epochs),
        "networks": list(settings.folds),
        "epochs_at_most": most,
        "epochs_expected": expected,
        **({} if measured is None else _forecast_as_json(measured)),
    }


def _forecast_as_json(measured: Forecast) -> dict[str, Any]:
    """Return the forecast in plain values."""
    return {
        "hours_expected": list(measured.hours),
        "seconds_per_example": [cost.seconds_per_example for cost in measured.costs],
        "memory_bytes_per_trial": measured.memory_bytes,
        "n_concurrent": measured.n_concurrent,
    }
