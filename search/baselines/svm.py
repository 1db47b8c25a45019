"""The support vector machine on band energies as a baseline: fitted, scored and stored like a candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asc_models.svm.band_energies import band_energies
from asc_models.svm.svm import SupportVectors, fit_svm
from data_prep.config import ReaderSpec
from data_prep.copies.rows import RECORDED
from data_prep.errors import DataError, RunError
from data_prep.files.files import file_digest, write_text, written_whole
from data_prep.files.yaml_file import read_yaml, to_yaml
from data_prep.reader.parts import parts_of
from data_prep.reader.reader import FeatureSet, read_split, read_splits
from data_prep.schema import differing_keys
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import FULL, CandidateMetrics, write_metrics
from results.candidates.predictions import Predictions, write_predictions
from results.rundir import CandidateFiles, RunDirectory
from search.config import RunConfig

SVM = "svm"
"""Name of the baseline."""
MODEL = "model.npz"
"""File of the machine's numbers, in its folder."""
N_PARTS = 5
"""Parts of the training side by which settings and probabilities are fitted."""
SCORED: tuple[str, ...] = ("validation", "test")
"""Splits that are scored, unless the machine is fitted to them."""
SEED = 0
"""Seed for drawing clips to try settings on, and in the baseline's folder name."""


def train_svm(
    run: RunDirectory, config: RunConfig, shards: Location, on_read: Callable[[str, str], None]
) -> CandidateFiles:
    """Fit the machine to the splits that the run's candidates are trained on, score and store it; return its files.

    A finished one is kept. Validation scores are those of the validation split or, with `retrain.all_clips`, of
    `retrain.inner_folds` machines out of fold. Augmented copies are not used.

    Args:
        run: run directory of the baselines.
        config: configuration of the run that they are compared with.
        shards: folder of the prepared features.
        on_read: called with the baseline's name and the name of a split before it is read for a score.

    Raises:
        DataError: if a scene has a single location on the training side, or there is only one scene.
        RunError: if the machine was fitted with other settings.
    """
    retrain, manifest = config.retrain, read_manifest(shards)
    files = run.candidate(SVM + (FULL if retrain.all_clips else ""), SEED)
    n_inner = retrain.inner_folds if retrain.all_clips else 0
    reader = ReaderSpec(trim_silence=config.reader.trim_silence)
    splits = ("train", "validation") if retrain.all_clips else ("train",)
    asked: dict[str, Any] = {
        "features": "mean and standard deviation over frames of log-mel and deltas",
        "trim_silence": reader.trim_silence,
        "splits": list(splits),
        "inner_folds": n_inner,
        "fold": config.fold,
        "classes": list(manifest.classes),
        "data_hash": manifest.hash(),
    }
    if files.is_finished:
        _require_same(files, asked)
        return files
    side = _recorded(read_splits(shards, splits, fold=config.fold, reader=reader))
    energies = band_energies(side)
    machine = _fit(side, energies)
    setting = {"has_deltas": machine.setting.has_deltas, "cost": machine.setting.cost, "gamma": machine.setting.gamma}
    versions = {"scikit-learn": metadata.version("scikit-learn")}
    write_text(files.config_path, to_yaml({"baseline": SVM, **asked, "setting": setting, "versions": versions}))
    _write_machine(files.root / MODEL, machine)
    predictions: dict[str, Predictions] = (
        {"validation": _out_of_fold(side, energies, n_inner, manifest, config.fold)} if n_inner else {}
    )
    present = set(manifest.folds[config.fold].values()) - set(splits)
    for split in [name for name in SCORED if name in present]:
        on_read(files.name, split)
        features = read_split(shards, split, fold=config.fold, reader=reader)
        predictions[split] = Predictions(features.clips, machine.predict(band_energies(features)), manifest.classes)
    for name, made in predictions.items():
        write_predictions(files.predictions_path(name), made)
    write_metrics(files.metrics_path, _measured(files, machine, predictions, splits, n_inner))
    return files


def _write_machine(path: Path, machine: SupportVectors) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in machine.arrays.items()}
        np.savez(file, **arrays)


def _measured(
    files: CandidateFiles,
    machine: SupportVectors,
    predictions: Mapping[str, Predictions],
    splits: tuple[str, ...],
    n_inner: int,
) -> CandidateMetrics:
    """Return scores and sizes of a machine that was fitted to `splits`, whose other files are written."""
    path = files.root / MODEL
    measured = [files.config_path, path, *map(files.predictions_path, predictions)]
    return CandidateMetrics(
        splits={split: made.summarize() for split, made in predictions.items() if made.is_labelled},
        weight_bytes=4 * machine.n_params,
        nonzero_weight_bytes=4 * sum(int(np.count_nonzero(array)) for array in machine.arrays.values()),
        file_bytes=path.stat().st_size,
        quantization_bytes=0,
        n_params=machine.n_params,
        macs=machine.macs,
        agreement=None,
        mode="float32",
        best_epoch=None,
        epochs=0,
        seed=SEED,
        trial_id=None,
        trained_on=splits,
        inner_folds=n_inner,
        sha256={one.relative_to(files.root).as_posix(): file_digest(one) for one in measured},
    )


def _require_same(files: CandidateFiles, asked: dict[str, Any]) -> None:
    stored = read_yaml(files.config_path)
    if differing := differing_keys({key: stored.get(key) for key in asked}, asked):
        raise RunError(
            f"{files.root}: was fitted with other settings ({'; '.join(differing[:3])}). Give the settings it was "
            "fitted with, or move its folder away to fit it again."
        )


def _recorded(side: FeatureSet) -> FeatureSet:
    return side.take(np.flatnonzero(side.clips["augmentation"].to_numpy(str) == RECORDED))


def _fit(side: FeatureSet, energies: Any) -> SupportVectors:
    """Return the machine fitted to recorded clips.

    Raises:
        DataError: if leaving out a location leaves a scene without clips.
    """
    if len(np.unique(side.labels)) < 2:
        raise DataError("a support vector machine separates scenes: the training side has clips of one scene only")
    parts = parts_of(side.clips, N_PARTS)
    for part in np.unique(parts):
        if missing := set(side.labels[parts == part]) - set(side.labels[parts != part]):
            names = ", ".join(sorted(side.classes[label] for label in missing))
            raise DataError(
                f"{names}: a single location on the training side. Settings of the support vector machine are chosen "
                "by leaving locations out, so each scene needs at least two: add recordings from another location, "
                "or train the other baseline only (--only network)."
            )
    return fit_svm(energies, side.labels, parts, len(side.classes), seed=SEED)


def _out_of_fold(side: FeatureSet, energies: Any, n_parts: int, manifest: Manifest, fold: int) -> Predictions:
    """Return the predictions of all clips of the training side, each by a machine that was fitted without its part."""
    parts = parts_of(side.clips, n_parts)
    probabilities = np.empty((side.n_clips, len(side.classes)), dtype=np.float32)
    for part in np.unique(parts):
        kept = np.flatnonzero(parts != part)
        probabilities[parts == part] = _fit(side.take(kept), energies[kept]).predict(energies[parts == part])
    order_of = {clip_id: index for index, clip_id in enumerate(manifest.folds[fold])}
    order = np.argsort([order_of[clip_id] for clip_id in side.clips["clip_id"]])
    clips: pd.DataFrame = side.clips.iloc[order].reset_index(drop=True)
    return Predictions(clips, probabilities[order], side.classes)
