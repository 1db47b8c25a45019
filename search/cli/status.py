"""`asc status`: progress of a run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderResult

from search.cli.options import JsonOption, RunArgument, terminal
from search.cli.screen.live import LINE_EVERY_S
from search.cli.screen.progress import ProgressView, one_line

if TYPE_CHECKING:
    from results.ledger.progress import SearchProgress
    from results.rundir import RunDirectory
    from search.cli.screen.terminal import Terminal

POLL_S = 1.0
"""Seconds between two reads of a followed ledger."""


def status(
    run: RunArgument,
    as_json: JsonOption = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Update until no process works on the run any more.")
    ] = False,
) -> None:
    """Show the progress of a run, also while it is running."""
    from results.rundir import RunDirectory
    from search.run_config import read_run

    if as_json and follow:
        raise typer.BadParameter("--json prints once; for a stream use `asc search --json-log`, or read the ledger")
    directory = RunDirectory(run)
    config = read_run(directory)
    watcher = _Watcher(directory)
    screen = terminal()
    if as_json:
        screen.json(_summary(directory, watcher.progress(), config.search.n_trials if config.search else 0))
        return
    screen.say(said := _headline(directory))
    if config.search is None:
        if follow:
            _follow_headline(screen, directory, watcher, said)
    elif not follow:
        screen.show(watcher)
    elif screen.is_interactive:
        with screen.live(watcher), _until_ctrl_c():
            watcher.wait(POLL_S)
    else:
        with _until_ctrl_c():
            while watcher.is_running:
                screen.say(one_line(watcher.progress()))
                watcher.wait(POLL_S, LINE_EVERY_S)
        screen.show(watcher)
    _show_failures(screen, directory)


def _headline(run: RunDirectory) -> str:
    """Return how many candidates a run has, and which later results."""
    later = {"ensemble": run.ensembles_path, "report": run.page_path}
    parts = [f"{len(run.candidates())} retrained", *(name for name, path in later.items() if path.exists())]
    return f"{run.root}: {', '.join(parts)}"


def _follow_headline(screen: Terminal, run: RunDirectory, watcher: _Watcher, said: str) -> None:
    """Print the headline whenever it differs from what was `said`, until no process works on a run without a search."""
    with _until_ctrl_c():
        while watcher.is_running:
            watcher.wait(POLL_S, POLL_S)
            if (line := _headline(run)) != said:
                screen.say(said := line)


def _show_failures(screen: Terminal, run: RunDirectory) -> None:
    """Print which retrainings failed and why, and where all tracebacks are; the table above has the trials."""
    from results.ledger.failures import failures, first_failures
    from results.ledger.ledger import Ledger

    failed = failures(event for event in Ledger(run.ledger_path).events() if "candidate" in event)
    for line in first_failures(failed):
        screen.warn(f"failed: {line}")
    if run.failures_dir.is_dir():
        screen.say(f"Tracebacks: {run.failures_dir}")


class _Watcher:
    """Follows a ledger and renders the progress."""

    def __init__(self, run: RunDirectory) -> None:
        from results.ledger.ledger import LedgerTail
        from results.ledger.progress import ProgressFold
        from results.ledger.running import RunningReports
        from results.storage.storage import checkpoints_of

        self._tail = LedgerTail(run.ledger_path)
        self._fold = ProgressFold()
        self._reports = RunningReports(checkpoints_of(run))
        self.is_running = True
        self.look()

    def look(self) -> None:
        """Read what has been written since the last call."""
        from results.ledger.ledger import is_being_written

        is_running = is_being_written(self._tail.path)  # first, so that a run's last events are not missed
        for event in self._tail.new_events():
            self._fold.apply(event)
        self.is_running = is_running

    def progress(self) -> SearchProgress:
        """Return the progress now, or at the end of the driver."""
        if not self.is_running:  # a killed run leaves reports
            return self._fold.progress()
        return self._fold.progress(time.time(), self._reports.read())

    def wait(self, poll_s: float, at_most_s: float = float("inf")) -> None:
        """Read every `poll_s` seconds until no process works on the run, or `at_most_s` seconds have passed."""
        until = time.monotonic() + at_most_s
        while self.is_running and time.monotonic() < until:
            time.sleep(poll_s)
            self.look()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the progress, and whether a process works on the run."""
        progress = self.progress()
        yield ProgressView(progress, _note(progress, is_running=self.is_running))


def _note(progress: SearchProgress, *, is_running: bool) -> str:
    if is_running:
        return "an asc process is working on this run" + ("; its search has ended" if progress.session.end else "")
    if progress.states.get("running"):
        return "no process is working on this run; its search was interrupted: rerun the command to resume"
    return f"no process is working on this run; its last search: {progress.session.end or 'none, or interrupted'}"


def _summary(run: RunDirectory, progress: SearchProgress, n_trials: int) -> dict[str, Any]:
    from results.ledger.failures import failures
    from results.ledger.ledger import Ledger, is_being_written

    infeasible = {"infeasible": progress.n_infeasible} if progress.n_infeasible else {}
    return {
        "run": str(run.root),
        "is_running": is_being_written(run.ledger_path),
        "n_trials": n_trials,
        "n_started": progress.n_started,
        "states": {**progress.states, **infeasible},
        "search": dataclasses.asdict(progress),
        "candidates": [files.name for files in run.candidates()],
        "failed": failures(Ledger(run.ledger_path).events()),
        "has_ensemble": run.ensembles_path.exists(),
        "has_report": run.page_path.exists(),
    }


@contextmanager
def _until_ctrl_c() -> Iterator[None]:
    """End the block on Ctrl-C; the run that is followed is not interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        return
