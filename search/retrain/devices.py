"""Fine-tuning per device (`retrain.fine_tuning`): a network for each recording device, from that of all devices.

As in the DCASE 2025 baseline (github.com/CPJKU/dcase2025_task1_baseline), every training device with enough clips has
a network that starts with the weights of the general one and sees the clips of that device alone. At inference it
answers the clips of the device; clips of other devices are answered by the general network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asc_models.candidate import CandidateConfig
from data_prep.copies.rows import RECORDED
from data_prep.errors import AscError, DataError
from results.rundir import CandidateFiles
from search.retrain.hooks import NO_HOOKS, Hooks
from search.retrain.teaching import Teaching, teacher_of
from search.retrain.trained import mark_trained, read_trained, write_trained

if TYPE_CHECKING:
    from asc_models.tflite.artifact import Artifact
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet

KEPT_COPIES = (RECORDED, "pitch_shift", "speed_change")
"""Recorded clips, and the copies that keep the response of their device: others have that of another one."""
UNKNOWN = "a"
"""Device of clips in the shards whose device is not known; also the name of a device of TAU."""


def devices_of(config: CandidateConfig, train: FeatureSet) -> tuple[str, ...]:
    """Return the devices with enough training clips for a network of their own, sorted; () without fine-tuning.

    Args:
        config: configuration of the candidate.
        train: its training clips.
    """
    if config.fine_tuning is None:
        return ()
    return tuple(name for name, n in sorted(_counts(train).items()) if n >= config.fine_tuning.min_clips)


def require_devices(config: CandidateConfig, train: FeatureSet) -> None:
    """Raise DataError if fine-tuning is asked for, and no device has enough training clips."""
    if config.fine_tuning is None or devices_of(config, train):
        return
    counts = ", ".join(f"{n:,} of {name}" for name, n in sorted(_counts(train).items()))
    raise DataError(
        f"retrain.fine_tuning: no device has min_clips, {config.fine_tuning.min_clips:,}, recorded training clips "
        f"({counts}). Lower min_clips, or set fine_tuning: null."
    )


def fine_tune(
    config: CandidateConfig,
    general: Trainer,
    train: FeatureSet,
    validation: FeatureSet,
    files: CandidateFiles,
    *,
    teaching: Teaching | None = None,
    hooks: Hooks = NO_HOOKS,
) -> None:
    """Train and export the network of each of `config.devices` into the folders of `files`.

    Those that an earlier call has finished are kept; an interrupted one resumes from its checkpoint.

    Args:
        config: configuration of the candidate.
        general: its finished training, whose network is the start.
        train: training clips of all devices.
        validation: clips on which files are compared with their networks; nothing is selected on them.
        files: files of the candidate, or of a part of its inner cross-validation.
        teaching: its teachers; None without any.
        hooks: `on_epoch` is called with the epochs of the general network and a share of those of fine-tuning, as if
            all devices were trained at once; `on_device` when a network is finished.

    Raises:
        TrainingError: if a training diverges.
        ExportError: if a network cannot be exported, or its file cannot be run or disagrees with the network.
    """
    for number, device in enumerate(config.devices):
        own = files.device(device)
        if read_trained(own) is None:

            def report(epoch: int, number: int = number) -> None:
                """Report the share of fine-tuning that is done."""
                n_epochs = config.n_epochs - config.train.epochs
                hooks.on_epoch(config.train.epochs + (number * n_epochs + epoch) // len(config.devices))

            try:
                _train(config.of_device(device), general, train, validation, own, teaching, Hooks(on_epoch=report))
            except AscError as error:
                raise type(error)(f"network of device {device}: {error}") from error
        hooks.on_device()


def _train(
    config: CandidateConfig,
    general: Trainer,
    train: FeatureSet,
    validation: FeatureSet,
    files: CandidateFiles,
    teaching: Teaching | None,
    hooks: Hooks,
) -> None:
    """Train and export the network of one device, `config.device`."""
    from asc_models.training.fit import fit
    from asc_models.training.trainer import Trainer

    clips = train.take(np.flatnonzero(_is_of(train, str(config.device))))
    teacher = teacher_of(config, teaching, clips)
    trainer = Trainer(config.model, config.train, clips, seed=config.seed, teacher=teacher, mode=config.mode)
    trainer.start_from(general.model)
    result = fit(
        trainer,
        None,
        epochs=config.train.epochs,
        checkpoint=files.checkpoint_path,
        on_epoch=lambda record: hooks.on_epoch(record.epoch),
    )
    held = np.flatnonzero(validation.clips["device"] == config.device)
    compared = validation.take(held) if len(held) else validation
    mark_trained(files, write_trained(config, files, trainer, clips, compared, result))


def own_artifacts(files: CandidateFiles, devices: tuple[str, ...], *, in_float: bool = False) -> dict[str, Artifact]:
    """Return {device: its exported file}, or its network in float32.

    Raises:
        ExportError: if a file cannot be run.
    """
    from asc_models.tflite.artifact import Artifact

    own = {device: files.device(device) for device in devices}
    return {device: Artifact(one.float_path if in_float else one.tflite_path) for device, one in own.items()}


def answered_by_device(
    clips: FeatureSet, general: npt.NDArray[np.float32], own: Mapping[str, Artifact]
) -> npt.NDArray[np.float32]:
    """Return the probabilities of a candidate, shape (n_clips, n_classes): of each clip those of its device's network.

    Args:
        clips: clips of any devices.
        general: probabilities of the general network, which the clips of other devices keep.
        own: {device: its exported file}.
    """
    answer = general.copy()
    for device, artifact in own.items():
        rows = np.flatnonzero(clips.clips["device"] == device)
        if len(rows):
            answer[rows] = artifact.predict(clips.take(rows))
    return answer


def has_known_devices(clips: Any, devices: tuple[str, ...]) -> bool:
    """Return whether the devices of a split without labels are known: not if all are `a`, which unknown ones are, too.

    Args:
        clips: one row per clip, with a column `device`.
        devices: those with a network of their own; if `a` is the only one, it is what all clips are of.
    """
    return devices == (UNKNOWN,) or bool((clips["device"] != UNKNOWN).any())


def _counts(train: FeatureSet) -> dict[str, int]:
    """Return {device: number of recorded clips}."""
    devices = train.clips["device"][train.clips["augmentation"] == RECORDED]
    return {str(name): int(n) for name, n in devices.value_counts().items()}


def _is_of(train: FeatureSet, device: str) -> npt.NDArray[np.bool_]:
    """Return which training clips have the response of a device."""
    is_own: npt.NDArray[np.bool_] = (
        (train.clips["device"] == device) & train.clips["augmentation"].isin(KEPT_COPIES)
    ).to_numpy()
    return is_own
