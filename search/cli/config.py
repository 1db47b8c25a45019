"""`asc config`: a configuration with all its keys, and the JSON Schema that editors check one against."""

from __future__ import annotations

import sys
import textwrap
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import SetOption, terminal

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Show a configuration with all its keys, or its JSON Schema."
)


@app.command()
def show(
    config_file: Annotated[
        str, typer.Argument(metavar="[CONFIG]", help="YAML file or shipped name.", show_default=True)
    ] = "default",
    overrides: SetOption = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of a data set for which `recipe: auto` picks values.", show_default=False),
    ] = None,
    shards: Annotated[
        str | None, typer.Option("--shards", help="Shards for which `recipe: auto` picks values.", show_default=False)
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference of all keys as a Markdown page instead.")
    ] = False,
) -> None:
    """Print the resolved configuration as YAML, each key with its meaning as a comment."""
    from search.api import pick_recipe
    from search.config import read_run_config
    from search.config_text import commented_yaml, reference

    config, picks = pick_recipe(read_run_config(config_file, overrides or ()), data=data, shards=shards)
    for pick in picks:
        print("\n".join(f"# {line}" for line in textwrap.wrap(str(pick), 116)))
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # as a file is read, whatever the locale says
    print(reference() if markdown else commented_yaml(config), end="")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file, for completion and checks in an editor."""
    from search.config_text import json_schema

    terminal().json(json_schema())
