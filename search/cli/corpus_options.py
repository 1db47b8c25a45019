"""Options that describe the layout of a data set, for the commands that read one."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

PANEL = "Data set layout"


def _option(kind: type, metavar: str | None, help_text: str) -> Any:
    option = typer.Option(help=help_text, metavar=metavar, show_default=False, rich_help_panel=PANEL)
    return Annotated[kind | None, option]


CORPUS_OPTIONS: dict[str, Any] = {
    "layout": _option(str, "LAYOUT", "tau, tut, evaluation, table, esc50 or folders. Default: detected automatically."),
    "table": _option(str, "FILE", "CSV, TSV or Parquet file that lists the clips, relative to DATA."),
    "file_column": _option(str, "NAME", "Column of the table with the audio files, relative to DATA."),
    "label_column": _option(str, "NAME", "Column with the scene."),
    "device_column": _option(str, "NAME", "Column with the recording device."),
    "location_column": _option(str, "NAME", "Column with the recording location; a location is in one split only."),
    "city_column": _option(str, "NAME", "Column with the city."),
    "segment_column": _option(str, "NAME", "Column with the recording's segment, shared by devices."),
    "split_column": _option(str, "NAME", "Column with the split: train, validation, test or evaluation."),
    "fold_column": _option(
        str,
        "NAME",
        "Column with the fold in which the clip is tested; with a split column, the fold that the split is of.",
    ),
    "subset": _option(str, "NAME", "Subset of ESC-50: esc10."),
    "k_folds": _option(int, None, "Make this many folds by location."),
    "split": _option(int, "SHARE", "TAU 2022 Mobile: train on 5, 10, 25, 50 or 100 % of the data."),
}
"""{key of `prepare.corpus`: its option}."""


def with_corpus_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with `CORPUS_OPTIONS` added to its signature.

    The options given are passed to its parameter `corpus`, as overrides of a configuration.
    """

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        """Collect the options and run the command."""
        given = {name: arguments.pop(name) for name in CORPUS_OPTIONS}
        corpus = [f"prepare.corpus.{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
        command(**arguments, corpus=corpus)

    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)  # typer does not resolve the signature's annotations
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
