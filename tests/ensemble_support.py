"""An ensemble of two candidates with networks of random weights."""

from __future__ import annotations

from pathlib import Path

from candidate_support import write_candidate

from asc_models.candidate import CONFIG, ENSEMBLE, MODEL
from data_prep.files.files import file_digest
from data_prep.files.yaml_file import to_yaml


def write_ensemble(parent: Path) -> Path:
    """Write the folder of an ensemble with temperature 1.5, whose members read the features differently."""
    members = []
    (parent / "ensemble" / "members").mkdir(parents=True)
    for name, weight, reading in (("a", 0.75, {}), ("b", 0.25, {"scaling": "none"})):
        folder = write_candidate(parent / "ensemble/members" / name, **reading)
        sha256 = {file: file_digest(folder / file) for file in (CONFIG, MODEL)}
        members.append({"name": name, "weight": weight, "sha256": sha256})
    (parent / "ensemble" / ENSEMBLE).write_text(to_yaml({"temperature": 1.5, "members": members}))
    return parent / "ensemble"
