"""The `asc` command: registers every command and reports an expected failure in one message."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from data_prep import __version__
from data_prep.errors import AscError
from search.cli import (
    baseline,
    bench,
    cluster,
    compare,
    config,
    crossval,
    data,
    describe,
    doctor,
    ensemble,
    export,
    inspect,
    predict,
    prepare,
    report,
    retrain,
    run,
    score,
    search,
    select,
    status,
    submit,
    synth,
)
from search.cli.options import SETTINGS
from search.cli.screen.streams import accept_any_text
from search.cli.screen.terminal import Terminal

app = typer.Typer(
    name="asc",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Search, train and submit acoustic scene classifiers that fit in 128 KB.",
)

OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Failures of writing to standard output, which has no file name."""
FOLDER_ERRORS = frozenset({errno.ENOENT, errno.ESTALE})
"""Failures of finding the current folder, which has none either."""
OWN_PACKAGES = frozenset({"", "data_prep", "asc_models", "results", "search"})
"""A module that is missing in one of these is a bug, as is one without a name."""
EVERY_STAGE = "Every stage"
ONE_STAGE = "One stage"
TOOLS = "Inspect and use"

app.command("demo", rich_help_panel=EVERY_STAGE)(run.demo)
app.command("run", rich_help_panel=EVERY_STAGE)(run.run)
app.command("crossval", rich_help_panel=EVERY_STAGE)(crossval.crossval)
app.command("synth", rich_help_panel=ONE_STAGE)(synth.synth)
app.add_typer(data.app, name="data", rich_help_panel=ONE_STAGE)
app.command("prepare", rich_help_panel=ONE_STAGE)(prepare.prepare)
app.command("search", rich_help_panel=ONE_STAGE)(search.search)
app.command("retrain", rich_help_panel=ONE_STAGE)(retrain.retrain)
app.command("ensemble", rich_help_panel=ONE_STAGE)(ensemble.ensemble)
app.command("baseline", rich_help_panel=ONE_STAGE)(baseline.baseline)
app.command("report", rich_help_panel=ONE_STAGE)(report.report)
app.command("select", rich_help_panel=ONE_STAGE)(select.select)
app.command("submit", rich_help_panel=ONE_STAGE)(submit.submit)
app.add_typer(config.app, name="config", rich_help_panel=TOOLS)
app.command("inspect", rich_help_panel=TOOLS)(inspect.inspect)
app.command("describe", rich_help_panel=TOOLS)(describe.describe)
app.command("status", rich_help_panel=TOOLS)(status.status)
app.command("compare", rich_help_panel=TOOLS)(compare.compare)
app.add_typer(cluster.app, name="cluster", rich_help_panel=TOOLS)
app.command("doctor", rich_help_panel=TOOLS)(doctor.doctor)
app.command("predict", rich_help_panel=TOOLS)(predict.predict)
app.command("export", rich_help_panel=TOOLS)(export.export)
app.command("bench", rich_help_panel=TOOLS)(bench.bench)
app.command("score", rich_help_panel=TOOLS)(score.score)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"asc {__version__}")
        raise typer.Exit


@app.callback()
def settings(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and warnings only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
) -> None:
    """Store the options that precede the command."""
    SETTINGS.quiet = quiet
    SETTINGS.debug = debug


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Answer SIGTERM like Ctrl-C until the block ends; yields a function that tells whether it came."""
    came = False

    def answer(number: int, frame: FrameType | None) -> None:
        """Note the signal, and end what is running."""
        nonlocal came
        came = True
        raise KeyboardInterrupt

    earlier = signal.getsignal(signal.SIGTERM)
    is_ours = earlier is signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGTERM, answer)
    try:
        yield lambda: came
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, earlier)


def main() -> None:
    """Run the command line.

    Exit codes: 0, 1 for an expected failure with one message, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide TensorFlow's informational messages
    accept_any_text()
    with _sigterm_as_ctrl_c() as is_terminated:
        try:
            try:
                app()  # typer itself exits: 0, or 2 for wrong usage
            finally:
                sys.stdout.flush()  # what is buffered may fail to be written, as to a full disk
        except SystemExit as end:
            if end.code == 130:  # typer exits so on Ctrl-C, without a message
                word = "terminated" if is_terminated() else "interrupted"
                Terminal().error(f"{word}. Finished work is kept: rerun the same command to resume.")
            if is_terminated():
                sys.exit(128 + signal.SIGTERM)
            raise
        except AscError as error:
            if SETTINGS.debug:
                raise
            Terminal().error(str(error))
            sys.exit(1)
        except OSError as error:  # a file that can't be read or listed, in any stage
            if SETTINGS.debug or (error.filename is None and error.errno not in OUTPUT_ERRORS | FOLDER_ERRORS):
                raise  # without a file name it is a bug
            if error.filename is None and error.errno in FOLDER_ERRORS:
                Terminal().error("the current folder no longer exists. Change to another one and rerun the command.")
            elif error.filename is None:
                sys.stdout = None  # or Python tries to write the rest at its end
                Terminal().error(f"the output cannot be written: {error.strerror}. Results in files are kept.")
            else:
                Terminal().error(f"{error.filename}: {error.strerror}. Check the path and its permissions.")
            sys.exit(1)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if SETTINGS.debug or package in OWN_PACKAGES:
                raise
            Terminal().error(
                f"{package} is not installed, which this command needs. Install all dependencies: pip install "
                "asc-search"
            )
            sys.exit(1)
        except MemoryError:
            if SETTINGS.debug:
                raise
            Terminal().error(
                "not enough memory. Finished work is kept; see out of memory in search/troubleshooting.md."
            )
            sys.exit(1)


if __name__ == "__main__":
    main()
