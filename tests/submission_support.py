"""Packages of a submission, as the tests of this folder read them."""

from __future__ import annotations

import zipfile
from pathlib import Path

from results.rundir import RunDirectory

PACKED = "Doe_EX_task1a/task1"
"""Folder of the systems in the package of a run without names."""
FIRST = f"{PACKED}/Doe_EX_task1a_1/Doe_EX_task1a_1"
"""Files of its first system, without suffix."""


def package_of(run: RunDirectory) -> Path:
    return run.submission_dir / "Doe_EX_task1a.zip"


def read_package(path: Path) -> dict[str, str]:
    """Return {file in the package: its text}."""
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name).decode() for name in package.namelist()}
