"""Options that say how a data set is read, for the commands that read one."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

PANEL = "How the data set is read"


def _option(kind: type, metavar: str | None, help_text: str) -> Any:
    option = typer.Option(help=help_text, metavar=metavar, show_default=False, rich_help_panel=PANEL)
    return Annotated[kind | None, option]


CORPUS_OPTIONS: dict[str, Any] = {
    "layout": _option(str, "LAYOUT", "tau, tut, evaluation, table, esc50 or folders. Default: found out."),
    "table": _option(str, "FILE", "CSV, TSV or Parquet that names the clips, relative to DATA."),
    "file_column": _option(str, "NAME", "Its column of audio files, relative to DATA."),
    "label_column": _option(str, "NAME", "Its column of scenes."),
    "device_column": _option(str, "NAME", "Its column of devices."),
    "location_column": _option(str, "NAME", "Its column of what is never divided between training and test."),
    "city_column": _option(str, "NAME", "Its column of cities."),
    "segment_column": _option(str, "NAME", "Its column of recorded moments."),
    "split_column": _option(str, "NAME", "Its column with train, validation, test."),
    "fold_column": _option(str, "NAME", "Its column with the fold that tests the clip."),
    "subset": _option(str, "NAME", "Of ESC-50: esc10."),
    "k_folds": _option(int, None, "Cut this many folds by location."),
    "split": _option(int, "SHARE", "TAU 2022 Mobile: train on this share of the data, 5, 10, 25, 50 or 100 %."),
}
"""Options by the keys of `prepare.corpus` that they set."""


def with_corpus_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with the options above in its signature.

    What is given of them reaches its parameter `corpus`, as overrides of a configuration.
    """

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        """Collect the options and run the command."""
        given = {name: arguments.pop(name) for name in CORPUS_OPTIONS}
        corpus = [f"prepare.corpus.{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
        command(**arguments, corpus=corpus)

    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)  # typer takes annotations from the signature as they stand
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name != "corpus"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in CORPUS_OPTIONS.items()
    ]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    wrapped.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return wrapped
