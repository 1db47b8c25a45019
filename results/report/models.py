"""Report content about models: selected candidate, all candidates, ensembles, scores by group, published systems."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from asc_models.metrics import log_loss
from asc_models.rules import QUANTITY_NAMES, QUANTITY_TITLES
from data_prep.wording import plural
from results.candidates.candidates import Candidate
from results.ensembles.ensemble import Ensemble
from results.published import PublishedSystem
from results.report.data import RunData
from results.report.tables.candidates import candidate_table
from results.report.tables.ensembles import member_table, method_table
from results.report.tables.groups import Group, score_table
from results.report.tables.published import system_table
from results.report.tables.seeds import seed_table
from results.report.text import Content, amount, interval, kilobytes, number, percent, size_text

DETAILS = (
    *("candidate", "temperature", "validation_log_loss", "test_log_loss", "weight_bytes", "quantization_bytes"),
    *("file_bytes", "ms_per_clip", "agreement", "float_validation_log_loss", "float_test_log_loss"),
)
"""Columns of `candidate_table` that few readers need."""


def nothing_selected(data: RunData) -> str:
    """Return a sentence that says why no candidate is selected."""
    if not data.candidates:
        return "No candidate is selected: none has been retrained yet."
    return f"No candidate is selected: none with validation scores is within {data.limits.text}."


def headline(data: RunData) -> Content | None:
    """Return the name and key figures of the selected candidate, None if there is none."""
    chosen = data.selected
    if chosen is None:
        return None
    metrics, size = chosen.metrics, data.size(chosen)
    low, high = data.interval(chosen.name)
    n_test = len(data.test[chosen.name].clips) if chosen.name in data.test else 0
    share = size / data.limit.limit
    packed: dict[str, Any] = data.packed_test(chosen.name).summarize() if n_test else metrics.splits.get("test", {})
    tiles = [
        _tile(
            "Macro accuracy, test",
            percent(metrics.value("test", "macro_accuracy")),
            f"95 % interval {interval(low, high)}, {plural(n_test, 'clip')}" if n_test else "no test predictions",
        ),
        _tile(
            "Log loss, test",
            number(packed.get("log_loss")),
            *_temperature_text(data, chosen),
            _validation_text(data, chosen),
            f"Brier score {number(packed.get('brier_score'))}, ECE {percent(packed.get('calibration_error'))}",
        ),
        _tile(
            QUANTITY_TITLES[data.limit.quantity].capitalize(),
            size_text(data, size),
            f"{100 * share:.0f} % of the limit of {size_text(data, data.limit.limit)}",
            share=share,
        ),
        _tile(
            "Cost per clip",
            f"{metrics.macs / 1e6:,.1f} M",
            f"{QUANTITY_NAMES['macs']}; file {kilobytes(metrics.file_bytes)}",
        ),
    ]
    others = len(data.candidates) - 1
    among = (
        f"the best calibrated {data.scored_on} log loss of {plural(others + 1, 'candidate')}"
        if others
        else "the only candidate"
    )
    how = f"{among}, measured as the exported file ({metrics.mode})."
    return {"name": chosen.name, "how": how, "tiles": tiles, "note": _better_ensemble(data)}


def _temperature_text(data: RunData, chosen: Candidate) -> list[str]:
    """Return that the test scores are with the temperature that the candidate is packed with, [] without one."""
    temperature = data.temperature(chosen.name)
    if temperature == 1.0 or chosen.name not in data.test:
        return []
    test = data.test[chosen.name]
    plain = number(log_loss(test.labels, test.probabilities))
    return [f"as packed, with temperature {temperature:.2f}; the file without it: {plain}"]


def _validation_text(data: RunData, chosen: Candidate) -> str:
    """Return the validation log loss, calibrated and of the file."""
    plain = number(chosen.metrics.value("validation", "log_loss"))
    found = data.calibrations.get(chosen.name)
    if found is None or found.temperature == 1.0:
        return f"{data.scored_on} log loss {plain}"
    return f"calibrated {data.scored_on} log loss {number(found.log_loss)}; the file's: {plain}"


def _better_ensemble(data: RunData) -> str:
    """Return a sentence about the ensemble if its calibrated log loss is lower than the selected candidate's."""
    assert data.selected is not None
    if data.selected.name not in data.calibrations:
        return ""
    alone = data.calibrations[data.selected.name].log_loss
    for ensemble in data.ensembles:
        loss = data.calibrations[ensemble.name].log_loss if ensemble.name in data.calibrations else np.inf
        if not ensemble.is_single and loss < alone:
            test, spread = ensemble.metrics.get("test", {}), interval(*data.interval(ensemble.name))
            return (
                f"The {ensemble.name} of {len(ensemble.members)} has a lower calibrated {data.scored_on} log loss "
                f"({number(loss)} against {number(alone)}): {size_text(data, ensemble.total_bytes)} together, test "
                f"accuracy {percent(test.get('macro_accuracy'))} (95 % {spread}), test log loss "
                f"{number(test.get('log_loss'))}."
            )
    return ""


def _tile(label: str, value: str, *details: str, share: float | None = None) -> Content:
    return {"label": label, "value": value, "details": details, "share": share}


def candidates(data: RunData) -> Content | None:
    """Return the table of retrained candidates, None if there are none."""
    if not data.candidates:
        return None
    return candidate_table(data).content(["chosen" if one is data.selected else "" for one in data.candidates])


def details(data: RunData) -> Content | None:
    """Return the table of what else is known of the candidates, None if there are none."""
    if not data.candidates:
        return None
    found = replace(candidate_table(data), page=DETAILS)
    as_file = {
        "validation_log_loss": f"{data.scored_on} log loss of the file",
        "test_log_loss": "test log loss of the file",
    }
    columns = [replace(column, heading=as_file.get(column.name, column.heading)) for column in found.columns]
    return replace(found, columns=columns).content()


def kept_epoch(data: RunData) -> str:
    """Return a sentence about the epoch whose weights a candidate has."""
    retrain = data.config.get("retrain") or {}
    if retrain.get("all_clips"):
        return "Epoch kept: the last, or the last of those that were averaged."
    checkpoint = str(retrain.get("checkpoint") or "macro_accuracy").replace("_", " ")
    return f"Best epoch: by the network's validation {checkpoint}."


def seeds(data: RunData) -> Content | None:
    """Return the table of means and spreads over seeds, None if no candidate was trained with several seeds."""
    found = seed_table(data)
    return found.content() if found.rows else None


def ensemble_text(data: RunData, ensemble: Ensemble) -> Content:
    """Return a text with the ensemble's scores, a table of its members if it has several, and one of the methods."""
    name = next(iter(ensemble.members)) if ensemble.is_single else ensemble.name
    test = ensemble.metrics.get("test", {})
    scores = (
        f"{_ensemble_loss(data, ensemble, name)}test accuracy {percent(test.get('macro_accuracy'))} "
        f"(95 % interval {interval(*data.interval(name))}), test log loss {number(test.get('log_loss'))} with "
        f"temperature {ensemble.temperature:.2f}."
    )
    outside = outside_sentence(ensemble)
    content: Content = {"name": ensemble.name, "table": None, "methods": None, "methods_note": ""}
    if ensemble.held_out:
        methods = method_table([ensemble], data.limit.quantity)
        content |= {
            "methods": methods.content(["chosen" if method == ensemble.method else "" for _, method in methods.rows]),
            "methods_note": _methods_note(data, ensemble),
        }
    if ensemble.is_single:
        reason = f"adding any other candidate that fits does not lower the {data.scored_on} log loss"
        return {**content, "text": f"Only {name} was selected: {reason}. {name}: {scores}{outside}"}
    limits = data.limits.rules.in_force()
    totals = ensemble.totals or {data.limit.quantity: ensemble.total_bytes}
    together = ", ".join(
        f"{amount(quantity, total)} of {amount(quantity, limits[quantity])}"
        for quantity, total in totals.items()
        if quantity in limits
    )
    text = f"{ensemble.name} of {len(ensemble.members)}, together {together}: {scores}{outside}"
    return {**content, "text": text, "table": member_table(data, [ensemble]).content()}


def _ensemble_loss(data: RunData, ensemble: Ensemble, name: str) -> str:
    """Return the log loss on locations that nothing was fitted on; without it, the calibrated one, saying which."""
    if ensemble.method in ensemble.held_out:
        return f"{data.scored_on} log loss {number(ensemble.held_out[ensemble.method])} on held-out locations, "
    if name not in data.calibrations:
        return ""
    return f"calibrated {data.scored_on} log loss {number(data.calibrations[name].log_loss)}, "


def _methods_note(data: RunData, ensemble: Ensemble) -> str:
    """Return what the table of methods compares."""
    note = (
        f"Log loss of {data.scored_on} predictions on held-out locations: each part of the locations with members, "
        "weights and temperature selected on the others. The method with the lowest is used on all."
    )
    fitted = ensemble.metrics.get("validation", {}).get("log_loss")
    if fitted is not None:
        note += f" On the clips that members and temperature were selected on, its log loss is {number(fitted)}."
    return note


def outside_sentence(ensemble: Ensemble) -> str:
    """Return a sentence about members that are other systems, after a blank; "" if there are none."""
    if not ensemble.outside:
        return ""
    named = ", ".join(f"{name} ({n_bytes:,} bytes as stated)" for name, n_bytes in ensemble.outside.items())
    return f" Other systems: {named}. It can't be packed into a submission: there is no network of them."


def groups(data: RunData, group: Group) -> Content | None:
    """Return the table by scene or by device, with published accuracies if comparable."""
    found = score_table(data, group)
    return found.content() if found.rows else None


def published(data: RunData) -> Content | None:
    """Return the table of the selected candidate and the published systems, None if they are not comparable."""
    if not data.has_published:
        return None
    found = system_table(data)
    if data.selected is None:
        return found.content()
    metrics = data.selected.metrics
    this_model = PublishedSystem(
        name=f"{data.selected.name} (this run)",
        macro_accuracy=100 * metrics.value("test", "macro_accuracy"),
        log_loss=_packed_log_loss(data, data.selected),
        size=kilobytes(metrics.nonzero_weight_bytes),
        source="measured",
    )
    return replace(found, rows=[this_model, *found.rows]).content(["chosen"])


def _packed_log_loss(data: RunData, chosen: Candidate) -> float:
    """Return the test log loss with the temperature, without stored predictions that of the file."""
    if chosen.name not in data.test:
        return chosen.metrics.value("test", "log_loss")
    test = data.packed_test(chosen.name)
    return log_loss(test.labels, test.probabilities)
