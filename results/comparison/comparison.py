"""Runs next to each other. Only runs of the same data and fold are compared, since others are scored on other clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_prep.errors import RunError
from results.candidates.differences import Difference, difference_to
from results.pareto import hypervolume, pareto_front
from results.report.data import RunData, read_run_data
from results.report.text import data_name, fold_of
from results.rundir import RunDirectory

FrontScore = Literal["macro_accuracy", "log_loss"]
FRONT_SCORES: tuple[FrontScore, ...] = get_args(FrontScore)
"""Validation scores of which there is a front each, against weight bytes."""
_SIGN: dict[FrontScore, int] = {"macro_accuracy": 1, "log_loss": -1}
"""1 if higher is better, -1 if lower is better."""


class ReferencePoint(NamedTuple):
    """Common reference point of the hypervolumes of a group."""

    macro_accuracy: float
    """Lowest of all finished trials."""
    log_loss: float
    """Highest of all finished trials, in nats."""
    weight_bytes: int
    """Largest limit of the runs on weight bytes, or largest finished trial if that is larger."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of a comparison."""

    name: str
    """The folder's name, with as many parents as needed to differ from the other runs."""
    data: RunData
    config: Mapping[str, Any]
    """Resolved configuration as nested mappings."""

    @property
    def data_set(self) -> str:
        """Name of the data set."""
        return data_name(self.data)

    @property
    def manifest_hash(self) -> str | None:
        """Hash that identifies features, classes, folds and shards (`Manifest.hash`); None before they are prepared."""
        found = (self.data.config.get("data") or {}).get("manifest_hash")
        return None if found is None else str(found)

    @property
    def fold(self) -> int:
        """The fold that was trained and tested."""
        return int(fold_of(self.data))

    @property
    def trained(self) -> pd.DataFrame:
        """The trials that were trained, at least in part."""
        return self.data.trials[self.data.trials["state"] != "infeasible"]

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The trials that reached the last rung."""
        return self.data.trials[self.data.trials["state"] == "finished"].reset_index(drop=True)

    @property
    def final_epochs(self) -> list[int]:
        """Epochs of the finished trials, without duplicates."""
        return sorted({int(value) for value in self.finished["epochs"].dropna()})

    @property
    def weight_limit(self) -> int:
        """Limit on weight bytes or non-zero weight bytes, 0 if there is none."""
        in_force = self.data.limits.rules.in_force()
        return in_force.get("nonzero_weight_bytes") or in_force.get("weight_bytes") or 0

    def front(self, score: FrontScore) -> pd.DataFrame:
        """Return the finished trials on the front of a validation score against weight bytes, smallest first."""
        return self.finished.iloc[pareto_front(_SIGN[score] * self.values(score), self.values("weight_bytes"))]

    def values(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column of the finished trials, NaN where missing, shape (n_finished,)."""
        found: npt.NDArray[np.float64] = self.finished[column].to_numpy(dtype=np.float64, na_value=np.nan)
        return found


@dataclass(frozen=True, eq=False)
class RunGroup:
    """The runs of the same data and fold."""

    runs: tuple[ComparedRun, ...]

    @property
    def title(self) -> str:
        """Name of the data set, manifest hash and fold."""
        first = self.runs[0]
        return f"{first.data_set} ({first.manifest_hash or 'not prepared yet'}), fold {first.fold}"

    @property
    def is_compared(self) -> bool:
        """Whether there are two runs at least."""
        return len(self.runs) > 1

    @cached_property
    def reference(self) -> ReferencePoint | None:
        """The common reference point of the hypervolumes, None without a comparison or finished trials."""
        columns = ["macro_accuracy", "log_loss", "weight_bytes"]
        trials = pd.concat([run.finished[columns] for run in self.runs]).dropna().astype(float)
        if not self.is_compared or trials.empty:
            return None
        size = max(int(trials["weight_bytes"].max()), *(run.weight_limit for run in self.runs))
        return ReferencePoint(float(trials["macro_accuracy"].min()), float(trials["log_loss"].max()), size)

    def hypervolume(self, run: ComparedRun, score: FrontScore) -> float | None:
        """Return by how much a run's front is better than the reference, averaged over sizes up to the reference's.

        The result is in the unit of the score (a share, or nats), at least 0, and larger for a better front. It is None
        if the run has no finished trial, or no run to be compared with.
        """
        point = self.reference
        if point is None or run.front(score).empty:
            return None
        sign, floor = _SIGN[score], getattr(point, score)
        return hypervolume(sign * run.values(score), run.values("weight_bytes"), point.weight_bytes, sign * floor)

    @cached_property
    def differences(self) -> list[Difference]:
        """The paired difference of the selected candidates of every two runs, on the test clips of both.

        Each candidate has the temperature that it is packed with.
        """
        systems = [
            (run.name, run.data.packed_test(run.data.selected.name))
            for run in self.runs
            if run.data.selected is not None and run.data.selected.name in run.data.test
        ]
        pairs = (difference_to(second, first) for first, second in combinations(systems, 2))
        return [found for found in pairs if found is not None]

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """{key path: {run: value}} of the keys in which the configurations differ; a run may lack a key.

        A section that only some runs have, such as the search, is a value; its keys are compared among these runs.
        """
        return dict(_differing({run.name: run.config for run in self.runs}))

    @property
    def notes(self) -> list[str]:
        """Sentences about what the runs differ in, apart from their results, that makes comparing them less fair."""
        notes = (self._final_epochs_note(), self._scored_trials_note(), self._scored_clips_note())
        return [*chain.from_iterable(notes)] if self.is_compared else []

    def _final_epochs_note(self) -> Iterator[str]:
        epochs = {run.name: run.final_epochs for run in self.runs if run.final_epochs}
        if len({tuple(found) for found in epochs.values()}) > 1:
            each = "; ".join(f"{name}: {' or '.join(map(str, found))}" for name, found in epochs.items())
            yield f"Finished trials have different epochs ({each}), so the fronts differ by training length as well."

    def _scored_trials_note(self) -> Iterator[str]:
        n_parts = {run.name: run.data.n_parts for run in self.runs if run.final_epochs}
        if len(set(n_parts.values())) > 1:
            each = "; ".join(
                f"{name}: {f'out of fold over {n} parts' if n else 'on validation'}" for name, n in n_parts.items()
            )
            yield f"Trials are scored differently ({each}): do not compare the fronts."

    def _scored_clips_note(self) -> Iterator[str]:
        chosen = {run.name: run.data.selected.metrics for run in self.runs if run.data.selected is not None}
        out_of_fold = [name for name, metrics in chosen.items() if metrics.inner_folds]
        if 0 < len(out_of_fold) < len(chosen):
            yield (
                f"Validation scores of the selected candidate are out of fold in {', '.join(out_of_fold)}, and those "
                "of the validation split in the others: do not compare them."
            )


@dataclass(frozen=True)
class Comparison:
    """All runs, by data and fold."""

    groups: tuple[RunGroup, ...]
    """In the order of their first runs."""

    @property
    def rows(self) -> list[tuple[RunGroup, ComparedRun]]:
        """Every run with its group."""
        return [(group, run) for group in self.groups for run in group.runs]

    @property
    def reasons(self) -> list[str]:
        """A sentence per group but the first: why its runs are not compared with those before."""
        return [
            f"{_names(group)}: not compared with {_names(self.groups[0])}; {_why_apart(self.groups[0], group)}."
            for group in self.groups[1:]
        ]


def compare_runs(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> Comparison:
    """Return the comparison of runs.

    Args:
        runs: run directories, each with its resolved configuration as nested mappings, in the order to show them in.

    Raises:
        RunError: if there are fewer than two different run directories, or a ledger is damaged.
        DataError: if a candidate's files are damaged.
    """
    folders = [path.resolve() for path, _ in runs]
    if len(folders) < 2 or len(set(folders)) < len(folders):
        given = ", ".join(str(path) for path, _ in runs)
        raise RunError(f"a comparison needs at least two different runs, each given once; given: {given}")
    groups: dict[tuple[Any, ...], list[ComparedRun]] = {}
    for name, path, (_, config) in zip(short_names(folders), folders, runs, strict=True):
        run = ComparedRun(name, read_run_data(RunDirectory(path)), config)
        of_unknown_data = (name,)  # a group of its own
        groups.setdefault((run.manifest_hash, run.fold) if run.manifest_hash else of_unknown_data, []).append(run)
    return Comparison(tuple(RunGroup(tuple(found)) for found in groups.values()))


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the last parts of different absolute paths, as few as needed to distinguish all of them."""
    n_parts = 1
    while len({path.parts[-n_parts:] for path in folders}) < len(folders):
        n_parts += 1
    return [Path(*path.parts[-n_parts:]).as_posix() for path in folders]


def _differing(sections: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key path, {run: value}) of the keys in which sections of the configurations differ."""
    for key in dict.fromkeys(key for section in sections.values() for key in section):
        values = {run: section[key] for run, section in sections.items() if key in section}
        inner = {run: value for run, value in values.items() if isinstance(value, Mapping) and value}
        first = next(iter(values.values()))
        is_equal = len(values) == len(sections) and all(value == first for value in values.values())
        if not is_equal and len(inner) < len(sections):
            yield f"{prefix}{key}", values
        yield from _differing(inner, f"{prefix}{key}.")


def _names(group: RunGroup) -> str:
    return ", ".join(run.name for run in group.runs)


def _why_apart(first: RunGroup, other: RunGroup) -> str:
    one, two = first.runs[0], other.runs[0]
    if one.manifest_hash is None or two.manifest_hash is None:
        return "a run without prepared data cannot be compared"
    if one.manifest_hash == two.manifest_hash:
        return f"the fold is {two.fold}, not {one.fold}"
    if one.data_set == two.data_set:
        return f"files, lists or features of {one.data_set} differ (manifest hash {two.manifest_hash})"
    return f"the data are {two.data_set}, not {one.data_set}"
