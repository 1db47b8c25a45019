"""The files of an export, before they are written."""

from __future__ import annotations

from dataclasses import dataclass

README = "README.md"
LABELS = "labels.txt"


@dataclass(frozen=True)
class ExportedFiles:
    """An export before it is written."""

    files: dict[str, bytes]
    """{path in the folder, with /: content}."""
    findings: tuple[str, ...] = ()
    """What was checked, with its result, a sentence each."""
    warnings: tuple[str, ...] = ()
    """What the user of the files must know, or could not be checked."""
