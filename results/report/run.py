"""Report content about the run: search, data, limitations, submission package, and how to reproduce it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from data_prep.errors import DataError
from data_prep.files.files import read_json
from data_prep.files.yaml_file import to_yaml
from data_prep.shards.manifest import MANIFEST_NAME, read_manifest
from data_prep.wording import plural, shortened
from results.candidates.predictions import Predictions
from results.candidates.seeds import seed_groups
from results.config import SLOT_MEANINGS
from results.ledger.events import STATES, of_kind
from results.ledger.failures import failures
from results.ledger.progress import summarize_search
from results.ledger.trials import ranked_trials
from results.report.data import RunData, drawn_units
from results.report.tables.clips import clip_table
from results.report.tables.packed import packed_differences, packed_rows, packed_table
from results.report.tables.ties import difference_table
from results.report.tables.trials import trial_table
from results.report.text import (
    Content,
    count,
    data_name,
    fold_of,
    setting,
    table,
)
from results.rundir import NOTES

N_FAILED = 20
"""Most failures that the report lists."""


def search_text(data: RunData) -> Content:
    """Return a summary of the search and the best trials, finished ones first."""
    trials = data.trials
    n_infeasible = int((trials["state"] == "infeasible").sum())
    trained = trials[trials["state"] != "infeasible"]
    best = ranked_trials(trained).head(8)
    failed = _failed(data)
    if trained.empty:
        over = f" All {n_infeasible:,} proposals were over the limit." if n_infeasible else ""
        return {"text": f"No trial was trained.{over}", "table": None, "best": None, "shared": "", "failed": failed}
    progress = summarize_search(data.events)
    hours = float(trained["seconds"].fillna(0).sum()) / 3600
    text = (
        f"{plural(len(trained), 'trial')} trained for {plural(progress.epochs, 'epoch')} in total, in {hours:.2f} "
        f"trial hours; {plural(n_infeasible, 'proposal')} over the limit, not trained."
    )
    if data.n_parts:
        n_networks = ", ".join(f"{rung.folds} at epoch {rung.epochs}" for rung in progress.rungs)
        text += (
            f" Trials are scored out of fold, by networks that were each trained without one of {data.n_parts} parts "
            f"of train and validation and predict that part: {n_networks}. Epochs are those of all networks."
        )
    if best.empty:
        text += " No trial has finished a rung yet."
        return {"text": text, "table": None, "best": None, "shared": "", "failed": failed}
    states = trials["state"].value_counts()
    if n_paused := int(states.get("paused", 0)):
        text += (
            f" {plural(n_paused, 'trial')} paused before the last rung: unfinished, not on the front; a later search "
            "may continue them."
        )
    state_rows = [[state, count(states[state])] for state in STATES if state in states]
    return {"text": text, "table": table(["state", "trials"], state_rows), "failed": failed, **_best(best)}


def _failed(data: RunData) -> Content | None:
    """Return the table of failed trials and retrainings with their reasons, None if there are none."""
    failed = failures(data.events)
    if not failed:
        return None
    rows = [[name, shortened(reason, 300)] for name, reason in list(failed.items())[:N_FAILED]]
    return table(["failed", "reason"], rows, text="failed|reason*")


def _best(best: pd.DataFrame) -> Content:
    """Return the table of some trials with the parameters in which they differ, and a sentence with the others."""
    trials = trial_table(best)
    settings = [column for column in trials.columns if column.name.startswith("param_")]
    values = {column.name: [column.cell(row) for row in trials.rows] for column in settings}
    same = [column for column in settings if len(best) > 1 and len(set(values[column.name])) == 1]
    shared = ", ".join(f"{column.title} {values[column.name][0]}" for column in same)
    page = [column.name for column in trials.columns if column not in same]
    return {
        "best": replace(trials, page=page).content(),
        "shared": f"Equal in all of these: {shared}." if shared else "",
    }


def data_facts(data: RunData) -> Content:
    """Return the name, hash and feature settings of the data set, and the number of clips per split."""
    section = data.config.get("data") or {}
    features = (data.config.get("prepare") or {}).get("features") or {}
    facts = [["data set", data_name(data)], ["manifest hash", str(section.get("manifest_hash", "–"))]]
    facts.append(["fold", str(fold_of(data))])
    if data.classes:
        facts.append(["scenes", f"{len(data.classes)}: {', '.join(name.replace('_', ' ') for name in data.classes)}"])
    facts += [[name.replace("_", " "), setting(value)] for name, value in features.items() if value is not None]
    found = clip_table(data)
    parts = found.content(["total"]) if found.rows else None
    return {"facts": table(["what", "value"], facts, text="value*"), "counts": _counts(data), "clips": parts}


def _counts(data: RunData) -> Content | None:
    """Return the number of clips per split, from the manifest if the shards are available, else from the metrics."""
    if (data.run.shards_dir / MANIFEST_NAME).is_file():
        try:
            manifest = read_manifest(data.run.shards_dir)
        except DataError:
            manifest = None
        counts = manifest.counts.get(int(fold_of(data)), {}) if manifest else {}
        if manifest and counts:
            rows = [[split, count(n)] for split, n in counts.items()]
            rows += [["quarantined", count(len(manifest.quarantine))], ["in no list", count(manifest.n_unlisted)]]
            return table(["split", "clips"], rows)
    if not data.candidates:
        return None
    splits = data.candidates[0].metrics.splits
    return table(["split", "clips"], [[split, count(entry.get("n_clips"))] for split, entry in splits.items()])


def limits(data: RunData) -> Iterable[str]:
    """Yield sentences about the limitations of the run's evidence."""
    if data.selected is not None and data.selected.name in data.test:
        low, high = data.interval(data.selected.name)
        yield (
            f"{_what_was_drawn(data.test[data.selected.name])}; the selected candidate's is {100 * (high - low):.1f} "
            "points wide. Compare systems by their paired differences, not by whether intervals overlap."
        )
        yield (
            "Intervals of single scenes and devices are Wilson's, because resampling few clips without an error gives "
            "no interval. Clips of one location count as fewer independent ones, by the correlation of errors within "
            "locations. If every clip is right, the interval of all is Wilson's, too, with each location as one clip."
        )
    reads = [event for event in of_kind(data.events, "test_read") if event["split"] == "test"]
    if reads:
        per = pd.Series([str(event.get("candidate")) for event in reads]).value_counts()
        often = ", ".join(f"{name} {n} times" for name, n in per.items() if n > 1)
        yield (
            f"The search never read the test split. The ledger records {plural(len(reads), 'read')} of it for "
            f"{plural(len(per), 'candidate')}"
            + (f"; again after an interruption: {often}." if often else ", once each.")
        )
    yield (
        f"Candidates and ensembles are chosen on calibrated {data.scored_on} log loss. These scores are therefore "
        "optimistic. Their test scores are not, unless they are used for selection."
    )
    groups = seed_groups(data.candidates)
    if groups and all(len(group.members) == 1 for group in groups):
        yield "Each candidate was trained with one seed. The intervals do not include the variation between seeds."
    if data.config.get("synth"):
        yield "The corpus is synthesized. It shows that all stages run; its scores do not apply to real recordings."


def _what_was_drawn(test: Predictions) -> str:
    """Return a sentence, without a full stop, about the size of the test split and what its intervals resample."""
    n_locations, n_unknown = int(test.clips["location"].nunique()), int(test.clips["location"].isna().sum())
    split = f"The test split has {plural(len(test.clips), 'clip')}"
    drawn = drawn_units(test)
    if drawn == "locations":
        return (
            f"{split} of {plural(n_locations, 'location')}. Clips of one location are not independent, so the "
            "intervals resample whole locations"
        )
    which = f", {n_unknown:,} of them" if n_locations else ""
    return (
        f"{split}{which} without a known location, so the intervals resample {drawn}. Clips of one location are not "
        "independent: if clips share an unknown location, the intervals are too narrow"
    )


def submission_text(data: RunData) -> Content | None:
    """Return a summary of the submission package, None if there is none."""
    path = data.run.submission_summary_path
    if not path.is_file():
        return None
    summary = read_json(path)
    try:
        rows = packed_rows(data)
        differences = packed_differences(data, rows)
        left_out = [f"Slot {slot}: {reason}." for slot, reason in summary.get("unfilled", {}).items()]
        left_out += [f"Not packed: {name}, {reason}." for name, reason in summary.get("left_out", {}).items()]
        used = {str(row.get("slot", "")) for row in rows} | set(summary.get("unfilled", {}))
        name = summary["package"] + (" (draft)" if summary.get("draft") else "")
        return {
            "text": f"{name}: {plural(len(rows), 'system')}, outputs on the {summary['packed_split']} split.",
            "notes": [*map(str, summary["notes"]), *left_out],
            "table": packed_table(data, rows).content(),
            "reasons": [(f"{row['label']} ({row['system']})", row["reason"]) for row in rows if row.get("reason")],
            "differences": difference_table(differences).content() if differences else None,
            "slots": [f"{slot}: {SLOT_MEANINGS[slot]}" for slot in SLOT_MEANINGS if slot in used],
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error!r}); rerun `asc submit`") from None


def reproduce(data: RunData) -> Content:
    """Return the commands and configuration that reproduce the run, package versions and machine."""
    config = {key: value for key, value in data.config.items() if key not in NOTES}
    versions, machine = data.config.get("versions") or {}, data.config.get("machine") or {}
    synth = bool(config.get("synth"))
    if synth:
        text = "The command synthesizes the corpus from the section `synth` of the configuration."
        commands = ["asc demo --out RUN"]
    else:
        text = (
            f"Save the configuration below as config.yaml. DATASET is the folder of {data_name(data)}; if its clips "
            "are the same, so is the manifest hash above. Rerun the first command to resume it."
        )
        commands = ["asc run config.yaml --data DATASET --out RUN"]
    commands += [
        "asc status RUN      # its progress",
        "asc report RUN      # this page",
        "asc submit RUN      # the package",
    ]
    return {
        "text": text,
        "commands": "\n".join(commands),
        "config": to_yaml(config) if config else "",
        "versions": table(["package", "version"], [[name, str(v)] for name, v in versions.items()])
        if versions
        else None,
        "machine": table(["machine", "value"], [[name.replace("_", " "), str(v)] for name, v in machine.items()])
        if machine
        else None,
    }
