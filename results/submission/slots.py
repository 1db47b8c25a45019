"""Choice of the systems to submit: one per slot, each for its own reason, none chosen on test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from asc_models.metrics import by_group
from asc_models.rules import QUANTITY_TITLES
from data_prep.errors import DataError
from results.candidates.candidates import Candidate
from results.candidates.differences import mean_loss_difference
from results.candidates.limits import Limits, read_limits
from results.config import Slot, SubmissionConfig
from results.ensembles.calibration import cross_fitted, locations_of
from results.rundir import RunDirectory
from results.submission.systems import System, rank_systems

MIN_DEVICE_CLIPS = 10
"""Devices with fewer validation clips are not compared."""
NOT_FILLED: dict[str, str] = {
    "best": "no system has validation scores",
    "ensemble": "no ensemble of several members was selected",
    "smallest": "every smaller system is significantly worse than the best",
    "robust": f"fewer than two devices have {MIN_DEVICE_CLIPS} clips that systems are compared on",
}
"""{slot: reason if no system fills it}."""


@dataclass(frozen=True)
class Choice:
    """One chosen system."""

    slot: Slot
    system: System
    reason: str
    """Why it was chosen, as a sentence."""


@dataclass(frozen=True)
class Chosen:
    """The systems to submit, in the order of their slots, and why others are not among them."""

    choices: tuple[Choice, ...]
    left_out: dict[str, str]
    """{system: reason}."""

    unfilled: dict[str, str] = field(default_factory=dict)
    """{slot: why its own system has it not}, of the slots of the configuration."""

    @property
    def systems(self) -> list[System]:
        """The chosen systems."""
        return [choice.system for choice in self.choices]

    @property
    def members(self) -> list[Candidate]:
        """The distinct candidates of the chosen systems."""
        return list({member.name: member for system in self.systems for member in system.members}.values())


def choose_systems(run: RunDirectory, config: SubmissionConfig) -> Chosen:
    """Return the systems for the slots of `config`, at most `config.max_systems`.

    - `best`: the lowest calibrated log loss on validation.
    - `ensemble`: the best ensemble of several members.
    - `smallest`: the smallest system not significantly worse than the best: the 95 % interval of their paired
      difference in log loss, over locations, contains 0.
    - `robust`: the lowest calibrated log loss on its worst device.

    A slot whose system has been chosen already, or that no system fills, goes to the next best system. No choice reads
    the test split.
    """
    limits = read_limits(run.read_config())
    ranked, left_out = rank_systems(run, limits)
    choices: list[Choice] = []
    fillers: dict[Slot, Callable[[Sequence[System], Limits], tuple[System, str] | None]] = {
        "best": _best,
        "ensemble": _ensemble,
        "smallest": _smallest,
        "robust": _robust,
    }
    unfilled: dict[str, str] = {}
    for slot in config.slots[: config.max_systems]:
        found = fillers[slot](ranked, limits) if slot in fillers else None
        if found is not None and found[0] not in _systems(choices):
            choices.append(Choice(slot, *found))
        elif found is not None:
            unfilled[slot] = f"its system, {found[0].name}, has another slot"
        elif slot in NOT_FILLED:
            unfilled[slot] = NOT_FILLED[slot]
    for system in ranked:
        if len(choices) < config.max_systems and system not in _systems(choices):
            is_asked = len([one for one in choices if one.slot == "next"]) < config.slots.count("next")
            choices.append(Choice("next", system, _next_reason(system, ranked, is_asked=is_asked)))
    chosen = _systems(choices)
    left_out |= {
        system.name: f"number {rank} by calibrated log loss ({system.validation_log_loss:.3f}), and all slots are taken"
        for rank, system in enumerate(ranked, start=1)
        if system not in chosen
    }
    return Chosen(tuple(choices), left_out, unfilled)


def loss_difference(system: System, other: System) -> tuple[float, float, float]:
    """Return the mean difference of two systems' validation log losses, and its 95 % interval over locations.

    Raises:
        DataError: if a system has no validation predictions, or they are of different clips.
    """
    if system.validation is None or other.validation is None:
        raise DataError(f"{system.name} and {other.name}: validation predictions are missing; rerun `asc retrain`")
    clip_ids, other_ids = (
        one.validation.clips["clip_id"].tolist() for one in (system, other) if one.validation is not None
    )
    row_of = {clip_id: row for row, clip_id in enumerate(other_ids)}
    if set(row_of) != set(clip_ids):
        raise DataError(f"{system.name} and {other.name}: have validation predictions of different clips")
    differences = system.losses() - other.losses()[[row_of[clip_id] for clip_id in clip_ids]]
    return mean_loss_difference(differences, locations_of(system.validation))


def worst_device(system: System) -> tuple[str, float] | None:
    """Return the device with the highest validation log loss, and this loss; None if fewer than two can be compared."""
    if system.validation is None:
        return None
    predictions = cross_fitted(system.validation)
    devices = by_group(predictions.labels, predictions.probabilities, predictions.clips["device"].tolist())
    losses = {name: scores["log_loss"] for name, scores in devices.items() if scores["n_clips"] >= MIN_DEVICE_CLIPS}
    if len(losses) < 2:
        return None
    return max(losses.items(), key=lambda item: item[1])


def _systems(choices: Sequence[Choice]) -> list[System]:
    return [choice.system for choice in choices]


def _best(ranked: Sequence[System], _: Limits) -> tuple[System, str] | None:
    if not ranked:
        return None
    return ranked[0], f"It has the lowest calibrated log loss {ranked[0].scored} ({ranked[0].validation_log_loss:.3f})."


def _ensemble(ranked: Sequence[System], _: Limits) -> tuple[System, str] | None:
    for system in ranked:
        if system.ensemble is not None and not system.ensemble.is_single:
            gain = system.ensemble.gain
            held = (
                "; on locations that it was not selected on, its log loss differs from that of the best single "
                f"network by {gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})"
                if gain
                else ""
            )
            return system, f"It is the best ensemble ({len(system.members)} members){held}."
    return None


def _next_reason(system: System, ranked: Sequence[System], *, is_asked: bool) -> str:
    """Return why a system fills a place: its rank, and its difference to the best if both have predictions.

    Args:
        system: the system.
        ranked: all systems, best first.
        is_asked: whether the slot `next` is configured; else the place is one that another slot left.
    """
    rank, best = ranked.index(system) + 1, ranked[0]
    why = "" if is_asked else "It fills a place that another slot left empty. "
    reason = f"{why}It is number {rank} by calibrated log loss ({system.validation_log_loss:.3f})"
    if system is best or system.validation is None or best.validation is None:
        return f"{reason}."
    mean, low, high = loss_difference(system, best)
    verdict = "not significantly worse than the best" if low <= 0 else "significantly worse than the best"
    return f"{reason}, {verdict}: log loss differs by {mean:+.3f} ({low:+.3f} to {high:+.3f})."


def _smallest(ranked: Sequence[System], limits: Limits) -> tuple[System, str] | None:
    for system in sorted(_comparable(ranked), key=lambda one: (one.size, one.validation_log_loss)):
        if system is ranked[0]:
            return None  # everything smaller is worse
        mean, low, high = loss_difference(system, ranked[0])
        if low <= 0:
            size = f"{system.size:,} {QUANTITY_TITLES[limits.main.quantity]}"
            return system, (
                f"It is the smallest ({size}) not significantly worse than the best: log loss differs by {mean:+.3f} "
                f"({low:+.3f} to {high:+.3f})."
            )
    return None


def _robust(ranked: Sequence[System], _: Limits) -> tuple[System, str] | None:
    worst = [(found[1], found[0], system) for system in ranked if (found := worst_device(system)) is not None]
    if not worst:
        return None
    loss, device, system = min(worst, key=lambda item: item[0])
    return system, f"It has the lowest calibrated log loss on its worst device ({loss:.3f} on {device})."


def _comparable(ranked: Sequence[System]) -> Iterator[System]:
    """Yield the systems with validation predictions; none if the best has none."""
    if ranked and ranked[0].validation is not None:
        yield from (system for system in ranked if system.validation is not None)
