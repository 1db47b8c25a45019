"""Where everything in a run directory lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data_prep.errors import RunError


@dataclass(frozen=True)
class CandidateFiles:
    """The files of one retrained candidate, `RUN/candidates/<candidate>-s<seed>/`."""

    root: Path

    @property
    def name(self) -> str:
        """`<candidate>-s<seed>`."""
        return self.root.name

    @property
    def config_path(self) -> Path:
        """What was trained."""
        return self.root / "config.yaml"

    @property
    def keras_path(self) -> Path:
        """The trained network."""
        return self.root / "model.keras"

    @property
    def tflite_path(self) -> Path:
        """The exported file: what is measured and scored."""
        return self.root / "model.tflite"

    @property
    def metrics_path(self) -> Path:
        """Scores and sizes; written last, so that its presence means a finished candidate."""
        return self.root / "metrics.json"

    @property
    def card_path(self) -> Path:
        """What the exported file is, in words."""
        return self.root / "card.md"

    @property
    def package_path(self) -> Path:
        """The exported file with all that it takes to run it, as one zip."""
        return self.root / f"{self.name}.zip"

    def read_config(self) -> dict[str, Any]:
        """Return what was trained as plain mappings, {} where it was not written.

        Raises:
            RunError: if the file is no YAML mapping.
        """
        return _read_sections(self.config_path)

    def predictions_path(self, split: str) -> Path:
        """Return where the class probabilities of a split are."""
        return self.root / "predictions" / f"{split}.parquet"

    @property
    def is_finished(self) -> bool:
        """Whether the candidate is complete."""
        return self.metrics_path.is_file()


@dataclass(frozen=True)
class RunDirectory:
    """One run's files."""

    root: Path

    @property
    def config_path(self) -> Path:
        """Resolved configuration, versions, seeds."""
        return self.root / "config.yaml"

    @property
    def ledger_path(self) -> Path:
        """The truth about the search."""
        return self.root / "ledger.jsonl"

    @property
    def storage_path(self) -> Path:
        """The address of the run's shared storage, where it has one."""
        return self.root / "storage.txt"

    @property
    def trials_path(self) -> Path:
        """One row per trial."""
        return self.root / "trials.parquet"

    @property
    def candidates_dir(self) -> Path:
        """Retrained candidates."""
        return self.root / "candidates"

    @property
    def ensembles_path(self) -> Path:
        """The ensemble that was selected."""
        return self.root / "ensembles.json"

    @property
    def report_dir(self) -> Path:
        """The HTML report with its tables and figures."""
        return self.root / "report"

    @property
    def submission_dir(self) -> Path:
        """Challenge packages."""
        return self.root / "submission"

    @property
    def shards_dir(self) -> Path:
        """Feature shards, unless they are kept in a shared place."""
        return self.root / "shards"

    def candidate(self, candidate: str, seed: int) -> CandidateFiles:
        """Return the files of a candidate retrained with `seed`, whether they exist yet or not."""
        return CandidateFiles(self.candidates_dir / f"{candidate}-s{seed}")

    def candidates(self) -> list[CandidateFiles]:
        """Return the finished candidates, sorted by name."""
        if not self.candidates_dir.is_dir():
            return []
        found = (CandidateFiles(path) for path in self.candidates_dir.iterdir() if path.is_dir())
        return sorted((files for files in found if files.is_finished), key=lambda files: files.name)

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration as plain mappings, {} where none was written.

        Raises:
            RunError: if the file is no YAML mapping.
        """
        return _read_sections(self.config_path)


def _read_sections(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(config, Mapping):
        raise RunError(f"{path}: must hold a mapping of sections, found {type(config).__name__}")
    return dict(config)
