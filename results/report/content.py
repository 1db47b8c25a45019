"""Content of the report's page; the template contains only the layout."""

from __future__ import annotations

from data_prep import __version__
from data_prep.wording import plural
from results.candidates.candidates import fewer_scenes, without_validation
from results.report.data import RunData
from results.report.models import (
    candidates,
    details,
    ensemble_text,
    groups,
    headline,
    kept_epoch,
    nothing_selected,
    published,
    seeds,
)
from results.report.run import data_facts, limits, reproduce, search_text, submission_text
from results.report.tables.baselines import baselines
from results.report.tables.calibration import calibration
from results.report.tables.devices import worst_devices
from results.report.tables.fine_tuning import fine_tuning
from results.report.tables.knobs import knobs
from results.report.tables.ties import ties
from results.report.text import Content, data_name, fold_of


def page_content(data: RunData) -> Content:
    """Return all variables of the template except the figures."""
    tied = ties(data)
    by_device, by_scene, calibrated = groups(data, "device"), groups(data, "scene"), calibration(data)
    content: Content = {
        "title": f"Scene classifiers for {data_name(data)}",
        "subtitle": _subtitle(data),
        "headline": headline(data),
        "nothing_selected": nothing_selected(data),
        "scored_on": data.scored_on,
        "pareto_note": (
            f"Values are those of the exported files {data.all_scored}. Each trial is shown at "
            "the last rung it reached, so trials of few epochs are below retrained "
            "candidates. The front contains finished trials only; paused and "
            "stopped trials are grey. Proposals over the limit were not trained."
        ),
        "candidates": candidates(data),
        "details": details(data),
        "kept_epoch": kept_epoch(data),
        "seeds": seeds(data),
        "fewer_scenes": fewer_scenes(candidate.metrics for candidate in data.candidates),
        "without_validation": without_validation(data.candidates),
        "ensembles": [ensemble_text(data, ensemble) for ensemble in data.ensembles],
        "ties": tied,
        "baselines": baselines(data),
        "tempered_note": _tempered_note(data),
        "by_device": by_device,
        "worst_devices": worst_devices(data),
        "fine_tuning": fine_tuning(data),
        "by_scene": by_scene,
        "calibration": calibrated,
        "published": published(data),
        "search": search_text(data),
        "knobs": knobs(data),
        "data": data_facts(data),
        "limits": list(limits(data)),
        "submission": submission_text(data),
        "reproduce": reproduce(data),
        "footer": f"asc {__version__}" + (f" · last event {data.events[-1]['time']}" if data.events else ""),
    }
    names = {
        **{"result": "Result", "size": "Pareto front", "candidates": "Candidates", "ensembles": "Ensembles"},
        **({"ties": "Differences"} if tied else {}),
        "baselines": "Baselines",
        **({"devices": "By device"} if by_device else {}),
        **({"scenes": "By scene"} if by_scene else {}),
        **({"calibration": "Calibration"} if calibrated else {}),
        **({"published": "Published systems"} if content["published"] else {}),
        **{"search": "Search", "data": "Data", "limits": "Limitations"},
        **({"submission": "Submission"} if content["submission"] else {}),
        "reproduce": "Reproduce",
    }
    return {**content, "sections": list(names.items())}


def _tempered_note(data: RunData) -> str:
    """Return whether log losses by device and by scene have a temperature."""
    temperature = 1.0 if data.selected is None else data.temperature(data.selected.name)
    which = "without a temperature" if temperature == 1.0 else f"with temperature {temperature:.2f}, as packed"
    return f"On test. Log losses are {which}; accuracy does not depend on it."


def _subtitle(data: RunData) -> str:
    n = len(data.candidates)
    made = " · synthesized corpus: scores do not apply to real recordings" if data.config.get("synth") else ""
    limit = f"at most {data.limits.text} ({data.limit.rule})"
    return f"Fold {fold_of(data)} · {limit} · {plural(n, 'retrained candidate')}{made}"
