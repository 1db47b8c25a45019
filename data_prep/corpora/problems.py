"""Problems of a data set's lists: `asc data check` lists all of them, `read_corpus` raises the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from data_prep.corpora.listing import ListRow
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
class ListProblem:
    """One contradiction in the lists."""

    kind: ProblemKind
    row: ListRow
    """The row that contradicts another."""
    message: str
    """The rule, the values and the way out, without file and line."""
    fatal: bool = True
    """True refuses the data set; False is only a warning."""

    @property
    def text(self) -> str:
        """File, line and message."""
        return f"{self.row.where}: {self.message}"


def raise_first(problems: Iterable[ListProblem]) -> None:
    """Raise the first fatal problem, if any.

    Raises:
        DataError: with the first fatal problem and the number of the others.
    """
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        rest = f" ({len(fatal) - 1:,} more problems: `asc data check` lists them.)" if len(fatal) > 1 else ""
        raise DataError(fatal[0].text + rest)


def warnings_of(problems: Iterable[ListProblem]) -> tuple[str, ...]:
    """Return one warning for each kind of non-fatal problem.

    Accepted shared locations are left out; `asc prepare` counts them without the missing clips.
    """
    by_kind: dict[ProblemKind, list[ListProblem]] = {}
    for problem in problems:
        if not problem.fatal and problem.kind != "shared location":
            by_kind.setdefault(problem.kind, []).append(problem)
    return tuple(
        found[0].text if len(found) == 1 else f"{kind}, {len(found):,} times; the first: {found[0].text}"
        for kind, found in by_kind.items()
    )
