"""Report content about models: selected candidate, all candidates, ensembles, scores by group, published systems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asc_models.ensemble import temper
from asc_models.metrics import log_loss
from asc_models.rules import QUANTITY_NAMES
from data_prep.wording import plural
from results.ensembles.ensemble import Ensemble
from results.published import PublishedSystem
from results.report.columns import Group, candidate_table, member_table, score_table, seed_table, system_table
from results.report.data import RunData
from results.report.text import Content, amount, interval, kilobytes, number, percent, size_text


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
    tiles = [
        _tile(
            "Macro accuracy, test",
            percent(metrics.value("test", "macro_accuracy")),
            f"95 % interval {interval(low, high)}, {plural(n_test, 'clip')}" if n_test else "no test predictions",
        ),
        _tile(
            "Log loss, test",
            number(metrics.value("test", "log_loss")),
            f"{data.scored_on} {number(metrics.value('validation', 'log_loss'))}{_calibrated_text(data, chosen.name)}; "
            f"on test, Brier score {number(metrics.value('test', 'brier_score'))}, ECE "
            f"{percent(metrics.value('test', 'calibration_error'))}",
        ),
        _tile(
            QUANTITY_NAMES[data.limit.quantity].capitalize(),
            size_text(data, size),
            f"{100 * share:.0f} % of the limit of {size_text(data, data.limit.limit)}",
            share,
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


def _calibrated_text(data: RunData, name: str) -> str:
    """Return the calibrated log loss of a system, and what its temperature makes of its test log loss."""
    found = data.calibrations.get(name)
    if found is None or found.temperature == 1.0:
        return ""
    text = f", calibrated {number(found.log_loss)}"
    if name in data.test:
        test = data.test[name]
        tempered = log_loss(test.labels, temper(test.probabilities, found.temperature))
        text += f"; with temperature {found.temperature:.2f}, test {number(tempered)}"
    return text


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


def _tile(label: str, value: str, detail: str, share: float | None = None) -> Content:
    return {"label": label, "value": value, "detail": detail, "share": share}


def candidates(data: RunData) -> Content | None:
    """Return the table of retrained candidates, None if there are none."""
    if not data.candidates:
        return None
    return candidate_table(data).content(["chosen" if one is data.selected else "" for one in data.candidates])


def seeds(data: RunData) -> Content | None:
    """Return the table of means and spreads over seeds, None if no candidate was trained with several seeds."""
    found = seed_table(data)
    return found.content() if found.rows else None


def ensemble_text(data: RunData, ensemble: Ensemble) -> Content:
    """Return a text with the ensemble's scores and a table of its members; for a single member, only a text."""
    test, validation = (ensemble.metrics.get(split, {}) for split in ("test", "validation"))
    spread = interval(*data.interval(ensemble.name))
    scores = (
        f"test accuracy {percent(test.get('macro_accuracy'))} (95 % interval {spread}), test log "
        f"loss {number(test.get('log_loss'))}, {data.scored_on} log loss {number(validation.get('log_loss'))}, "
        f"temperature {ensemble.temperature:.2f}."
    )
    outside = outside_sentence(ensemble)
    if ensemble.is_single:
        only = next(iter(ensemble.members))
        reason = f"adding any other candidate that fits does not lower the {data.scored_on} log loss"
        tempered = "" if ensemble.temperature == 1.0 else f" After temperature scaling: {scores}"
        return {"text": f"Only {only} was selected: {reason}.{tempered}{outside}", "table": None}
    limits = data.limits.rules.in_force()
    totals = ensemble.totals or {data.limit.quantity: ensemble.total_bytes}
    together = ", ".join(
        f"{amount(quantity, total)} of {amount(quantity, limits[quantity])}"
        for quantity, total in totals.items()
        if quantity in limits
    )
    text = f"{ensemble.name} of {len(ensemble.members)}, together {together}: {scores}{outside}"
    return {"text": text, "table": member_table(data, [ensemble]).content()}


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
        log_loss=metrics.value("test", "log_loss"),
        size=kilobytes(metrics.nonzero_weight_bytes),
        source="measured",
    )
    return replace(found, rows=[this_model, *found.rows]).content(["chosen"])
