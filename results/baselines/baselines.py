"""Comparison of a run's systems with its baselines: paired, on the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_prep.wording import plural
from results.candidates.candidates import Candidate, read_candidates
from results.candidates.differences import Difference, difference_to
from results.candidates.predictions import Predictions
from results.rundir import RunDirectory


def read_baselines(run: RunDirectory) -> list[Candidate]:
    """Return the run's baselines, best validation log loss first; [] if there are none.

    Raises:
        DataError: if a baseline's files are damaged.
    """
    return read_candidates(run.baselines)


def shortfall(difference: Difference, split: str) -> str:
    """Return a sentence if a system does not beat a baseline in accuracy and log loss, "" if it clearly does.

    It beats it if the 95 % interval of the paired difference excludes 0; a difference in the other direction, or of 0,
    is reported as such, one with an interval that contains 0 as not significant.
    """
    points, points_interval = 100 * difference.accuracy, [100 * end for end in difference.accuracy_interval]
    accuracy = f"accuracy {points:+.1f} points ({points_interval[0]:+.1f} to {points_interval[1]:+.1f})"
    low, high = difference.loss_interval
    loss = f"log loss {difference.loss:+.3f} ({low:+.3f} to {high:+.3f})"
    on = f"on {split} ({plural(difference.n_clips, 'clip')}; 95 % interval over locations)"
    lost = [*([accuracy] if points <= 0 else []), *([loss] if difference.loss >= 0 else [])]
    if lost:
        return f"{difference.system} does not beat the baseline {difference.reference} {on}: {', '.join(lost)}."
    open_ = [*([accuracy] if points_interval[0] <= 0 else []), *([loss] if high >= 0 else [])]
    if open_:
        return (
            f"{difference.system} is not significantly better than the baseline {difference.reference} {on}: "
            f"{', '.join(open_)}."
        )
    return ""


def differences_to(name: str, system: Predictions, baselines: Mapping[str, Predictions]) -> list[Difference]:
    """Return the difference of a system to each baseline that has answered some of its clips.

    Args:
        name: of the system.
        system: its predictions of a split.
        baselines: {name: predictions of the split}; all calibrated alike, for differences of log loss.
    """
    return [found for other in baselines.items() if (found := difference_to((name, system), other)) is not None]


def shortfalls(differences: Sequence[Difference], split: str) -> list[str]:
    """Return the sentences of `shortfall` that are not empty."""
    return [text for one in differences if (text := shortfall(one, split))]
