"""`asc select`: the systems to submit, with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search.cli.options import JsonOption, RunArgument, SetOption, terminal
from search.cli.screen.outcome import limit_text

if TYPE_CHECKING:
    from asc_models.rules import Quantity
    from results.candidates.limits import SizeLimit
    from results.rundir import RunDirectory
    from results.submission.slots import Chosen
    from search.cli.screen.terminal import Terminal


def select(run: RunArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Choose up to four systems to submit, by validation, and say why; `asc submit` packs exactly these.

    Slots are submission.slots: the best by calibrated log loss, the best ensemble, the smallest not significantly worse
    than the best, and the most robust over devices. --set changes the run's configuration permanently and takes keys
    of the section submission. No test split is read.
    """
    from data_prep.errors import BudgetError
    from results.candidates.limits import read_limits
    from results.ledger.ledger import require_idle
    from results.rundir import RunDirectory
    from results.submission.slots import choose_systems
    from search.run_config import adjust_run, unless_refused

    directory, screen = RunDirectory(run), terminal()
    if overrides:
        require_idle(directory.ledger_path)
    with unless_refused(directory):
        config = adjust_run(directory, overrides or (), "select")
        limit = read_limits(directory.read_config()).main
        chosen = choose_systems(directory, config.submission)
        if not (chosen.choices or as_json):
            reasons = "".join(f"\n  {name}: {reason}" for name, reason in chosen.left_out.items())
            raise BudgetError(f"{run}: no retrained candidate can be submitted; run `asc retrain` first{reasons}")
        not_beaten = _not_beaten(directory, chosen)
    if as_json:
        screen.json(_as_json(chosen, limit.quantity, not_beaten))
        return
    _show(screen, chosen, limit)
    for sentence in not_beaten:
        screen.warn(sentence)


def _not_beaten(run: RunDirectory, chosen: Chosen) -> list[str]:
    """Return a sentence on each baseline of the run that the first chosen system does not beat on validation."""
    from results.baselines.baselines import differences_to, read_baselines, shortfalls
    from results.ensembles.calibration import calibrated, cross_fitted

    first = chosen.systems[0] if chosen.choices else None
    if first is None or first.validation is None:
        return []
    stored = [one for one in read_baselines(run) if one.has_predictions("validation")]
    baselines = {one.name: calibrated(one.predictions("validation")).get("validation") for one in stored}
    labelled = {name: predictions for name, predictions in baselines.items() if predictions is not None}
    return shortfalls(differences_to(first.name, cross_fitted(first.validation), labelled), "validation")


def _as_json(chosen: Chosen, quantity: Quantity, not_beaten: Sequence[str]) -> dict[str, Any]:
    return {
        "systems": [
            {
                "slot": choice.slot,
                "system": choice.system.name,
                "members": sorted(choice.system.distinct),
                quantity: choice.system.size,
                "temperature": choice.system.temperature,
                "validation_log_loss": choice.system.validation_log_loss,
                "reason": choice.reason,
            }
            for choice in chosen.choices
        ],
        "left_out": chosen.left_out,
        "unfilled": chosen.unfilled,
        "baselines_not_beaten": not_beaten,
    }


def _show(screen: Terminal, chosen: Chosen, limit: SizeLimit) -> None:
    """Print the systems to submit, why each was chosen, and why others were not."""
    from asc_models.rules import QUANTITY_NAMES
    from results.config import SLOT_MEANINGS

    columns = ("#", "slot", "system", QUANTITY_NAMES[limit.quantity], "temperature", "log loss")
    rows = [
        (number, one.slot, one.system.name, one.system.size, one.system.temperature, one.system.validation_log_loss)
        for number, one in enumerate(chosen.choices, start=1)
    ]
    screen.table("Systems to submit", columns, rows)
    scored = chosen.systems[0].scored if chosen.systems else "on validation"
    screen.say(f"{limit_text(limit)}; log loss in nats {scored}, calibrated on other locations")
    for number, choice in enumerate(chosen.choices, start=1):
        bound = " Its temperature is at the bound of the fit." if choice.system.calibration.is_at_bound else ""
        screen.say(f"{number}. {choice.system.name}: {choice.reason}{bound}")
    used = {*(choice.slot for choice in chosen.choices), *chosen.unfilled}
    meanings = [f"{slot}: {meaning}" for slot, meaning in SLOT_MEANINGS.items() if slot in used]
    screen.say(f"Slots: {'; '.join(meanings)}.")
    for slot, reason in chosen.unfilled.items():
        screen.say(f"Slot {slot}: {reason}")
    for name, reason in chosen.left_out.items():
        screen.say(f"Not chosen: {name}, {reason}.")
