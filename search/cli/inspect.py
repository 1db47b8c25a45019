"""`asc inspect`: what is in a folder of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import JsonOption, terminal


def inspect(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of feature shards.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Say what prepared data hold: features, scenes, splits, devices, and what was put aside."""
    from data_prep.inspect import summarize

    summary = summarize(shards)
    screen = terminal()
    if as_json:
        screen.json(summary)
        return
    screen.say(str(summary))
