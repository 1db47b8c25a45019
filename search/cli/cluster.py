"""`asc cluster`: the files that make a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Write the files that make a cluster.")


@app.callback()
def _group() -> None:
    """Write the files that make a cluster."""  # keeps `init` a command of a group while it is the only one


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.", show_default=False)],
    config: Annotated[
        str | None,
        typer.Option("--config", help="Configuration to search. Default: esc10-fold1.", show_default=False),
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option("--shards", help="URI of feature shards, reachable from every node.", show_default=False),
    ] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="URI of the run's shared storage.", show_default=False)
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="Address of the head node, for `ray up`.", show_default=False)
    ] = None,
    workers: Annotated[
        list[str] | None,
        typer.Option("--worker", help="Address of another node, for `ray up`. Repeatable.", show_default=False),
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="SSH user on these nodes.", show_default=False)] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Container image, for Kubernetes.", show_default=False)
    ] = None,
) -> None:
    """Write files for `ray up`, Kubernetes and `ray job submit`, filled in with the given values.

    Each file begins with the commands that use it. What is not given stays a placeholder, which is listed.
    """
    from data_prep.files.folders import write_folder
    from search.cluster.templates import FILES, ClusterValues, cluster_files

    screen = terminal()
    values = ClusterValues(head, tuple(workers or ()), user, image, shards, storage, config)
    write_folder(folder, cluster_files(folder, values))
    screen.table(f"Written to {folder}", ("file", "for"), FILES.items())
    if values.open_options:
        points = ", ".join(f"{placeholder} ({option})" for placeholder, option in values.open_options.items())
        screen.warn(f"Still to fill in, in the files that you use: {points}")
