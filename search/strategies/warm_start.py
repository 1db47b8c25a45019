"""What a search can know before its first trial: named networks to begin with, and trials of earlier runs.

A named network (a preset) becomes the point of the space that stands for it, or the nearest one. A trial of an earlier
run tells something here only if it was trained on the same clips with the same recipe, features and export: then its
point, where this space has it, and its values at the rungs are handed to the proposer. Whatever is left out is said,
with the reason.
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
from data_prep.errors import ConfigError, RunError
from data_prep.schema import canonical_json, differing_keys
from results.ledger.events import of_kind
from results.ledger.ledger import Ledger
from results.ledger.trial import trials_of
from results.rundir import RunDirectory
from search.objectives import Value
from search.space.space import Params, Space

MAX_DISTANCE = 8.0
"""Farther from a named network, by about a block, a point has little to do with it."""
N_STARTS = 4
"""Points from which the nearest one to a network is sought."""

Describe = Callable[[Params], Mapping[str, Any]]
"""From a point to what is trained: the trial's `config` in the ledger."""


@dataclass(frozen=True)
class PresetPoint:
    """A named network as a point of the space."""

    name: str
    params: Params
    distance: float
    """From the point's network to the named one (asc_models.networks.trace); 0 where it is that network."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of another run that is a point of this space, trained as it would be here."""

    run: str
    """Name of the run's directory."""
    trial_id: str
    """Its name there."""
    params: Params
    values: dict[int, Value]
    """{epochs: what it came to}, of every rung it reached."""


@dataclass(frozen=True)
class WarmStart:
    """What is known before the first trial."""

    presets: tuple[PresetPoint, ...]
    """To propose first, each point once."""
    trials: tuple[EarlierTrial, ...]
    """To learn from."""
    notes: tuple[str, ...]
    """What was taken, what was left out, and why."""

    def fields(self) -> dict[str, Any]:
        """Return this as fields of a ledger event, so that later sessions need none of the earlier runs."""
        return {
            "presets": [asdict(point) for point in self.presets],
            "trials": [asdict(trial) for trial in self.trials],
            "notes": list(self.notes),
        }


def parse_warm_start(event: Mapping[str, Any], space: Space) -> WarmStart:
    """Return what `WarmStart.fields` put into a ledger event, without points that the space has lost since."""
    presets = [(point, space.parse(point["params"])) for point in event["presets"]]
    trials = [(trial, space.parse(trial["params"])) for trial in event["trials"]]
    return WarmStart(
        tuple(PresetPoint(point["name"], params, point["distance"]) for point, params in presets if params is not None),
        tuple(
            EarlierTrial(trial["run"], trial["trial_id"], params, _values(trial["values"]))
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
) -> WarmStart:
    """Return what named networks and earlier runs give a search.

    Args:
        runs: directories of earlier runs.
        presets: names of networks.
        space: what is searched.
        describe: what is trained at a point.
        recipe: {setting: value} of the run's training, and `mode`, its search's export: what a named network is trained
            by where the space leaves a choice.
        data_hash: of the prepared data (Manifest.hash).
        input_shape: (n_mels, n_frames, n_channels) of the features.
        n_classes: scenes.

    Raises:
        ConfigError: if no network is called so.
        RunError: if a directory is no run, or its ledger is damaged.
    """
    points, notes = _preset_points(presets, space, recipe, input_shape, n_classes)
    trials: list[EarlierTrial] = []
    for root in runs:
        found, said = _earlier_trials(RunDirectory(root), space, describe, data_hash)
        trials += found
        notes += said
    return WarmStart(tuple(points), tuple(trials), tuple(notes))


def _preset_points(
    names: Sequence[str], space: Space, recipe: Mapping[str, Any], input_shape: Shape, n_classes: int
) -> tuple[list[PresetPoint], list[str]]:
    points: list[PresetPoint] = []
    told: dict[str, list[str]] = {}  # what is told of which: of several at once where it is the same

    def tell(name: str, note: str) -> None:
        """Note what has become of a network."""
        told.setdefault(note, []).append(name)

    for name in names:
        network = preset(name)
        if network.family != space.config.family:
            tell(name, f"left out, the space has no {network.family}, {space.config.family} alone")
            continue
        try:
            wanted = trace(network, input_shape, n_classes)
        except SizeError as error:
            tell(name, f"left out, can't take these features: {error}")
            continue
        near = _nearest(space, wanted, recipe, input_shape, n_classes)
        if near is None:
            tell(name, "left out, no point of the space near it is a network for these features")
            continue
        apart, params = near
        if apart > MAX_DISTANCE:
            tell(name, f"left out, no point of the space is near (distance over {MAX_DISTANCE:g})")
            continue
        same = next((point.name for point in points if point.params == params), None)
        if same is None:
            points.append(PresetPoint(name, params, apart))
        tell(name, _preset_note(apart, same))
    return points, [f"{', '.join(named)}: {note}" for note, named in told.items()]


def _preset_note(apart: float, same: str | None) -> str:
    if apart == 0:
        return "a point of the space" if same is None else f"the same point as {same}"
    stands = "the nearest point stands for it" if same is None else f"its nearest point is that of {same}"
    return f"not in the space; {stands} (distance {apart:.2f})"


def _nearest(
    space: Space, wanted: Trace, recipe: Mapping[str, Any], input_shape: Shape, n_classes: int
) -> tuple[float, Params] | None:
    """Return how far the nearest point is that steps of one knob lead to, and it; None where no point is a network.

    From the smallest point and some drawn ones, as from one start a condition or an order of widths may bar the way. Of
    points with one network the one nearest to the run's own recipe counts.
    """
    known: dict[str, tuple[float, int]] = {}

    def apart(params: Params) -> tuple[float, int]:
        """Return how far a point's network is from the wanted one, and in how many settings its recipe departs."""
        key = canonical_json(params)
        if key not in known:
            try:
                settings = space.settings(params)
                away = distance(trace(settings.model, input_shape, n_classes), wanted)
            except (ConfigError, SizeError):
                known[key] = (math.inf, 0)
            else:
                own = {**settings.train_overrides, **({"mode": settings.mode} if settings.mode else {})}
                known[key] = (away, sum(recipe.get(name) != value for name, value in own.items()))
        return known[key]

    rng = np.random.default_rng(0)
    found: list[tuple[tuple[float, int], Params]] = []
    for here in [space.smallest(), *(space.draw(rng) for _ in range(N_STARTS - 1))]:
        while (step := min(space.neighbours(here), key=apart, default=here)) is not here and apart(step) < apart(here):
            here = step
        found.append((apart(here), here))
    (away, _), params = min(found, key=lambda option: option[0])
    return None if away == math.inf else (away, params)


def earlier_name(root: Path) -> str:
    """Return what a run is known by: its folder's name and when it was begun, for folders are often called alike."""
    begun = next((str(event["time"]) for event in Ledger(RunDirectory(root).ledger_path).events()), "not begun")
    return f"{root.resolve().name} ({begun})"


def _earlier_trials(
    run: RunDirectory, space: Space, describe: Describe, data_hash: str
) -> tuple[list[EarlierTrial], list[str]]:
    """Return the trials of a run that tell something here, and what to say of it and of those left out."""
    if not run.config_path.exists():
        raise RunError(f"{run.root}: no run directory (it has no config.yaml) to start a search from")
    name = run.root.resolve().name
    theirs = (run.read_config().get("data") or {}).get("manifest_hash")
    if theirs != data_hash:
        return [], [f"{name}: left out, it searched other data ({theirs}; here {data_hash})"]
    events = Ledger(run.ledger_path).events()
    trials = trials_of(events)
    found: list[EarlierTrial] = []
    reasons: Counter[str] = Counter()
    for event in of_kind(events, "trial_started"):
        trial = trials[event["trial_id"]]
        params = _point(space, trial.params)
        if not trial.scores:
            reasons["reached no rung"] += 1
        elif params is None:
            reasons["not in this space"] += 1
        elif differing := _differing(event["config"], describe(params)):
            reasons[f"trained otherwise ({differing[0]})"] += 1
        else:
            values = {epochs: Value(*score, trial.macs or 0) for epochs, score in trial.scores.items()}
            found.append(EarlierTrial(name, trial.trial_id, params, values))
    why = "".join(f"; {n} left out: {reason}" for reason, n in reasons.most_common())
    return found, [f"{name}: {len(found)} of its {len(trials)} trials are known here{why}"]


def _point(space: Space, params: Mapping[str, Any]) -> Params | None:
    """Return an earlier point as one of this space; knobs that are fixed in one of the two are taken for that value.

    Whether the two stand for the same training is told by their descriptions, not here.
    """
    shared = {name: value for name, value in params.items() if name in space.knobs}
    fixed = {name: knob.choices[0] for name, knob in space.knobs.items() if knob.is_fixed and name not in shared}
    return space.parse(shared) or space.parse({**shared, **fixed})


def _differing(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return the settings in which two trainings differ. How long a training of restarts lasts is none of them."""
    described = []
    for config in (theirs, ours):
        train = dict(config.get("train") or {})
        if train.get("schedule") == "sgdr":
            train.pop("epochs", None)  # its rungs don't depend on where it is cut off
        model = parse_network(config["model"]).model_dump(mode="json")
        described.append({**config, "model": model, "train": train})
    return differing_keys(described[0], described[1])
