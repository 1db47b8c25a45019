"""A candidate as a folder for the Hugging Face Hub: model card with metadata, TFLite file, configuration, labels.

The metadata follow the Hub's specification of model cards. Nothing is sent: pushing the folder is the user's decision,
once what only they know is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asc_models.candidate import (
    CONFIG,
    METRICS,
    MODEL,
    CandidateConfig,
    is_device_file,
    needed_files,
    require_unchanged,
)
from asc_models.ensemble import OpenedSystem
from asc_models.exports.exported import LABELS, README, ExportedFiles
from asc_models.exports.readme import input_section, labels, output_section, runtime_section, title_of
from asc_models.rules import QUANTITY_NAMES
from data_prep.errors import DataError
from data_prep.files.yaml_file import to_yaml
from data_prep.wording import in_markdown
from results.candidates.candidates import CandidateMetrics, fewer_scenes, read_metrics
from results.candidates.package import compression_lines
from results.candidates.predictions import read_predictions
from results.report.data import accuracy_interval, drawn_units
from results.rundir import CandidateFiles

TO_FILL_IN = "TO FILL IN"
"""Marks what only the user knows."""
SCORES = {
    "macro_accuracy": ("accuracy", "Macro accuracy"),
    "log_loss": ("log_loss", "Log loss"),
    "brier_score": ("brier_score", "Brier score"),
    "calibration_error": ("expected_calibration_error", "Expected calibration error"),
}
"""{score: (type of the metric on the Hub, name)}."""


def huggingface_export(system: OpenedSystem) -> ExportedFiles:
    """Return the files of a model repository.

    Args:
        system: a candidate, opened from its folder.

    Raises:
        ConfigError: if its configuration is invalid.
        DataError: if `system` is an ensemble, or has no scores; if its predictions are not those that were scored.
    """
    if system.manifest is not None:
        raise DataError(f"{system.path}: is an ensemble, and a model card describes one network. Export its members.")
    (folder,), (config,) = system.folders.values(), system.read_configs()
    files = CandidateFiles(folder)
    if not files.metrics_path.is_file():
        raise DataError(
            f"{system.path}: has no {METRICS}, so there are no scores for a model card. Give the candidate's folder, "
            "RUN/candidates/NAME, not its zip."
        )
    metrics = read_metrics(files.metrics_path)
    intervals = {split: _interval(files, config, split) for split in metrics.splits}
    model = files.tflite_path.read_bytes()
    name = title_of(system)
    return ExportedFiles(
        files={
            README: model_card(name, config, metrics, intervals, model).encode(),
            MODEL: model,
            CONFIG: files.config_path.read_bytes(),
            LABELS: labels(config.classes),
            **{name: (folder / name).read_bytes() for name in needed_files(folder) if is_device_file(name)},
        },
        warnings=(
            f"Before you publish it: fill in what {README} marks with {TO_FILL_IN}: licence, data, intended use.",
        ),
    )


def _interval(files: CandidateFiles, config: CandidateConfig, split: str) -> tuple[float, float, str] | None:
    """Return the 95 % interval of the macro accuracy and what it resamples; None without stored predictions."""
    path = files.predictions_path(split)
    if not path.is_file():
        return None
    require_unchanged(files.root, (path.relative_to(files.root).as_posix(),))
    predictions = read_predictions(path, config.classes)
    return (*accuracy_interval(predictions), drawn_units(predictions)) if predictions.is_labelled else None


def model_card(
    name: str,
    config: CandidateConfig,
    metrics: CandidateMetrics,
    intervals: Mapping[str, tuple[float, float, str] | None],
    model: bytes,
) -> str:
    """Return the model card: YAML metadata, then Markdown. Names from anywhere are inert in both.

    Args:
        name: of the candidate.
        config: its configuration.
        metrics: its scores and sizes.
        intervals: {split: 95 % interval of the macro accuracy, what it resamples}.
        model: content of its TFLite file.
    """
    data = f"data {config.data_hash}, fold {config.fold}"
    sections = [
        f"---\n{to_yaml(_metadata(name, config, metrics))}---",
        f"# {in_markdown(name, 200)}",
        f"Classifies {config.features.clip_seconds:g} s of audio as one of {len(config.classes)} acoustic scenes: "
        f"{', '.join(map(in_markdown, config.classes))}.",
        _uses(config),
        _scores(metrics, intervals, data),
        _training(config, metrics, data),
        "## Use\n\n    asc predict FOLDER RECORDING.wav\n\nor in Python:\n\n    from asc_models import Classifier\n\n"
        '    print(Classifier("FOLDER").predict("RECORDING.wav"))',
        input_section([config], [name]),
        output_section(config),
        runtime_section({name: model}, [config]),
    ]
    return "\n\n".join(sections) + "\n"


def _metadata(name: str, config: CandidateConfig, metrics: CandidateMetrics) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "audio-classification", "name": "Acoustic scene classification"},
            "dataset": {"type": TO_FILL_IN, "name": f"{TO_FILL_IN} (data {config.data_hash})", "split": split},
            "metrics": [
                {"type": kind, "name": title, "value": round(float(scores[score]), 6)}
                for score, (kind, title) in SCORES.items()
                if scores.get(score) is not None
            ],
        }
        for split, scores in metrics.splits.items()
    ]
    return {
        "library_name": "tflite",
        "pipeline_tag": "audio-classification",
        "license": "unknown",
        "tags": ["acoustic-scene-classification", "audio", "tflite", "litert", "low-complexity"],
        "metrics": ["accuracy"],
        "model-index": [{"name": name, "results": results}],
    }


def _uses(config: CandidateConfig) -> str:
    lines = [
        "## Intended use and limits",
        "",
        f"- Intended use: {TO_FILL_IN}.",
        "- Every recording is classified as one of the scenes above, also one of another scene, of speech or of "
        "silence; a probability is no evidence that the scene is among them.",
        "- Scores apply to recordings like those of the data below. Other devices, places and strong compression lower "
        "them.",
        f"- Licence of this model, and of the data that it was trained on: {TO_FILL_IN} (here and in `license` above).",
    ]
    return "\n".join(lines)


def _scores(metrics: CandidateMetrics, intervals: Mapping[str, tuple[float, float, str] | None], data: str) -> str:
    of_file = "the exported file"
    if metrics.inner_folds:
        of_file += " (out of fold: on those of trainings that did not see the clip)"
    lines = [
        "## Scores",
        "",
        f"Measured on {of_file}, on {TO_FILL_IN} ({data}).",
        "",
        "| split | clips | macro accuracy | 95 % interval | log loss | Brier score | calibration error |",
        "|---|---|---|---|---|---|---|",
    ]
    units = set()
    for split, scores in metrics.splits.items():
        values = [scores.get(score) for score in SCORES]
        accuracy, *others = ["–" if value is None else f"{value:.4f}" for value in values]
        found = intervals.get(split)
        between = "–" if found is None else f"{found[0]:.4f}–{found[1]:.4f}"
        units |= set() if found is None else {found[2]}
        title = f"{split}, out of fold" if split == "validation" and metrics.inner_folds else split
        lines.append(f"| {title} | {scores['n_clips']} | {accuracy} | {between} | {' | '.join(others)} |")
    if units:
        lines += ["", f"Intervals are bootstrapped over {' or '.join(sorted(units))}."]
    if sentence := fewer_scenes([metrics]):
        lines += ["", in_markdown(sentence, 10_000)]
    if not metrics.splits:
        lines += ["", "There is no score: no split with labels was left to measure one on."]
    return "\n".join(lines)


def _training(config: CandidateConfig, metrics: CandidateMetrics, data: str) -> str:
    on = " and ".join(config.splits)
    kept = "the last epoch" if config.checkpoint is None else f"epoch {metrics.best_epoch}, best on validation"
    lines = [
        "## Training",
        "",
        f"- Network: `{config.model.family}`, {metrics.n_params:,} {QUANTITY_NAMES['n_params']}, {metrics.macs:,} "
        f"{QUANTITY_NAMES['macs']}.",
        f"- File: {config.mode}, {metrics.weight_bytes:,} bytes of weights ({metrics.nonzero_weight_bytes:,} not "
        f"zero), {metrics.file_bytes:,} bytes in all.",
        f"- Trained for {metrics.epochs} epochs on {on} of {data}, seed {metrics.seed}; kept: {kept}.",
    ]
    lines += compression_lines(config)
    if metrics.devices:
        lines.append(
            f"- Clips of the devices {', '.join(map(in_markdown, metrics.devices))} are answered by fine-tuned "
            "networks in `devices`, with which scores were measured; others by the general network, `model.tflite`."
        )
    if metrics.agreement is not None:
        lines.append(
            f"- The file chooses the same scene as the network before export on {metrics.agreement:.4f} of the clips."
        )
    return "\n".join(lines)
