"""Data of the interactive Pareto plot (pareto_view.js, drawn by Vega-Lite) and of the table of trials."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import pandas as pd

from asc_models.rules import QUANTITY_TITLES, Quantity
from data_prep.wording import printable
from results.candidates.candidates import Candidate
from results.candidates.seeds import SeedGroup, seed_groups
from results.ensembles.ensemble import Ensemble
from results.report.data import RunData

QUANTITIES: tuple[Quantity, ...] = (
    "nonzero_weight_bytes",
    "weight_bytes",
    "file_bytes",
    "macs",
    "n_params",
    "peak_activation_bytes",
)
"""Quantities that the horizontal axis can show, if a point has them."""
SCORES: dict[str, dict[str, Any]] = {
    "accuracy": {"title": "macro accuracy", "higher_is_better": True},
    "loss": {"title": "log loss of the files (nats)", "higher_is_better": False},
}
SCRIPTS = ("pareto_view.js", "trial_table.js")
N_NAMED = 12
"""Most retrained candidates and ensembles that have their names next to them; of more, only the submitted have."""
_TOOLTIP = (
    ("name", "name", ""),
    ("kind", "state", ""),
    ("slot", "submitted as", ""),
    ("accuracy", "macro accuracy", ".3f"),
    ("loss", "log loss of the file", ".3f"),
    ("epochs", "epochs", ""),
    *((quantity, QUANTITY_TITLES[quantity], ",") for quantity in QUANTITIES),
    ("settings", "settings", ""),
    ("reason", "why not trained", ""),
)


def pareto_view(data: RunData) -> dict[str, Any] | None:
    """Return what the page needs for the interactive plot; None if no point has a score.

    `axes` are the (name, title) pairs of the axes, `script` is the JavaScript without the library.
    """
    systems = [*_candidates(data), *_ensembles(data)]
    _name(systems, data)
    points = [*_trials(data), *systems]
    if not any("accuracy" in point for point in points):
        return None
    limits = {quantity: limit for quantity, limit in data.limits.rules.in_force().items() if quantity in QUANTITIES}
    used = [quantity for quantity in QUANTITIES if any(quantity in point for point in points)]
    first = data.limit.quantity if data.limit.quantity in used else used[0]
    titles = {quantity: QUANTITY_TITLES[quantity] for quantity in used}
    scores = {name: {**score, "title": f"{score['title']} {data.all_scored}"} for name, score in SCORES.items()}
    content = {
        "points": points,
        "limits": limits,
        "quantities": titles,
        "scores": scores,
        "tooltip": [entry for entry in _TOOLTIP if any(entry[0] in point for point in points)],
    }
    folder = resources.files("results.report")
    source = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    return {
        "x": [(quantity, titles[quantity]) for quantity in sorted(used, key=lambda one: one != first)],
        "y": [(name, score["title"]) for name, score in scores.items()],
        "script": f"const PARETO = {_inert_json(content)};\n{source}",
    }


def library() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed as one script without network access."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the stub lacks the default
    return f"(() => {{{bundle}}})();"


def _trials(data: RunData) -> Iterator[dict[str, Any]]:
    names = [name for name in data.trials.columns if name.startswith("param_")]
    for row in data.trials.to_dict("records"):
        state = str(row["state"])
        settings = ", ".join(f"{name.removeprefix('param_')} {row[name]}" for name in names if _known(row[name]))
        trial_id = str(row["trial_id"])
        yield _point(
            name=trial_id,
            kind=state,
            accuracy=None if state == "infeasible" else row["macro_accuracy"],
            loss=None if state == "infeasible" else row["log_loss"],
            epochs=row["epochs"],
            settings=settings,
            reason=row["reason"],
            command="" if state in ("infeasible", "failed") else f"asc retrain RUN --trial {shlex.quote(trial_id)}",
            **_sizes(row),
        )


def _candidates(data: RunData) -> Iterator[dict[str, Any]]:
    group_of = {member.name: group for group in seed_groups(data.candidates) for member in group.members}
    for candidate in data.candidates:
        metrics = candidate.metrics
        yield _point(
            name=candidate.name,
            kind="retrained",
            accuracy=metrics.value("validation", "macro_accuracy"),
            loss=metrics.value("validation", "log_loss"),
            epochs=metrics.epochs,
            command=_of_system(f"candidates/{candidate.name}"),
            **_sizes(vars(metrics)),
            **_span(group_of[candidate.name], candidate),
        )


def _name(systems: list[dict[str, Any]], data: RunData) -> None:
    """Add the submitted systems' slots, and the labels: names of all, if they are few, else of the submitted ones."""
    for point in systems:
        slot = data.submitted.get(point["name"], "")
        if slot:
            point["slot"] = slot
        if slot or len(systems) <= N_NAMED:
            point["label"] = point["name"]


def _span(group: SeedGroup, candidate: Candidate) -> dict[str, Any]:
    """Return the range of accuracy over seeds, at the first member of a group."""
    spread = group.scores.get(("validation", "macro_accuracy"))
    if spread is None or spread.sd is None or group.members[0] is not candidate:
        return {}
    return {"low": spread.low, "high": spread.high}


def _ensembles(data: RunData) -> Iterator[dict[str, Any]]:
    for ensemble in data.ensembles:
        if ensemble.is_single:
            continue
        scores = ensemble.metrics.get("validation", {})
        yield _point(
            name=ensemble.name,
            kind="ensemble",
            accuracy=scores.get("macro_accuracy"),
            loss=scores.get("log_loss"),
            settings=", ".join(f"{name} × {weight:.2f}" for name, weight in ensemble.members.items()),
            command=_ensemble_command(data, ensemble),
            **_sizes({**ensemble.totals, data.limit.quantity: ensemble.total_bytes}),
        )


def _of_system(path: str) -> str:
    """Return the commands for a folder or package of the run, one a line."""
    return "\n".join(f"asc {command} RUN/{shlex.quote(path)}" for command in ("describe", "bench"))


def _ensemble_command(data: RunData, ensemble: Ensemble) -> str:
    """Return the commands for an ensemble, one a line; none for one with other systems, which has no network."""
    if ensemble.outside:
        return ""
    packed = [_of_system(data.run.ensemble_package_path.name)] if data.run.ensemble_package_path.is_file() else []
    return "\n".join([*packed, "asc submit RUN"])


def _sizes(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the known quantities; before an export, no weight is known to be zero."""
    sizes: dict[str, Any] = {quantity: values.get(quantity) for quantity in QUANTITIES}
    if not _known(sizes["nonzero_weight_bytes"]):
        sizes["nonzero_weight_bytes"] = sizes["weight_bytes"]
    return sizes


def _point(**values: Any) -> dict[str, Any]:
    """Return the known values as plain types; text is made printable, commands are one a line."""
    plain = {key: value for key, value in values.items() if _known(value)}
    return {
        key: printable(value, keep="\n" if key == "command" else "") if isinstance(value, str) else _number(value)
        for key, value in plain.items()
    }


def _known(value: Any) -> bool:
    return value is not None and not (pd.api.types.is_scalar(value) and pd.isna(value)) and value != ""


def _number(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else round(number, 6)


def _inert_json(content: Any) -> str:
    """Return JSON that can stand inside a script element: no character of it can end the element."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
