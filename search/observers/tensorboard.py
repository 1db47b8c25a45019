"""TensorBoard files: the curves of trials and of retrained candidates over epochs, and the growth of the front."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from results.candidates.history import read_history
from results.ledger.events import OF_TRIALS, Event, is_kind, of_kind
from results.ledger.progress import ProgressFold, SearchProgress
from results.pareto import hypervolume
from results.rundir import CANDIDATES, CandidateFiles

SCORES = ("macro_accuracy", "log_loss")
CURVES = ("loss", "learning_rate", *SCORES)
"""Columns of a candidate's history that are drawn."""
EVENT_FILES = "events.out.tfevents.*"
WHOLE_SEARCH = "sweep"
"""Folder of the curves of the whole search."""

MAX_POINTS = 500
"""Most points of earlier sessions in these curves."""


class TensorBoardFiles:
    """Writes `<folder>/<trial_id>/` and `<folder>/sweep/`, rewritten from the ledger at the start of every session.

    Per trial: `macro_accuracy` and `log_loss` over epochs, and its parameters for the page HParams. For the search,
    over the total of epochs: the hypervolume of the front (the share of accuracy × bytes up to `limit` that it
    dominates) for finished trials and for all, its best accuracy, and the number of trials finished, paused and over
    the limit.
    """

    name = "TensorBoard files"

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Write nothing yet.

        Args:
            folder: created if missing; event files in it are replaced.
            limit: weight bytes allowed; None writes no hypervolume.
        """
        self._folder = folder
        self._limit = limit
        self._fold = ProgressFold()
        self._writers: dict[str, Any] = {}
        self._n_files = 0

    def begin(self, earlier: Sequence[Event]) -> None:
        """Replace the files by the events of earlier sessions."""
        for path in self._folder.glob(f"*/{EVENT_FILES}"):
            path.unlink()
        by_trial: dict[str, list[Event]] = {}
        every = 1 + len(earlier) // MAX_POINTS
        for number, event in enumerate(earlier, start=1):
            self._write_search(event, is_shown=number % every == 0)
        for event in of_kind(earlier, *OF_TRIALS):
            by_trial.setdefault(event["trial_id"], []).append(event)
        for trial_id, events in by_trial.items():
            for event in events:
                self._write_trial(event)
            self._close(trial_id)

    def on_event(self, event: Event) -> None:
        """Write the values of a rung or an end."""
        if is_kind(event, *OF_TRIALS):
            self._write_trial(event)
            if is_kind(event, "trial_ended") or event.get("decision") == "pause":
                self._close(event["trial_id"])
            elif event["trial_id"] in self._writers:
                self._writers[event["trial_id"]].flush()
        if self._write_search(event):
            self._writers[WHOLE_SEARCH].flush()

    def close(self) -> None:
        """Close every file."""
        for name in list(self._writers):
            self._close(name)

    def _write_trial(self, event: Event) -> None:
        trial_id = event["trial_id"]
        if is_kind(event, "trial_started"):
            self._write(trial_id, event, _hparams(event)[1])
        elif is_kind(event, "trial_ended"):
            self._write(trial_id, event, _hparams({})[2])
        elif is_kind(event, "rung"):
            for name in SCORES:
                if event.get(name) is not None:
                    self._scalar(trial_id, event, name, event[name], event["epochs"])

    def _write_search(self, event: Event, *, is_shown: bool = True) -> bool:
        """Write the search's curves if `event` changes them; return whether it did."""
        self._fold.apply(event)
        if not is_shown or not is_kind(event, "rung", "trial_ended"):
            return False
        progress = self._fold.progress()
        for name, value in _search_values(progress, self._limit).items():
            self._scalar(WHOLE_SEARCH, event, name, value, progress.epochs)
        return True

    def _scalar(self, name: str, event: Event, tag: str, value: float, epochs: int) -> None:
        from tensorboardX.summary import scalar

        self._write(name, event, scalar(tag, value), epochs)

    def _write(self, name: str, event: Event, summary: Any, epochs: int | None = None) -> None:
        """Write to the file of `name`, without SummaryWriter, whose thread hides errors such as a full disk."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event as Line

        if name not in self._writers:
            self._n_files += 1  # files of the same second are read in order of name
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            self._writers[name] = EventsWriter(str(self._folder / name / "events"), f".{self._n_files:06d}")
        line = Line(summary=summary, wall_time=datetime.fromisoformat(event["time"]).timestamp(), step=epochs or 0)
        self._writers[name].write_event(line)

    def _close(self, name: str) -> None:
        writer = self._writers.pop(name, None)
        if writer is not None:
            writer.close()


def write_histories(folder: Path, candidates: Sequence[CandidateFiles], events: Sequence[Event]) -> None:
    """Write the epochs of finished candidates to `<folder>/candidates/<candidate>/`, replacing earlier files.

    Averaged weights have one more point, under `<curve>/average`.

    Args:
        folder: of the run's TensorBoard files.
        candidates: finished candidates; those of older versions, which kept no history, are left out.
        events: events of the run, whose times the points get.

    Raises:
        DataError: if a history is damaged.
    """
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event as Line
    from tensorboardX.summary import scalar

    finished = {event["candidate"]: event["time"] for event in of_kind(events, "candidate_finished")}
    for files in candidates:
        history = read_history(files)
        if history is None or files.name not in finished:
            continue
        of_candidate = folder / CANDIDATES / files.name
        of_candidate.mkdir(parents=True, exist_ok=True)
        for path in of_candidate.glob(EVENT_FILES):
            path.unlink()
        writer = EventsWriter(str(of_candidate / "events"))
        time = datetime.fromisoformat(finished[files.name]).timestamp()
        for row in history.to_dict("records"):
            for curve in CURVES:
                if not math.isnan(row[curve]):
                    tag = f"{curve}/average" if row["is_average"] else curve
                    writer.write_event(Line(summary=scalar(tag, row[curve]), wall_time=time, step=row["epoch"]))
        writer.close()


def _search_values(progress: SearchProgress, limit: int | None) -> dict[str, float]:
    values: dict[str, float] = {
        "trials/finished": progress.states.get("finished", 0),
        "trials/paused": progress.states.get("paused", 0),
        "trials/over_the_limit": progress.n_infeasible,
        "front/trials": len(progress.front),
    }
    if progress.front:
        values["front/best_macro_accuracy"] = progress.front[-1].macro_accuracy
    for name, trials in (
        ("front/hypervolume", progress.front),
        ("front/hypervolume_with_unfinished", (*progress.front, *progress.provisional)),
    ):
        if limit is not None:
            accuracies, sizes = [t.macro_accuracy for t in trials], [t.weight_bytes for t in trials]
            values[name] = hypervolume(accuracies, sizes, limit)
    return values


def _hparams(event: Event) -> Any:
    """Return the HParams plugin's summaries: of the experiment, of a trial's start, and of its end.

    The first is not used: TensorBoard infers the parameters, even if they differ between trials.
    """
    from tensorboardX.summary import hparams

    params = {name: _hparam(value) for name, value in (event.get("params") or {}).items()}
    sizes = {name: event[name] for name in ("weight_bytes", "n_params", "macs") if event.get(name) is not None}
    return hparams({**params, **sizes}, {})


def _hparam(value: Any) -> bool | float | str:
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
