"""The files of a finished training, and the mark that it is finished; kept until the candidate is scored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from asc_models.candidate import CandidateConfig, read_candidate_config
from data_prep.corpora.splits import SPLITS
from data_prep.errors import AscError
from data_prep.files.files import file_digest, read_json, write_json, write_text, written_whole
from data_prep.files.yaml_file import to_yaml
from results.rundir import CandidateFiles

if TYPE_CHECKING:
    from asc_models.training.fit import Fit
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet


@dataclass(frozen=True, slots=True)
class Trained:
    """Results of a training that are not in its other files."""

    best_epoch: int
    """Epoch whose weights were kept."""
    agreement: float
    """Share of validation clips on which the exported file and the network predict the same scene."""
    agreement_beyond_chance: float
    """Cohen's κ of the two over validation and calibration clips, excluding near-ties; the acceptance criterion."""
    export_seconds: float
    """Duration of the export in seconds."""


def write_trained(
    config: CandidateConfig,
    files: CandidateFiles,
    trainer: Trainer,
    train: FeatureSet,
    validation: FeatureSet,
    result: Fit,
) -> Trained:
    """Write configuration, network, exported file and history of a training; `mark_trained` is to follow.

    Raises:
        ExportError: if the network cannot be exported, or the file cannot be run or disagrees with the network.
    """
    from search.retrain.export import export_candidate, write_network

    write_text(files.config_path, to_yaml(config.model_dump(mode="json")))
    write_network(trainer, files.keras_path)
    _remove_predictions(files)
    exported = export_candidate(
        trainer,
        train,
        validation,
        files.tflite_path,
        config.mode,
        seed=config.seed,
        int4_limits=config.int4_limits,
        float_path=files.float_path,
    )
    _write_history(files, result)
    return Trained(
        best_epoch=result.best.epoch,
        agreement=exported.agreement,
        agreement_beyond_chance=exported.agreement_beyond_chance,
        export_seconds=round(exported.seconds, 2),
    )


def mark_trained(files: CandidateFiles, trained: Trained) -> None:
    """Write what `read_trained` returns, with the digest of the file that it is about."""
    write_json(files.trained_path, {"tflite_sha256": file_digest(files.tflite_path), **asdict(trained)})


def read_trained(files: CandidateFiles) -> Trained | None:
    """Return the results of a training that is finished but not yet scored; None if there are no usable ones.

    With networks of devices, these must be there, too.
    """
    if not files.float_path.is_file():
        return None
    try:
        record = read_json(files.trained_path)
        digest = file_digest(files.tflite_path)
        if record.pop("tflite_sha256") != digest:
            return None
        trained = Trained(**record)
        devices = read_candidate_config(files.config_path).devices
    except (AscError, OSError, TypeError, KeyError, AttributeError):
        return None  # the candidate is then exported again
    return None if any(read_trained(files.device(device)) is None for device in devices) else trained


def _write_history(files: CandidateFiles, result: Fit) -> None:
    """Write one row per epoch: fields of `EpochRecord`."""
    import pandas as pd

    with written_whole(files.history_path) as temporary:
        pd.DataFrame([asdict(record) for record in result.history]).to_parquet(temporary, index=False)


def _remove_predictions(files: CandidateFiles) -> None:
    """Delete the predictions of an earlier export."""
    for split in SPLITS:
        files.predictions_path(split).unlink(missing_ok=True)
        files.float_predictions_path(split).unlink(missing_ok=True)
        files.general_predictions_path(split).unlink(missing_ok=True)
