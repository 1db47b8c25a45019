"""What is wrong with a data set's lists: found all at once, so that a check can show all and a reading the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from data_prep.corpora.listing import Row
from data_prep.errors import DataError

ProblemKind = Literal[
    "bad path",
    "two labels",
    "two files",
    "two lists",
    "listed twice",
    "no label",
    "unknown class",
    "name against label",
    "name against table",
    "shared location",
]


@dataclass(frozen=True)
class Problem:
    """One contradiction."""

    kind: ProblemKind
    row: Row
    """Where it stands."""
    message: str
    """The rule, the values and the way out, without the place."""
    fatal: bool = True
    """The data set is refused; otherwise it is only told."""

    @property
    def text(self) -> str:
        """Place and message."""
        return f"{self.row.where}: {self.message}"


def raise_first(problems: Iterable[Problem]) -> None:
    """Refuse a data set whose lists have fatal problems.

    Raises:
        DataError: with the first of them, and how many more there are.
    """
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        rest = f" ({len(fatal) - 1:,} more like problems: `asc data check` lists them.)" if len(fatal) > 1 else ""
        raise DataError(fatal[0].text + rest)


def told(problems: Iterable[Problem]) -> tuple[str, ...]:
    """Return one warning for each kind of problem that is not fatal.

    Shared locations that were accepted are left out: what is prepared counts them, without the missing clips.
    """
    by_kind: dict[ProblemKind, list[Problem]] = {}
    for problem in problems:
        if not problem.fatal and problem.kind != "shared location":
            by_kind.setdefault(problem.kind, []).append(problem)
    return tuple(
        found[0].text if len(found) == 1 else f"{kind}, {len(found):,} times; the first: {found[0].text}"
        for kind, found in by_kind.items()
    )
