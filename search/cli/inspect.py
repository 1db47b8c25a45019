"""`asc inspect`: summary and figures of feature shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import JsonOption, terminal
from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.store.store import Location


def inspect(
    shards: Annotated[
        str, typer.Argument(metavar="SHARDS", help="Folder or URI of feature shards.", show_default=False)
    ],
    as_json: JsonOption = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="OUT", help="Folder for figures, as PNG and SVG.", show_default=False),
    ] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="Fold of the figures. Default: the lowest.", show_default=False)
    ] = None,
) -> None:
    """Summarize prepared data: features, scenes, splits, devices and quarantined clips.

    --plot draws log-mels and deltas of a few clips of each scene, the devices' average spectra before and after
    spectrum correction, and the counts by scene, device and split.
    """
    from data_prep.shards.summary import summarize
    from data_prep.store.store import parse_location

    summary = summarize(parse_location(shards))
    screen = terminal()
    if plot is not None:
        _draw(screen, parse_location(shards), plot, fold)
    if as_json:
        screen.json(summary)
        return
    spec = summary["spec"]
    n_shards = f"{summary['n_shards']} shard{'s' if summary['n_shards'] != 1 else ''}"
    screen.say(
        f"{summary['name']} ({summary['hash']}): {summary['n_clips']:,} clips of {spec['clip_seconds']:g} s in "
        f"{n_shards}, {summary['bytes_per_clip']:,} bytes a clip; log-mel with {spec['n_mels']} "
        f"bands, {spec['n_fft']} points, hop {spec['hop_length']}, {spec['sample_rate']:,} Hz"
    )
    screen.say("")
    for number, splits in summary["folds"].items():
        _show_fold(screen, number, splits, summary["classes"])
    if summary["copies"]:
        screen.table("Augmented copies of training clips", ("augmentation", "copies"), list(summary["copies"].items()))
    floor = {scene: of for scene, of in summary["floor_frames"].items() if of["n_floor"]}
    if floor:
        rows = [
            (scene, of["n_frames"], of["n_floor"], f"{of['n_floor'] / of['n_frames']:.1%}")
            for scene, of in floor.items()
        ]
        screen.table("Frames of digital silence", ("scene", "frames", "silent", "share"), rows)
    for kind in ("quarantine", "silent", "missing"):
        if summary[kind]:
            columns = ("clip", "reason") if kind == "quarantine" else ("clip",)
            screen.table(kind.capitalize(), columns, [_named(entry)[: len(columns)] for entry in summary[kind]])
    for warning in summary["warnings"]:
        screen.warn(warning)


def _draw(screen: Terminal, shards: Location, folder: Path, fold: int | None) -> None:
    from data_prep.figures.all import write_figures

    for path in write_figures(shards, folder, fold=fold):
        screen.note(f"Figure: {path} (and .svg)")


def _show_fold(screen: Terminal, fold: Any, splits: dict[str, Any], classes: list[str]) -> None:
    from data_prep.corpora.splits import SPLITS

    splits = {name: splits[name] for name in SPLITS if name in splits}
    devices = sorted({device for counts in splits.values() for device in counts["by_device"]})
    rows = [("clips", *(counts["n_clips"] for counts in splits.values()))]
    rows += [("locations", *(counts["n_locations"] for counts in splits.values()))]
    rows += [(scene, *(counts["by_scene"].get(scene, 0) for counts in splits.values())) for scene in classes]
    rows += [(f"device {name}", *(counts["by_device"].get(name, 0) for counts in splits.values())) for name in devices]
    screen.table(f"Fold {fold}", ("", *splits), rows)


def _named(entry: Any) -> tuple[str, str]:
    if isinstance(entry, dict):
        return str(entry.get("clip_id") or entry.get("filename")), str(entry.get("reason", ""))
    return str(entry), ""
