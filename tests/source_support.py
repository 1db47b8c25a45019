"""The product's own source files, parsed once, for the tests that look at what is written in them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from process_support import ROOT

PACKAGES = ("data_prep", "asc_models", "results", "search")


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a source file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(*packages: str) -> list[Path]:
    """Return the source files of the packages, of all four if none is named, without those in outputs of runs."""
    found = sorted(path for package in packages or PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [path for path in found if path.relative_to(ROOT).parts[:2] != ("results", "runs")]
