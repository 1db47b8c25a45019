"""Warm start of a search: presets to propose first, and trials of earlier runs.

A preset becomes the point of the space with its network, or the nearest one. A trial of an earlier run whose point is
in this space informs the proposals: by its values at the rungs if it was trained on the same clips with the same
recipe, features and export mode; otherwise relative to its run's other trials, as a prior that fades
(search.strategies.prior). Notes report what was used, and what was left out and why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.errors import SizeError
from asc_models.networks.families import parse_network
from asc_models.networks.presets import preset
from asc_models.networks.topology import Shape
from asc_models.networks.trace import Trace, distance, trace
from data_prep.errors import ConfigError
from data_prep.schema import canonical_json, differing_keys
from results.ledger.events import of_kind
from results.ledger.ledger import Ledger
from results.ledger.trial import trials_of
from results.rundir import RunDirectory
from search.objectives import Value
from search.space.point import READER
from search.space.space import Params, Space
from search.strategies.prior import MIN_TRIALS

MAX_DISTANCE = 8.0
"""Largest distance, about one block, between a preset and its point."""
N_STARTS = 4
"""Starting points of the local search for the point nearest to a preset."""

Describe = Callable[[Params], Mapping[str, Any]]
"""Returns the configuration of the training at a point: `config` in the ledger."""


@dataclass(frozen=True)
class PresetPoint:
    """A preset as a point of the space."""

    name: str
    """Of the preset."""
    params: Params
    """The point."""
    distance: float
    """From the point's network to the preset (asc_models.networks.trace); 0 if they are equal."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of another run, at a point of this space."""

    run: str
    """Name of the run's directory, with its starting time."""
    trial_id: str
    """In that run."""
    params: Params
    """The point."""
    values: dict[int, Value]
    """{epochs: value} for every rung that it reached."""
    is_comparable: bool = True
    """Whether it was trained as it would be in this run, on the same clips; otherwise its values have another scale."""


@dataclass(frozen=True)
class WarmStart:
    """Presets and earlier trials for a search."""

    presets: tuple[PresetPoint, ...]
    """To propose first, each point once."""
    trials: tuple[EarlierTrial, ...]
    """Trials of earlier runs that inform the proposals."""
    notes: tuple[str, ...]
    """What was used, and what was left out and why."""

    def fields(self) -> dict[str, Any]:
        """Return this as fields of a ledger event, so that later sessions do not need the earlier runs."""
        return {
            "presets": [asdict(point) for point in self.presets],
            "trials": [asdict(trial) for trial in self.trials],
            "notes": list(self.notes),
        }


def parse_warm_start(event: Mapping[str, Any], space: Space) -> WarmStart:
    """Return the warm start of a ledger event, without points that are no longer in the space."""
    presets = [(point, space.parse(point["params"])) for point in event["presets"]]
    trials = [(trial, space.parse(trial["params"])) for trial in event["trials"]]
    return WarmStart(
        tuple(PresetPoint(point["name"], params, point["distance"]) for point, params in presets if params is not None),
        tuple(
            EarlierTrial(
                trial["run"],
                trial["trial_id"],
                params,
                _values(trial["values"]),
                trial.get("is_comparable", True),  # older ledgers have no others
            )
            for trial, params in trials
            if params is not None
        ),
        tuple(event["notes"]),
    )


def _values(plain: Mapping[str, Mapping[str, Any]]) -> dict[int, Value]:
    return {int(epochs): Value(**value) for epochs, value in plain.items()}


def read_warm_start(
    runs: Sequence[Path],
    presets: Sequence[str],
    *,
    space: Space,
    describe: Describe,
    recipe: Mapping[str, Any],
    data_hash: str,
    input_shape: Shape,
    n_classes: int,
    has_prior: bool,
) -> WarmStart:
    """Return the presets and earlier runs' trials that a search can use.

    Args:
        runs: directories of earlier runs (search.run_config.require_runs).
        presets: names of presets.
        space: the search space.
        describe: returns the configuration of the training at a point.
        recipe: {setting: value} of the run's recipe, `reader.NAME` of its reader, and `mode` of its search; preferred
            for presets if the space has several values.
        data_hash: of the prepared data (Manifest.hash).
        input_shape: (n_mels, n_frames, n_channels) of the features.
        n_classes: number of scenes.
        has_prior: whether the strategy takes trials that are not comparable.

    Raises:
        ConfigError: if a preset does not exist.
        RunError: if a run's ledger is damaged.
    """
    points, notes = _preset_points(presets, space, recipe, input_shape, n_classes)
    trials: list[EarlierTrial] = []
    for root in runs:
        found, noted = _earlier_trials(RunDirectory(root), space, describe, data_hash, has_prior=has_prior)
        trials += found
        notes += noted
    return WarmStart(tuple(points), tuple(trials), tuple(notes))


def _preset_points(
    names: Sequence[str], space: Space, recipe: Mapping[str, Any], input_shape: Shape, n_classes: int
) -> tuple[list[PresetPoint], list[str]]:
    points: list[PresetPoint] = []
    names_by_note: dict[str, list[str]] = {}  # presets with the same note share a line

    def add_note(name: str, note: str) -> None:
        """Add a note on a preset."""
        names_by_note.setdefault(note, []).append(name)

    for name in names:
        network = preset(name)
        if network.family != space.config.family:
            add_note(name, f"left out: is {network.family}, but the space is of {space.config.family}")
            continue
        try:
            wanted = trace(network, input_shape, n_classes)
        except SizeError as error:
            add_note(name, f"left out: does not fit these features: {error}")
            continue
        near = _nearest(space, wanted, recipe, input_shape, n_classes)
        if near is None:
            add_note(name, "left out: no point found that is a valid network for these features")
            continue
        apart, params = near
        if apart > MAX_DISTANCE:
            add_note(name, f"left out: no point of the space is near (distance over {MAX_DISTANCE:g})")
            continue
        same = next((point.name for point in points if point.params == params), None)
        if same is None:
            points.append(PresetPoint(name, params, apart))
        add_note(name, _preset_note(apart, same))
    return points, [f"{', '.join(named)}: {note}" for note, named in names_by_note.items()]


def _preset_note(apart: float, same: str | None) -> str:
    if apart == 0:
        return "a point of the space" if same is None else f"the same point as {same}"
    nearest = "the nearest point is used" if same is None else f"the nearest point is that of {same}"
    return f"not in the space; {nearest} (distance {apart:.2f})"


def _nearest(
    space: Space, wanted: Trace, recipe: Mapping[str, Any], input_shape: Shape, n_classes: int
) -> tuple[float, Params] | None:
    """Return (distance, point) of the point nearest to `wanted`; None if no valid network was found.

    Local search by single knobs from several starting points, as conditions and monotone lists may block a path. Among
    points with the same network, the one closest to the run's recipe is returned.
    """
    known: dict[str, tuple[float, int]] = {}

    def apart(params: Params) -> tuple[float, int]:
        """Return the distance of a point's network, and the number of settings that differ from the run's recipe."""
        key = canonical_json(params)
        if key not in known:
            try:
                settings = space.settings(params)
                away = distance(trace(settings.model, input_shape, n_classes), wanted)
            except (ConfigError, SizeError):
                known[key] = (math.inf, 0)
            else:
                own = {**settings.train_overrides, **({"mode": settings.mode} if settings.mode else {})}
                own |= {f"{READER}{name}": value for name, value in settings.reader_overrides.items()}
                known[key] = (away, sum(recipe.get(name) != value for name, value in own.items()))
        return known[key]

    rng = np.random.default_rng(0)
    found: list[tuple[tuple[float, int], Params]] = []
    for point in [space.smallest(), *(space.draw(rng) for _ in range(N_STARTS - 1))]:
        nearest = point
        while apart(step := min(space.neighbours(nearest), key=apart, default=nearest)) < apart(nearest):
            nearest = step
        found.append((apart(nearest), nearest))
    (away, _), params = min(found, key=lambda option: option[0])
    return None if away == math.inf else (away, params)


def earlier_name(root: Path) -> str:
    """Return the name of a run's folder with its starting time, as folders of different runs may share a name."""
    begun = next((str(event["time"]) for event in Ledger(RunDirectory(root).ledger_path).events()), "not begun")
    return f"{root.resolve().name} ({begun})"


def _earlier_trials(
    run: RunDirectory, space: Space, describe: Describe, data_hash: str, *, has_prior: bool
) -> tuple[list[EarlierTrial], list[str]]:
    """Return the trials of a run that can be used here, and a note on them and on those left out."""
    name = run.root.resolve().name
    searched = (run.read_config().get("data") or {}).get("manifest_hash")
    other_data = "" if searched == data_hash else f"other data ({searched}, here {data_hash})"
    events = Ledger(run.ledger_path).events()
    trials = trials_of(events)
    found: list[EarlierTrial] = []
    differences: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for event in of_kind(events, "trial_started"):
        trial = trials[event["trial_id"]]
        params = _point(space, trial.params)
        if trial.state == "failed":  # its last score may be from before it diverged
            reasons["failed"] += 1
        elif not trial.scores:
            reasons["reached no rung"] += 1
        elif params is None:
            reasons["not in this space"] += 1
        else:
            differing = _differing(event["config"], describe(params))
            if other_data or differing:
                differences[other_data or f"other settings ({differing[0]})"] += 1
            values = {epochs: Value(**score._asdict(), macs=trial.macs or 0) for epochs, score in trial.scores.items()}
            found.append(
                EarlierTrial(earlier_name(run.root), trial.trial_id, params, values, not (other_data or differing))
            )
    if differences and (not has_prior or differences.total() < MIN_TRIALS):
        why = f", and fewer than the {MIN_TRIALS} that a prior needs" if has_prior else ""
        reasons = Counter({f"{difference}{why}": n for difference, n in differences.items()}) + reasons
        differences.clear()
        found = [trial for trial in found if trial.is_comparable]
    return found, [f"{name}: {_told(len(found), len(trials), differences, reasons)}"]


def _told(n_found: int, n_trials: int, differences: Counter[str], reasons: Counter[str]) -> str:
    """Return what is said of a run's trials: how many are used, a prior, or left out, and why."""
    n_others = differences.total()
    parts = []
    if n_found > n_others or not n_others:
        parts.append(f"{n_found - n_others} of its {n_trials} trials are used")
    if n_others:
        parts.append(f"{n_others} of its {n_trials} trials are a prior that fades: {differences.most_common(1)[0][0]}")
    return "; ".join([*parts, *(f"{n} left out: {reason}" for reason, n in reasons.most_common())])


def _point(space: Space, params: Mapping[str, Any]) -> Params | None:
    """Return a point of another space as one of this space; knobs that it lacks must be fixed here.

    The caller compares the configurations: equal points need not be equal trainings.
    """
    shared = {name: value for name, value in params.items() if name in space.knobs}
    fixed = {name: knob.choices[0] for name, knob in space.knobs.items() if knob.is_fixed and name not in shared}
    return space.parse(shared) or space.parse({**shared, **fixed})


def _differing(earlier: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return the settings in which two trainings differ; with warm restarts, without the number of epochs."""
    described = []
    for config in (earlier, current):
        train = dict(config.get("train") or {})
        if train.get("schedule") == "sgdr":
            train.pop("epochs", None)  # with restarts the rungs do not depend on the total length
        model = parse_network(config["model"]).model_dump(mode="json")
        described.append({**config, "model": model, "train": train})
    return differing_keys(described[0], described[1])
