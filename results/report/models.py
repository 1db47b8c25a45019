"""What the report says of models: the selected candidate, all candidates, ensembles, by scene, by device, published."""

from __future__ import annotations

import numpy as np

from data_prep.wording import plural
from results.candidates.seeds import SCORES, seed_groups
from results.ensemble import Ensemble
from results.published import CLASS_WISE_AVERAGE, SYSTEMS
from results.report.data import RunData
from results.report.tables import Group, group_table
from results.report.text import (
    QUANTITY_NAMES,
    Content,
    amount,
    count,
    interval,
    kilobytes,
    number,
    percent,
    size_text,
    table,
)


def nothing_selected(data: RunData) -> str:
    """Return why no candidate is selected."""
    if not data.candidates:
        return "Nothing is selected yet: no candidate has been retrained."
    return f"Nothing is selected: no candidate with validation scores is within {data.limits.text}."


def headline(data: RunData) -> Content | None:
    """Return the selected candidate's name and numbers, None where there is none."""
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
            f"validation {number(metrics.value('validation', 'log_loss'))}",
        ),
        _tile(
            QUANTITY_NAMES.get(data.limit.quantity, data.limit.quantity),
            size_text(data, size),
            f"{100 * share:.0f} % of the limit of {size_text(data, data.limit.limit)}",
            share,
        ),
        _tile(
            "Cost per clip",
            f"{metrics.macs / 1e6:,.1f} M",
            f"multiply–accumulates; file {kilobytes(metrics.file_bytes)}",
        ),
    ]
    others = len(data.candidates) - 1
    among = f"the best validation log loss of {plural(others + 1, 'candidate')}" if others else "the only candidate"
    how = f"{among}, measured as the exported file ({metrics.mode})."
    return {"name": chosen.name, "how": how, "tiles": tiles, "note": _better_ensemble(data)}


def _better_ensemble(data: RunData) -> str:
    """Return a sentence on the ensemble where validation prefers it to the selected candidate."""
    assert data.selected is not None
    alone = data.selected.metrics.value("validation", "log_loss")
    for ensemble in data.ensembles:
        loss = ensemble.metrics.get("validation", {}).get("log_loss", np.inf)
        if not ensemble.is_single and loss < alone:
            test, spread = ensemble.metrics.get("test", {}), interval(*data.interval(ensemble.name))
            return (
                f"Validation prefers the {ensemble.name} of {len(ensemble.members)} ({number(loss)} against "
                f"{number(alone)}): {size_text(data, ensemble.total_bytes)} together, test accuracy "
                f"{percent(test.get('macro_accuracy'))} (95 % {spread}), test log loss "
                f"{number(test.get('log_loss'))}."
            )
    return ""


def _tile(label: str, value: str, detail: str, share: float | None = None) -> Content:
    return {"label": label, "value": value, "detail": detail, "share": share}


def candidates(data: RunData) -> Content | None:
    """Return the table of retrained candidates, None where there are none."""
    if not data.candidates:
        return None
    columns = ["candidate", "validation log loss", "validation accuracy", "test accuracy", "95 % interval"]
    columns += ["test log loss", QUANTITY_NAMES[data.limit.quantity].lower(), "all weights", "file", "parameters"]
    columns += ["M MACs", "agreement", "best epoch"]
    several_modes = len({candidate.metrics.mode for candidate in data.candidates}) > 1  # else the headline has it
    columns += ["mode"] if several_modes else []
    rows = []
    for candidate in data.candidates:
        metrics, size = candidate.metrics, data.size(candidate)
        verdict = data.limits.verdict([metrics])
        over = dict.fromkeys(verdict.over, " (over)")
        rows.append(
            [
                candidate.name,
                number(metrics.value("validation", "log_loss")),
                percent(metrics.value("validation", "macro_accuracy")),
                percent(metrics.value("test", "macro_accuracy")),
                interval(*data.interval(candidate.name)),
                number(metrics.value("test", "log_loss")),
                size_text(data, size) + over.get(data.limit.quantity, ""),
                kilobytes(metrics.weight_bytes) + over.get("weight_bytes", ""),
                kilobytes(metrics.file_bytes) + over.get("file_bytes", ""),
                count(metrics.n_params) + over.get("n_params", ""),
                f"{metrics.macs / 1e6:,.1f}" + over.get("macs", ""),
                percent(metrics.agreement),
                f"{count(metrics.best_epoch)} of {metrics.epochs:,}",
                *([metrics.mode + (" (refused)" if verdict.refused else "")] if several_modes else []),
            ]
        )
    looks = ["chosen" if candidate is data.selected else "" for candidate in data.candidates]
    return table(columns, rows, text="mode", looks=looks)


def seeds(data: RunData) -> Content | None:
    """Return the table of means and spreads over seeds, None where no candidate was trained with several."""
    found = seed_groups(data.candidates)
    if all(len(group.members) == 1 for group in found):
        return None  # a single seed's spread would be a row of dashes beside the table of candidates
    columns = ["candidate", "seeds", QUANTITY_NAMES[data.limit.quantity].lower()]
    columns += ["validation accuracy", "validation log loss", "test accuracy", "test log loss"]
    rows = []
    for group in found:
        spreads = [(score, group.scores.get((split, score))) for split, score in SCORES]
        cells = ["–" if one is None else one.text(span=score == "macro_accuracy") for score, one in spreads]
        rows.append([group.name, str(len(group.members)), size_text(data, group.size(data.limit.quantity)), *cells])
    return table(columns, rows)


def ensemble_text(data: RunData, ensemble: Ensemble) -> Content:
    """Return an ensemble's scores in words and its members in a table; of one member, a sentence."""
    test, validation = (ensemble.metrics.get(split, {}) for split in ("test", "validation"))
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    spread = interval(*data.interval(ensemble.name))
    scores = (
        f"test accuracy {percent(test.get('macro_accuracy'))} (95 % interval {spread}), test log "
        f"loss {number(test.get('log_loss'))}, validation log loss {number(validation.get('log_loss'))}, temperature "
        f"{ensemble.temperature:.2f}."
    )
    if ensemble.is_single:
        only = next(iter(ensemble.members))
        beside = "no other that fits beside it lowers the validation log loss"
        tempered = "" if ensemble.temperature == 1.0 else f" Tempered, it has {scores}"
        return {"text": f"{only} alone was enough: {beside}.{tempered}", "table": None}
    limits = data.limits.rules.in_force()
    totals = ensemble.totals or {data.limit.quantity: ensemble.total_bytes}
    together = ", ".join(
        f"{amount(quantity, total)} of {amount(quantity, limits[quantity])}"
        for quantity, total in totals.items()
        if quantity in limits
    )
    text = f"{ensemble.name} of {len(ensemble.members)}, together {together}: {scores}"
    rows = [
        [name, percent(weight), size_text(data, sizes.get(name, np.nan))] for name, weight in ensemble.members.items()
    ]
    rows.append(["together", percent(1.0), size_text(data, ensemble.total_bytes)])
    looks = [""] * len(ensemble.members) + ["total"]
    columns = ["member", "weight", QUANTITY_NAMES[data.limit.quantity].lower()]
    return {"text": text, "table": table(columns, rows, looks=looks)}


def groups(data: RunData, group: Group) -> Content | None:
    """Return the table by scene or by device, published accuracies beside where they belong."""
    numbers = group_table(data, group)
    if numbers.empty or data.selected is None:
        return None
    own = [group, "n_clips", "macro_accuracy", "low", "high", "log_loss"]
    others = [str(column) for column in numbers.columns if column not in own]
    rows = [
        [
            str(entry[group]).replace("_", " "),
            count(entry["n_clips"]),
            percent(entry["macro_accuracy"]),
            interval(entry["low"], entry["high"]),
            number(entry["log_loss"]),
            *(percent(entry[column]) for column in others),
        ]
        for entry in numbers.to_dict("records")
    ]
    looks = [""] * len(rows)
    headings = [
        f"{column.removeprefix('published: ')} (published)" if column.startswith("published: ") else column
        for column in others
    ]
    if group == "scene" and data.has_published:
        chosen = data.selected.metrics
        low, high = data.interval(data.selected.name)
        last = ["average", count(numbers["n_clips"].sum()), percent(chosen.value("test", "macro_accuracy"))]
        last += [interval(low, high), number(chosen.value("test", "log_loss"))]
        average = {f"published: {name}": value / 100 for name, value in CLASS_WISE_AVERAGE.items()}
        tests = {name: predictions.summarize()["macro_accuracy"] for name, predictions in data.test.items()}
        rows.append(last + [percent({**tests, **average}.get(column)) for column in others])
        looks.append("total")
    return table([group, "clips", data.selected.name, "95 % interval", "log loss", *headings], rows, looks=looks)


def published(data: RunData) -> Content | None:
    """Return published systems below the selected candidate, None where the run is not on their scenes."""
    if not data.has_published:
        return None
    rows = []
    if data.selected is not None:
        metrics = data.selected.metrics
        rows.append(
            [
                f"{data.selected.name} (this run)",
                percent(metrics.value("test", "macro_accuracy")),
                number(metrics.value("test", "log_loss")),
                kilobytes(metrics.nonzero_weight_bytes),
                "measured",
            ]
        )
    looks = ["chosen"] * len(rows)
    rows += [[s.name, f"{s.macro_accuracy:.1f} %", number(s.log_loss), s.size or "–", s.source] for s in SYSTEMS]
    return table(["system", "accuracy", "log loss", "size", "source"], rows, text="source*", looks=looks)
