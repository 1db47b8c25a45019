"""`asc data`: download a data set, and check it before it is prepared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.corpus_options import with_corpus_options
from search.cli.options import JsonOption, SetOption, WorkersOption, n_workers, terminal
from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.check.report import CheckReport
    from search.config import RunConfig

N_SHOWN = 5
"""Findings of one kind that are printed; `--out` writes all."""

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Download a data set, or check one before it is prepared."
)


@app.command()
def download(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Data set. Default: list those known.", show_default=False)
    ] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Folder to create.", show_default=False)] = None,
) -> None:
    """Download a published data set, verify its checksums and unpack it.

    Rerun the same command to resume an interrupted download.
    """
    from data_prep.download.download import download as load
    from data_prep.download.download import needed_bytes
    from data_prep.download.sets import KNOWN, load_set

    screen = terminal()
    if name is None:
        rows = [
            (key, known.title, None if known.n_bytes is None else f"{known.n_bytes / 1e9:.1f}")
            for key, known in KNOWN.items()
        ]
        screen.table("Data sets", ("name", "title", "GB to download"), rows)
        return
    data_set = load_set(name)
    if folder is None:
        raise typer.BadParameter("name the folder to download into", param_hint="DIR")
    needed = needed_bytes(data_set)
    size = f"about {needed / 1e9:.1f} GB on disk" if needed is not None else "size unknown"
    screen.note(f"{KNOWN[name].title}: {len(data_set.archives)} archives, {size}")
    screen.note(f"Licence: {data_set.licence}")
    with screen.stage("Download", "MB") as on_progress:
        load(data_set, folder, on_progress=lambda done, total: on_progress(done // 10**6, total // 10**6))
    screen.say(f"{name}: {folder}. Next: asc data check {folder}")


@app.command()
@with_corpus_options
def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the data set.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write all findings to this CSV file, and the counts to NAME.counts.csv next to it.",
            show_default=False,
        ),
    ] = None,
    config_file: Annotated[
        str | None,
        typer.Option("--config", help="YAML file or shipped name to check against.", show_default=False),
    ] = None,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    corpus: Sequence[str] = (),
) -> None:
    """Decode every recording and report missing, corrupt, duplicated or wrongly listed ones.

    Exits with 1 if `asc prepare` would refuse the data set or quarantine a clip. Clips must have the length that
    `asc prepare` takes with the same --config and --set: the one they set, else (`recipe: auto`) the recordings' median
    length if it is 0.5 to 30 s, else 10 s.
    """
    from data_prep.check.check import check_data
    from data_prep.check.report import report_values, write_report
    from search.config import read_run_config

    screen = terminal()
    settings = read_run_config(config_file or "default", [*corpus, *(overrides or ())])
    config = settings.prepare
    wanted = _clip_seconds(settings, data)
    with screen.stage("Check", "files") as on_progress:
        report = check_data(data, config, clip_seconds=wanted, n_workers=n_workers(workers), on_progress=on_progress)
    if out is not None:
        screen.note(f"Written: {out}, {write_report(report, out)}")
    if as_json:
        screen.json(report_values(report))
    else:
        _show(screen, report)
    if report.n_errors:
        raise typer.Exit(1)


def _clip_seconds(settings: RunConfig, data: Path) -> float | None:
    """Return the length of a clip that `asc prepare` takes; None if it depends on lists that it would refuse."""
    from data_prep.errors import DataError
    from search.api import pick_recipe
    from search.recipe import picked_keys

    if "prepare.features.clip_seconds" not in picked_keys(settings):
        return settings.prepare.features.clip_seconds
    try:
        picked, _ = pick_recipe(settings, data=data)
    except DataError:  # the check reports it
        return None
    return picked.prepare.features.clip_seconds


def _show(screen: Terminal, report: CheckReport) -> None:
    screen.say(
        f"{report.n_listed:,} clips listed (layout {report.layout or 'unknown'}), {report.n_described:,} described "
        f"but in no list, {report.n_files:,} audio files on disk: {report.hours:.2f} h, typically "
        f"{report.typical_seconds:g} s each"
    )
    screen.say("")
    screen.table(
        "Recordings",
        ("encoding", "Hz", "channels", "files"),
        [(*form, n) for form, n in sorted(report.forms.items(), key=lambda item: -item[1])],
    )
    for fold in sorted({count.fold for count in report.counts}):
        _show_fold(screen, report, fold)
    kinds = Counter((finding.severity, finding.kind) for finding in report.findings)
    if not kinds:
        screen.say("No problems found.")
        return
    screen.table("Findings", ("severity", "kind", "n"), [(*kind, n) for kind, n in kinds.items()])
    for severity, kind in kinds:
        found = [f for f in report.findings if (f.severity, f.kind) == (severity, kind)]
        for finding in found[:N_SHOWN]:
            where = f" ({finding.where})" if finding.where else ""
            show = screen.error if severity == "error" else screen.warn
            show(f"{kind}: {finding.filename or 'data set'}{where}: {finding.message}")
        if len(found) > N_SHOWN:
            screen.say(f"… and {len(found) - N_SHOWN:,} more of {kind}; --out FILE.csv writes all")


def _show_fold(screen: Terminal, report: CheckReport, fold: int) -> None:
    counts = [count for count in report.counts if count.fold == fold]
    columns = list(dict.fromkeys((count.split, count.device) for count in counts))
    scenes = sorted({count.scene for count in counts})
    cells = {(count.split, count.device, count.scene): count for count in counts}
    rows: list[tuple[Any, ...]] = [
        (scene, *(_cell([cells[*column, scene]] if (*column, scene) in cells else []) for column in columns))
        for scene in scenes
    ]
    totals = [_cell([c for c in counts if (c.split, c.device) == column]) for column in columns]
    title = f"Fold {fold}: clips by split, device and scene (usable/listed where they differ)"
    screen.table(title, ("", *(f"{split}\n{device}" for split, device in columns)), [*rows, ("all", *totals)])


def _cell(counts: list[Any]) -> int | str:
    listed, usable = sum(count.n_listed for count in counts), sum(count.n_usable for count in counts)
    return listed if usable == listed else f"{usable:,}/{listed:,}"
