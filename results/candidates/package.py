"""Portable candidates: exported file, configuration, metrics and model card, as a folder and as one zip file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from asc_models.candidate import CARD, CandidateConfig, needed_files
from asc_models.config import INT4_MODE
from asc_models.rules import QUANTITY_NAMES, QUANTITY_TITLES
from data_prep.files.files import write_text, written_whole
from data_prep.wording import shortened
from results.candidates.candidates import CandidateMetrics, fewer_scenes
from results.rundir import CandidateFiles

_EPOCH = (2021, 1, 1, 0, 0, 0)  # fixed, so that packages of the same files are byte-identical


def write_package(files: CandidateFiles, config: CandidateConfig, metrics: CandidateMetrics) -> None:
    """Write the model card, and a zip of everything needed to run the exported file."""
    write_text(files.card_path, card(files.name, config, metrics))
    pack(files.package_path, {name: (files.root / name).read_bytes() for name in (*needed_files(files.root), CARD)})


def pack(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a zip of {name: content}, atomically; equal entries give equal bytes."""
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)


def card(name: str, config: CandidateConfig, metrics: CandidateMetrics) -> str:
    """Return the model card as Markdown: input, classes, network, sizes, training and scores."""
    spec = config.features
    lines = [
        f"# {name}",
        "",
        f"Classifies {len(config.classes)} scenes: {', '.join(map(shortened, config.classes))}.",
        "",
        f"- Input: {spec.clip_seconds:g} s clips, resampled to {spec.sample_rate:,} Hz, {spec.n_mels} mel bands.",
        f"- Network: {config.model.family}, {metrics.n_params:,} {QUANTITY_NAMES['n_params']}, "
        f"{metrics.macs:,} {QUANTITY_NAMES['macs']}.",
        f"- Export: {config.mode}, {metrics.weight_bytes:,} bytes of weights ({metrics.nonzero_weight_bytes:,} not "
        f"zero), {metrics.file_bytes:,} bytes in all.",
        f"- Trained: {metrics.epochs} epochs, seed {metrics.seed}, kept epoch {metrics.best_epoch}, fold {config.fold} "
        f"of data {config.data_hash}.",
    ]
    lines += compression_lines(config)
    if (learned := config.distillation) is not None:
        teachers = [*learned.teachers, *(["stored probabilities"] if learned.probabilities else [])]
        lines.append(
            f"- Teachers: {', '.join(teachers)}; temperature {learned.temperature:g}, weight of the labels "
            f"{learned.hard_weight:g}."
        )
    if metrics.agreement is not None and metrics.agreement_beyond_chance is not None:
        lines.append(
            f"- Agreement of the file with the network: {metrics.agreement:.4f} of validation clips; "
            f"{metrics.agreement_beyond_chance:.4f} beyond chance, near-ties left out."
        )
    if metrics.devices and config.fine_tuning is not None:
        lines.append(
            f"- Networks of devices, fine-tuned for {config.fine_tuning.epochs} epochs: {', '.join(metrics.devices)}. "
            "Each answers the clips of its device; other clips are answered by the general network, `model.tflite`. "
            "Sizes are those of the largest file: the limits apply to each by itself."
        )
    lines += ["", *_score_rows(metrics)]
    if sentence := fewer_scenes([metrics]):
        lines += ["", sentence]
    lines += [
        "",
        "All numbers were measured on the exported file. To run it:",
        "",
        f"    asc predict {name}.zip RECORDING.wav" + (" --device DEVICE" if metrics.devices else ""),
        "",
        "`config.yaml` has the feature, its scaling and the class list; `model.tflite` takes the scaled feature of one "
        "clip and returns one probability per scene, in the order above. Its network:",
        "",
        "    " + json.dumps(config.model.model_dump(mode="json")),
        "",
    ]
    return "\n".join(lines)


def compression_lines(config: CandidateConfig) -> list[str]:
    """Return the Markdown list of what made a candidate's file smaller than its export mode alone would."""
    lines = []
    if config.int4_limits:
        limits = " and ".join(f"{limit:,} {QUANTITY_TITLES[name]}" for name, limit in config.int4_limits.items())
        lines.append(f"- Large kernels are int8 as far as {limits} allow; the least sensitive ones are int4.")
    if config.mode == INT4_MODE and config.train.int4_share:
        lines.append(
            f"- Trained for int4: kernels were rounded over the last {config.train.int4_share:.0%} of the epochs."
        )
    if config.train.sparsity:
        lines.append(
            f"- Pruned: {config.train.sparsity:.0%} of the weights of each large kernel are zero, by magnitude."
        )
    return lines


def _score_rows(metrics: CandidateMetrics) -> list[str]:
    """Return the table of scores on each split."""
    lines = ["| split | clips | macro accuracy | log loss | Brier score | ECE |", "|---|---|---|---|---|---|"]
    alone = {f"{split}, general network alone": scores for split, scores in metrics.general.items()}
    for split, scores in {**metrics.splits, **alone}.items():
        where = f"{split}, out of fold" if split == "validation" and metrics.inner_folds else split
        found = [scores.get(score) for score in ("macro_accuracy", "log_loss", "brier_score", "calibration_error")]
        cells = ["–" if value is None else f"{value:.4f}" for value in found]  # files of older versions lack the last
        lines.append(f"| {where} | {scores['n_clips']} | {' | '.join(cells)} |")
    return lines
