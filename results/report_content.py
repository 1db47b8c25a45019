"""What the report's page says, in words and rows; the template only lays it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data_prep import __version__
from data_prep.errors import DataError
from data_prep.files import read_json
from data_prep.manifest import MANIFEST_NAME, read_manifest
from results.ensemble import Ensemble
from results.published import CLASS_WISE_AVERAGE, SYSTEMS
from results.rundata import RunData
from results.tables import Group, group_table

Content = dict[str, Any]

QUANTITY_NAMES = {
    "nonzero_weight_bytes": "Non-zero weights",
    "weight_bytes": "Weights",
    "file_bytes": "File",
    "n_params": "Parameters",
}


def page_content(data: RunData) -> Content:
    """Return everything the template needs but the figures."""
    by_device, by_scene = _groups(data, "device"), _groups(data, "scene")
    content: Content = {
        "title": f"Scene classifiers for {_data_name(data)}",
        "subtitle": _subtitle(data),
        "headline": _headline(data),
        "nothing_selected": _nothing_selected(data),
        "pareto_note": (
            "Values are those of the exported files on validation. A trial counts with the last rung it finished, so "
            "that trials of few epochs stand below retrained candidates; crosses are proposals that were refused "
            "before training."
        ),
        "candidates": _candidates(data),
        "ensembles": [_ensemble(data, ensemble) for ensemble in data.ensembles],
        "by_device": by_device,
        "by_scene": by_scene,
        "published": _published(data),
        "search": _search(data),
        "data": _data(data),
        "limits": list(_limits(data)),
        "submission": _submission(data),
        "reproduce": _reproduce(data),
        "footer": f"asc {__version__}" + (f" · last event {data.events[-1]['time']}" if data.events else ""),
    }
    names = {
        **{"result": "Result", "size": "Pareto front", "candidates": "Candidates", "ensembles": "Ensembles"},
        **({"devices": "By device"} if by_device else {}),
        **({"scenes": "By scene"} if by_scene else {}),
        **({"published": "Published systems"} if content["published"] else {}),
        **{"search": "Search", "data": "Data", "limits": "Limits"},
        **({"submission": "Submission"} if content["submission"] else {}),
        "reproduce": "Reproduce",
    }
    return {**content, "sections": list(names.items())}


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: str = "", looks: Sequence[str] = ()
) -> Content:
    """Return a table as the template takes it.

    Args:
        columns: headings.
        rows: cells, already in words.
        text: headings of columns that hold text, separated by `|`; a heading that ends in `*` may wrap.
        looks: a class per row, `chosen` or `total`.
    """
    kinds = {name.rstrip("*"): "wrap" if name.endswith("*") else "text" for name in text.split("|")}
    return {
        "columns": [{"name": name, "text": kinds.get(name, "")} for name in columns],
        "rows": [
            {"cells": list(cells), "look": looks[number] if number < len(looks) else ""}
            for number, cells in enumerate(rows)
        ],
    }


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, a dash where there is none."""
    return "–" if share is None or pd.isna(share) else f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Return a score, a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def count(value: Any) -> str:
    """Return a whole number with thousands apart, a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{int(value):,}"


def kilobytes(value: float | None) -> str:
    """Return bytes as kB (1000 bytes)."""
    return "–" if value is None or pd.isna(value) else f"{value / 1000:,.1f} kB"


def _interval(low: float, high: float) -> str:
    return "–" if np.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"


def _size(data: RunData, value: float) -> str:
    return kilobytes(value) if data.limit.quantity.endswith("bytes") else count(value)


def _data_name(data: RunData) -> str:
    return str((data.config.get("data") or {}).get("name") or "an unnamed data set")


def _subtitle(data: RunData) -> str:
    limit = f"{data.limit.limit:,} {data.limit.quantity.replace('_', ' ')}"
    n = len(data.candidates)
    return f"Fold {_fold(data)} · at most {limit} ({data.limit.rule}) · {_n(n, 'retrained candidate')}"


def _fold(data: RunData) -> Any:
    return data.config.get("fold") or (data.config.get("data") or {}).get("fold") or 1


def _n(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def _nothing_selected(data: RunData) -> str:
    if not data.candidates:
        return "Nothing is selected yet: no candidate has been retrained."
    return f"Nothing is selected: no candidate with validation scores is within the limit of {data.limit.limit:,}."


def _headline(data: RunData) -> Content | None:
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
            f"95 % interval {_interval(low, high)}, {_n(n_test, 'clip')}" if n_test else "no test predictions",
        ),
        _tile(
            "Log loss, test",
            number(metrics.value("test", "log_loss")),
            f"validation {number(metrics.value('validation', 'log_loss'))}",
        ),
        _tile(
            QUANTITY_NAMES.get(data.limit.quantity, data.limit.quantity),
            _size(data, size),
            f"{100 * share:.0f} % of the limit of {_size(data, data.limit.limit)}",
            share,
        ),
        _tile(
            "Cost per clip",
            f"{metrics.macs / 1e6:,.1f} M",
            f"multiply–accumulates; file {kilobytes(metrics.file_bytes)}",
        ),
    ]
    others = len(data.candidates) - 1
    among = f"the best validation log loss of {_n(others + 1, 'candidate')}" if others else "the only candidate"
    return {"name": chosen.name, "how": f"{among}, measured as the exported file ({metrics.mode}).", "tiles": tiles}


def _tile(label: str, value: str, detail: str, share: float | None = None) -> Content:
    return {"label": label, "value": value, "detail": detail, "share": share}


def _candidates(data: RunData) -> Content | None:
    if not data.candidates:
        return None
    columns = ["candidate", "validation log loss", "validation accuracy", "test accuracy", "95 % interval"]
    columns += ["test log loss", QUANTITY_NAMES[data.limit.quantity].lower(), "all weights", "file", "parameters"]
    columns += ["M MACs", "mode", "agreement", "best epoch"]
    rows = []
    for candidate in data.candidates:
        metrics, size = candidate.metrics, data.size(candidate)
        over = "" if size <= data.limit.limit else " (over)"
        rows.append(
            [
                candidate.name,
                number(metrics.value("validation", "log_loss")),
                percent(metrics.value("validation", "macro_accuracy")),
                percent(metrics.value("test", "macro_accuracy")),
                _interval(*data.interval(candidate.name)),
                number(metrics.value("test", "log_loss")),
                f"{_size(data, size)}{over}",
                kilobytes(metrics.weight_bytes),
                kilobytes(metrics.file_bytes),
                count(metrics.n_params),
                f"{metrics.macs / 1e6:,.1f}",
                metrics.mode,
                percent(metrics.agreement),
                f"{count(metrics.best_epoch)} of {metrics.epochs:,}",
            ]
        )
    looks = ["chosen" if candidate is data.selected else "" for candidate in data.candidates]
    return table(columns, rows, text="mode", looks=looks)


def _ensemble(data: RunData, ensemble: Ensemble) -> Content:
    test, validation = (ensemble.metrics.get(split, {}) for split in ("test", "validation"))
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    interval = _interval(*data.interval(ensemble.name))
    scores = (
        f"test accuracy {percent(test.get('macro_accuracy'))} (95 % {interval}), test log "
        f"loss {number(test.get('log_loss'))}, validation log loss {number(validation.get('log_loss'))}, temperature "
        f"{ensemble.temperature:.2f}."
    )
    if ensemble.is_single:
        text = f"One member was enough: none that fits beside it lowers the validation log loss. It has {scores}"
    else:
        total, limit = _size(data, ensemble.total_bytes), _size(data, data.limit.limit)
        text = f"{ensemble.name} of {len(ensemble.members)}, together {total} of {limit}: {scores}"
    rows = [[name, percent(weight), _size(data, sizes.get(name, np.nan))] for name, weight in ensemble.members.items()]
    rows.append(["together", percent(1.0), _size(data, ensemble.total_bytes)])
    looks = [""] * len(ensemble.members) + ["total"]
    columns = ["member", "weight", QUANTITY_NAMES[data.limit.quantity].lower()]
    return {"text": text, "table": table(columns, rows, looks=looks)}


def _groups(data: RunData, group: Group) -> Content | None:
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
            _interval(entry["low"], entry["high"]),
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
        last += [_interval(low, high), number(chosen.value("test", "log_loss"))]
        average = {f"published: {name}": value / 100 for name, value in CLASS_WISE_AVERAGE.items()}
        tests = {name: predictions.summarize()["macro_accuracy"] for name, predictions in data.test.items()}
        rows.append(last + [percent({**tests, **average}.get(column)) for column in others])
        looks.append("total")
    return table([group, "clips", data.selected.name, "95 % interval", "log loss", *headings], rows, looks=looks)


def _published(data: RunData) -> Content | None:
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


def _search(data: RunData) -> Content:
    trials = data.trials
    n_infeasible = int((trials["state"] == "infeasible").sum())
    trained = trials[trials["state"] != "infeasible"]
    scored = trained[trained["macro_accuracy"].notna()]
    if trained.empty:
        over = f" All {n_infeasible:,} proposals were over the limit." if n_infeasible else ""
        return {"text": f"No trial was trained.{over}", "table": None, "best": None}
    epochs = int(trained["epochs"].fillna(0).sum())
    hours = float(trained["seconds"].fillna(0).sum()) / 3600
    text = (
        f"{_n(len(trained), 'trial')} trained for {_n(epochs, 'epoch')} together in {hours:.2f} trial hours; "
        f"{_n(n_infeasible, 'proposal')} over the limit, refused without training."
    )
    if scored.empty:
        return {"text": f"{text} No trial has finished a rung yet.", "table": None, "best": None}
    states = trials["state"].value_counts()
    state_rows = [[state, count(n)] for state, n in sorted(states.items())]
    best = scored.sort_values(["epochs", "macro_accuracy", "log_loss"], ascending=[False, False, True]).head(8)
    params = [str(name) for name in trials.columns if str(name).startswith("param_") and best[name].notna().any()]
    columns = ["trial", "state", "epochs", "accuracy", "log loss", "weight bytes"]
    rows = [
        [
            *(
                row["trial_id"],
                row["state"],
                count(row["epochs"]),
                percent(row["macro_accuracy"]),
                number(row["log_loss"]),
            ),
            count(row["weight_bytes"]),
            *("–" if pd.isna(row[name]) else str(row[name]) for name in params),
        ]
        for row in best.to_dict("records")
    ]
    headings = [*columns, *(name.removeprefix("param_").replace("_", " ") for name in params)]
    return {
        "text": text,
        "table": table(["state", "trials"], state_rows),
        "best": table(headings, rows, text="state"),
    }


def _data(data: RunData) -> Content:
    section = data.config.get("data") or {}
    features = (data.config.get("prepare") or {}).get("features") or {}
    facts = [["data set", _data_name(data)], ["manifest hash", str(section.get("manifest_hash", "–"))]]
    facts.append(["fold", str(_fold(data))])
    if data.classes:
        facts.append(["scenes", f"{len(data.classes)}: {', '.join(name.replace('_', ' ') for name in data.classes)}"])
    facts += [[name.replace("_", " "), str(value)] for name, value in features.items() if value is not None]
    return {"facts": table(["what", "value"], facts, text="value*"), "counts": _counts(data)}


def _counts(data: RunData) -> Content | None:
    """Return clips by split: of the manifest where the shards are at hand, else of the predictions."""
    if (data.run.shards_dir / MANIFEST_NAME).is_file():
        try:
            manifest = read_manifest(data.run.shards_dir)
        except DataError:
            manifest = None
        counts = manifest.counts.get(int(_fold(data)), {}) if manifest else {}
        if manifest and counts:
            rows = [[split, count(n)] for split, n in counts.items()]
            rows += [["quarantined", count(len(manifest.quarantine))], ["in no list", count(manifest.n_unlisted)]]
            return table(["split", "clips"], rows)
    if not data.candidates:
        return None
    splits = data.candidates[0].metrics.splits
    return table(["split", "clips"], [[split, count(entry.get("n_clips"))] for split, entry in splits.items()])


def _limits(data: RunData) -> Iterable[str]:
    if data.selected is not None and data.selected.name in data.test:
        clips = data.test[data.selected.name].clips
        n_places = int(clips["location"].nunique())
        low, high = data.interval(data.selected.name)
        yield (
            f"The test split has {_n(len(clips), 'clip')} of {_n(n_places, 'location')}. Clips of one location are not "
            f"independent, so the intervals draw whole locations; the selected candidate's is "
            f"{100 * (high - low):.1f} points wide. Systems whose intervals overlap are not told apart by this run."
        )
        yield "Intervals of single devices and scenes rest on few clips each."
    reads = [event for event in data.events if event["event"] == "test_read"]
    if reads:
        per = pd.Series([str(event.get("candidate")) for event in reads]).value_counts()
        often = ", ".join(f"{name} {n} times" for name, n in per.items() if n > 1)
        yield (
            f"The search never read the test split. The ledger holds {_n(len(reads), 'reading')} of it for "
            f"{_n(len(per), 'candidate')}" + (f"; more than once: {often}." if often else ", one each.")
        )
    yield (
        "Candidates and ensembles are chosen on validation log loss. The validation values of what was chosen are "
        "therefore too good; the test values are not, as long as nobody chooses by them."
    )
    seeds = {candidate.metrics.seed for candidate in data.candidates}
    if len(seeds) == 1:
        yield "Each candidate was trained with one seed: how much another seed would change is not in the intervals."
    if data.config.get("synth"):
        yield "The corpus is synthesized. It shows that the line runs, and says nothing about real recordings."


def _submission(data: RunData) -> Content | None:
    path = data.run.submission_dir / "summary.json"
    if not path.is_file():
        return None
    summary = read_json(path)
    rows = [
        [row["label"], row["system"], ", ".join(row["members"]), number(row["validation_log_loss"])]
        for row in summary["systems"]
    ]
    return {
        "text": f"{summary['package']}: {_n(len(rows), 'system')}, outputs on the {summary['packed_split']} split.",
        "notes": summary["notes"],
        "table": table(["label", "system", "members", "validation log loss"], rows, text="system|members*"),
    }


def _reproduce(data: RunData) -> Content:
    config = {key: value for key, value in data.config.items() if key not in {"data", "versions"}}
    versions = data.config.get("versions") or {}
    synth = bool(config.get("synth"))
    if synth:
        text = "The corpus is made by the command itself, from the section synth of the configuration."
        commands = ["asc demo --out RUN"]
    else:
        text = (
            f"Save the configuration below as config.yaml. DATASET is the folder of {_data_name(data)}; the manifest "
            "hash above tells whether it holds the same clips. Given again, the first command goes on where it stopped."
        )
        commands = ["asc run config.yaml --data DATASET --out RUN"]
    commands += [
        "asc status RUN      # how far it has come",
        "asc report RUN      # this page",
        "asc submit RUN      # the package",
    ]
    return {
        "text": text,
        "commands": "\n".join(commands),
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else "",
        "versions": table(["package", "version"], [[name, str(v)] for name, v in versions.items()])
        if versions
        else None,
    }
