"""The `asc` command as the tests give it: in this process for what it answers, in one of its own where that matters."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from process_support import ROOT

ASC = (sys.executable, "-m", "search.cli.main")
"""The command line of a process of its own; further arguments follow."""


@dataclass(frozen=True)
class Answer:
    """What a command wrote, once it ended with the expected exit code."""

    stdout: str
    stderr: str


def checked(arguments: tuple[object, ...], code: object, expected: int, stdout: str, stderr: str) -> Answer:
    assert code == expected, f"asc {' '.join(map(str, arguments))}: exit {code}\n{stdout}\n{stderr}"
    assert "Traceback" not in stderr
    return Answer(stdout, stderr)


def asc(*arguments: object, code: int = 0, folder: Path = ROOT, encoding: str = "utf-8", **environment: str) -> Answer:
    """Return what `asc ARGUMENTS` writes, run in this process and `folder`; its exit code must be `code`.

    Standard output and standard error have the `encoding`; what they got is read as UTF-8.
    """
    from search.cli.main import main

    written, ended = (io.BytesIO(), io.BytesIO()), 0
    out, err = (io.TextIOWrapper(stream, encoding=encoding, write_through=True) for stream in written)
    with (
        patch.object(sys, "argv", ["asc", *map(str, arguments)]),
        patch.dict(os.environ, {"COLUMNS": "80", **environment}),
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            ended = end.code or 0
    stdout, stderr = (stream.getvalue().decode("utf-8", errors="replace") for stream in written)
    return checked(arguments, ended, code, stdout, stderr)


def asc_process(*arguments: object, code: int = 0, options: tuple[str, ...] = ()) -> Answer:
    """Return what `asc ARGUMENTS` writes in a process of its own, with Python's own `options`."""
    command = [ASC[0], *options, *ASC[1:], *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return checked(arguments, done.returncode, code, done.stdout, done.stderr)
