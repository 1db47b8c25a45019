"""Predictions of a run's candidates on an evaluation set, for a challenge submission."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from asc_models.candidate import read_candidate_config
from data_prep.errors import DataError
from data_prep.progress import ProgressCallback
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.candidates.candidates import Candidate
from results.candidates.predictions import Predictions
from search.retrain.devices import answered_by_device, has_known_devices, own_artifacts
from search.retrain.training import require_same_data

EVALUATION = "evaluation"


def evaluation_fold(manifest: Manifest) -> int:
    """Return the first fold with evaluation clips.

    Raises:
        DataError: if no fold has any.
    """
    for fold, splits in manifest.folds.items():
        if EVALUATION in splits.values():
            return fold
    raise DataError(
        f"the prepared data {manifest.name!r} have no evaluation clips, only {', '.join(sorted(_splits(manifest)))}: "
        "prepare a challenge's evaluation set (`asc prepare DATA`, audio without labels) and pass its shards"
    )


def lost_clips(shards: Location) -> tuple[str, ...]:
    """Return the files of the evaluation list that were missing or quarantined during preparation."""
    manifest = read_manifest(shards)
    return manifest.lost_evaluation.get(evaluation_fold(manifest), ())


def predict_evaluation(
    candidates: Iterable[Candidate],
    shards: Location,
    on_progress: ProgressCallback | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> dict[str, Predictions]:
    """Return {candidate name: predictions of its exported file on the evaluation clips}.

    Clips of devices for which a candidate has networks are answered by these, if the devices of the set are known.

    Args:
        candidates: finished candidates.
        shards: folder of the prepared evaluation set. Its labels, if any, are ignored.
        on_progress: called with (candidates done, total candidates).
        warn: called with a sentence if networks of devices are not used, since the devices of the set are unknown.

    Raises:
        DataError: if there are no evaluation clips, or their features differ from those a candidate was trained on.
        ExportError: if a file cannot be run.
    """
    from asc_models.tflite.artifact import Artifact

    manifest = read_manifest(shards)
    fold = evaluation_fold(manifest)
    found = list(candidates)
    answers: dict[str, Predictions] = {}
    for number, candidate in enumerate(found, start=1):
        config = read_candidate_config(candidate.files.config_path)
        # Classes are taken from the candidate: an unlabelled evaluation set has none.
        require_same_data(config, manifest.updated(classes=config.classes), candidate.name)
        features = read_split(shards, EVALUATION, fold=fold, reader=config.reader, statistics=config.statistics)
        features = replace(features, classes=config.classes)
        known = config.devices
        if known and not has_known_devices(features.clips, known):
            known = ()
            warn(
                f"{candidate.name}: has networks of the devices {', '.join(config.devices)}, but all clips of the "
                "evaluation set are of device a, as clips of unknown devices are stored: the general network answers. "
                "If the devices are known, list them (column device) and prepare the set again."
            )
        general = Artifact(candidate.files.tflite_path).predict(features)
        probabilities = answered_by_device(features, general, own_artifacts(candidate.files, known))
        clips = features.clips.assign(scene=None)
        answers[candidate.name] = Predictions(clips, probabilities, config.classes)
        if on_progress is not None:
            on_progress(number, len(found))
    return answers


def _splits(manifest: Manifest) -> set[str]:
    return {split for splits in manifest.folds.values() for split in splits.values()}
