"""Clips of two files, matched by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from data_prep.corpora.names import TauName, parse_tau_name
from data_prep.errors import DataError
from data_prep.wording import plural, shortened

KEYS: tuple[Callable[[str], str], ...] = (
    lambda name: name.replace("\\", "/"),
    lambda name: name.replace("\\", "/").rpartition("/")[2],
    lambda name: PurePosixPath(name.replace("\\", "/")).stem,
)
"""What is compared of two names: all, without folders, without folders and suffix. The first that agrees is used."""


def match_clips(
    names: Sequence[str], wanted: Sequence[str], path: Path, wanted_in: str, *, exactly: bool = True
) -> npt.NDArray[np.int64]:
    """Return the row in `names` of each wanted clip, shape (n_wanted,).

    Args:
        names: file names of the rows.
        wanted: file names to find.
        path: file of the rows, for messages.
        wanted_in: where the wanted names are from, for messages.
        exactly: whether further rows are an error.

    Raises:
        DataError: if a clip is missing, unexpected or has several rows.
    """
    best: tuple[list[str], list[str]] | None = None
    for key in KEYS:
        found, asked = [key(name) for name in names], [key(name) for name in wanted]
        if len(set(found)) < len(found) or len(set(asked)) < len(asked):
            continue
        if set(asked) <= set(found) and not (exactly and set(found) - set(asked)):
            row_of = {name: row for row, name in enumerate(found)}
            return np.array([row_of[name] for name in asked], dtype=np.int64)
        if best is None or len(set(found) & set(asked)) > len(set(best[0]) & set(best[1])):
            best = found, asked
    if best is None:
        twice = [name for name, n in Counter(map(KEYS[0], names)).items() if n > 1]
        where = str(path) if twice else wanted_in
        twice = twice or [name for name, n in Counter(map(KEYS[0], wanted)).items() if n > 1]
        raise DataError(f"{where}: {some(twice)} more than once; each clip must have one row")
    found, asked = best
    problems = []
    if missing := sorted(set(asked) - set(found)):
        problems.append(f"{path}: lacks {some(missing)}, which {wanted_in} has")
    if exactly and (further := sorted(set(found) - set(asked))):
        problems.append(f"{path}: has {some(further)}, which {wanted_in} lacks")
    raise DataError("\n".join(problems))


def share_clips(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a clip occurs in both, by its name without folders and suffix."""
    key = KEYS[2]
    return not set(map(key, names)).isdisjoint(map(key, others))


def tau_names(names: Sequence[str], scenes: Sequence[str]) -> list[TauName] | None:
    """Return the parts of the clips' names; None unless all are names of TAU."""
    parsed = [parse_tau_name(KEYS[2](name), scene) for name, scene in zip(names, scenes, strict=True)]
    found = [name for name in parsed if name is not None]
    return found if len(found) == len(parsed) else None


def some(names: Sequence[str]) -> str:
    """Return the number of names and the first three."""
    shown = ", ".join(shortened(name, 100) for name in names[:3])
    return f"{plural(len(names), 'clip')} ({shown}{', …' if len(names) > 3 else ''})"
