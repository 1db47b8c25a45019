"""Paths of all files in a run directory. No other module of `results` and `search` names its files and folders."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asc_models.candidate import (
    CARD,
    CONFIG,
    DEVICES,
    KERAS,
    METRICS,
    MODEL,
    RETRAIN_AGAIN,
    device_folder,
)
from data_prep.errors import AscError, ConfigError, RunError
from data_prep.files.files import write_text
from data_prep.files.yaml_file import read_yaml

CANDIDATES = "candidates"
"""Folder of the retrained candidates, in a run directory and in a run's shared storage."""
SHARDS = "shards"
"""Folder of the feature shards, in both as well."""
TEACHERS = "teachers"
"""Folder of the networks that teach candidates, in both as well."""
SUMMARY = "summary.json"
"""Summary of a submission package, in the same folder as the package."""

NOTES = ("data", "versions", "machine")
"""Sections of a run's configuration that are no settings: what it was started on and with."""

START_AGAIN = (
    "Restore it from a copy, or delete it and rerun the command that started the run, with the same configuration: "
    "trials of another one are refused."
)
"""What to do about a damaged configuration of a run."""


@dataclass(frozen=True)
class SystemFiles:
    """The folder of a system that has predicted clips of the run."""

    root: Path

    @property
    def name(self) -> str:
        """Name of the folder: `<candidate>-s<seed>`, or the name of the file or folder another system was read from."""
        return self.root.name

    def predictions_path(self, split: str) -> Path:
        """Return the path of the class probabilities of a split."""
        return self.root / "predictions" / f"{split}.parquet"


@dataclass(frozen=True)
class CandidateFiles(SystemFiles):
    """The files of one retrained candidate, `RUN/candidates/<candidate>-s<seed>/`."""

    @property
    def config_path(self) -> Path:
        """Configuration of the candidate: features, network, training and classes."""
        return self.root / CONFIG

    @property
    def keras_path(self) -> Path:
        """The trained network."""
        return self.root / KERAS

    @property
    def tflite_path(self) -> Path:
        """The exported TFLite file; all sizes and scores are measured on it."""
        return self.root / MODEL

    @property
    def float_path(self) -> Path:
        """The network as a TFLite file in float32, before its export; kept until the candidate is scored."""
        return self.root / "float32.tflite"

    def float_predictions_path(self, split: str) -> Path:
        """Return the path of the float32 network's class probabilities; kept until the candidate is scored."""
        return self.root / "predictions" / f"{split}-float32.parquet"

    def general_predictions_path(self, split: str) -> Path:
        """Return the path of the class probabilities of the general network alone, if devices have networks; kept until
        the candidate is scored."""
        return self.root / "predictions" / f"{split}-general.parquet"

    @property
    def metrics_path(self) -> Path:
        """Scores and sizes. Written last: the candidate is finished if this file exists."""
        return self.root / METRICS

    @property
    def card_path(self) -> Path:
        """Model card of the exported file, as Markdown."""
        return self.root / CARD

    @property
    def package_path(self) -> Path:
        """The exported file and everything needed to run it, as one zip file."""
        return self.root / f"{self.name}.zip"

    @property
    def checkpoint_path(self) -> Path:
        """Checkpoint of an unfinished training."""
        return self.root / "checkpoint.npz"

    @property
    def history_path(self) -> Path:
        """Loss, learning rate and validation scores of every epoch."""
        return self.root / "history.parquet"

    @property
    def test_curve_path(self) -> Path:
        """Scores on the test split over the epochs (`asc crossval --test-curve`), which choose nothing."""
        return self.root / "test_curve.parquet"

    @property
    def trained_path(self) -> Path:
        """Results of the training that no other file contains; kept until the candidate is scored."""
        return self.root / "trained.json"

    def read_config(self) -> dict[str, Any]:
        """Return the candidate's configuration as nested mappings, {} if the file does not exist.

        Raises:
            RunError: if the file is not a YAML mapping.
        """
        return _read_sections(self.config_path, RETRAIN_AGAIN)

    @property
    def inner_dir(self) -> Path:
        """Trainings of an inner cross-validation. Once the candidate is scored, only their networks are kept, which may
        teach other candidates."""
        return self.root / "inner"

    def inner(self, part: int) -> CandidateFiles:
        """Return the files of the training that holds out `part` of an inner cross-validation."""
        return CandidateFiles(self.inner_dir / str(part))

    @property
    def devices_dir(self) -> Path:
        """Networks of single devices."""
        return self.root / DEVICES

    def device(self, device: str) -> CandidateFiles:
        """Return the files of a device's network."""
        return CandidateFiles(self.root / device_folder(device))

    @property
    def is_finished(self) -> bool:
        """Whether the candidate is complete."""
        return self.metrics_path.is_file()


@dataclass(frozen=True)
class OutsideFiles(SystemFiles):
    """The files of another system that joins the ensemble, `RUN/outside/<name>/`."""

    @property
    def description_path(self) -> Path:
        """Stated size and origin, as JSON."""
        return self.root / "outside.json"


@dataclass(frozen=True)
class RunDirectory:
    """One run's files."""

    root: Path

    @property
    def config_path(self) -> Path:
        """Resolved configuration with package versions and seeds."""
        return self.root / CONFIG

    @property
    def ledger_path(self) -> Path:
        """Append-only event log, from which the state of the run is rebuilt."""
        return self.root / "ledger.jsonl"

    @property
    def storage_path(self) -> Path:
        """File with the address of the run's shared storage, if it has one."""
        return self.root / "storage.txt"

    @property
    def trials_path(self) -> Path:
        """Table with one row per trial."""
        return self.root / "trials.parquet"

    @property
    def candidates_dir(self) -> Path:
        """Retrained candidates."""
        return self.root / CANDIDATES

    @property
    def ensembles_path(self) -> Path:
        """The selected ensemble."""
        return self.root / "ensembles.json"

    @property
    def ensemble_package_path(self) -> Path:
        """The run's own ensemble with everything needed to run it, as one zip file."""
        return self.root / "ensemble.zip"

    @property
    def baselines(self) -> RunDirectory:
        """Baselines, trained on the same clips: a run directory with its own ledger, without a search."""
        return RunDirectory(self.root / "baselines")

    @property
    def teachers(self) -> RunDirectory:
        """Teachers of candidates, trained on the same clips: a run directory with its own ledger, without a search."""
        return RunDirectory(self.root / TEACHERS)

    @property
    def outside_dir(self) -> Path:
        """Predictions of other systems that join the ensemble."""
        return self.root / "outside"

    def outside(self) -> list[OutsideFiles]:
        """Return the other systems that join the ensemble, sorted by name; folders without `outside.json` are none."""
        found = map(OutsideFiles, sorted(self.outside_dir.glob("*")))
        return [files for files in found if files.description_path.is_file()]

    @property
    def failures_dir(self) -> Path:
        """Tracebacks of failed trials and retrainings, a text file each."""
        return self.root / "failures"

    def keep_failure(self, name: str, traceback: str) -> None:
        """Write the traceback of a failed trial or retraining, replacing that of an earlier attempt.

        Where it cannot be written, as on the full disk that may have caused the failure, the failure itself is still
        reported by the caller.
        """
        with contextlib.suppress(AscError):
            write_text(self.failures_dir / f"{name.replace('/', '-')}.txt", traceback)

    @property
    def report_dir(self) -> Path:
        """The HTML report with its tables and figures."""
        return self.root / "report"

    @property
    def page_path(self) -> Path:
        """The HTML page of the report."""
        return self.report_dir / "index.html"

    @property
    def tables_dir(self) -> Path:
        """Tables of the report as CSV."""
        return self.report_dir / "tables"

    @property
    def figures_dir(self) -> Path:
        """Figures of the report as PNG and SVG."""
        return self.report_dir / "figures"

    @property
    def submission_dir(self) -> Path:
        """Challenge packages."""
        return self.root / "submission"

    @property
    def submission_summary_path(self) -> Path:
        """Summary of the package that was written last."""
        return self.submission_dir / SUMMARY

    @property
    def shards_dir(self) -> Path:
        """Feature shards, unless the run uses a shared shard folder."""
        return self.root / SHARDS

    @property
    def corpus_dir(self) -> Path:
        """The embedded corpus of `asc demo`."""
        return self.root / "corpus"

    @property
    def checkpoints_dir(self) -> Path:
        """States of unfinished trials, unless the run has a shared storage."""
        return self.root / "search" / "checkpoints"

    @property
    def optuna_journal_path(self) -> Path:
        """The search as an Optuna study, for Optuna Dashboard."""
        return self.root / "search" / "optuna-journal.log"

    @property
    def tensorboard_dir(self) -> Path:
        """TensorBoard event files of the search."""
        return self.root / "tensorboard"

    def package_path(self, stem: str) -> Path:
        """Return the path of the submission package with the name `stem`, without extension."""
        return self.submission_dir / f"{stem}.zip"

    def candidate(self, candidate: str, seed: int) -> CandidateFiles:
        """Return the files of a candidate retrained with `seed`; they need not exist."""
        return CandidateFiles(self.candidates_dir / f"{candidate}-s{seed}")

    def candidates(self) -> list[CandidateFiles]:
        """Return the finished candidates, sorted by name."""
        if not self.candidates_dir.is_dir():
            return []
        found = (CandidateFiles(path) for path in self.candidates_dir.iterdir() if path.is_dir())
        return sorted((files for files in found if files.is_finished), key=lambda files: files.name)

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration as nested mappings, {} if the file does not exist.

        Raises:
            RunError: if the file is not a YAML mapping.
        """
        return _read_sections(self.config_path, START_AGAIN)


@dataclass(frozen=True)
class ComputedFiles:
    """A folder with what is computed from several runs."""

    root: Path

    @property
    def tables_dir(self) -> Path:
        """Tables as CSV."""
        return self.root / "tables"

    @property
    def figures_dir(self) -> Path:
        """Figures as PNG and SVG."""
        return self.root / "figures"


@dataclass(frozen=True)
class ComparisonDirectory(ComputedFiles):
    """Files of a comparison of runs."""

    @property
    def page_path(self) -> Path:
        """The HTML page."""
        return self.root / "compare.html"


@dataclass(frozen=True)
class CrossvalDirectory(ComputedFiles):
    """Files of a cross-validation: a run directory per fold, without a search, and what is computed from them."""

    @property
    def shards_dir(self) -> Path:
        """Feature shards of all folds, unless they are in a shared folder."""
        return self.root / SHARDS

    @property
    def summary_path(self) -> Path:
        """Test scores of every system, fold and seed, as JSON."""
        return self.root / "crossval.json"

    @property
    def page_path(self) -> Path:
        """The HTML page of the test scores."""
        return self.root / "index.html"

    @property
    def inner_page_path(self) -> Path:
        """The HTML page of the out-of-fold scores."""
        return self.root / "inner.html"

    @property
    def inner_summary_path(self) -> Path:
        """Out-of-fold scores of the training side of every system, fold and seed, as JSON."""
        return self.root / "inner_crossval.json"

    def fold(self, fold: int) -> RunDirectory:
        """Return the run directory of a fold; it need not exist."""
        return RunDirectory(self.root / f"fold{fold}")

    def folds(self) -> dict[int, RunDirectory]:
        """Return {fold: run directory} of the folds that exist, in order; folders such as `fold1.bak` are none."""
        numbers = (path.name.removeprefix("fold") for path in self.root.glob("fold[1-9]*") if path.is_dir())
        return {fold: self.fold(fold) for fold in sorted(int(text) for text in numbers if text.isdecimal())}


def _read_sections(path: Path, way_out: str) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        sections = read_yaml(path)
    except ConfigError as error:
        raise RunError(f"{error}. {way_out}") from None
    if not sections:  # never written empty; must not be taken for a configuration of defaults
        raise RunError(f"{path}: must be a mapping of sections, is empty. {way_out}")
    return sections
