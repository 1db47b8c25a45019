"""Log-mels of clips with their deltas, by scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from data_prep.config import DELTA_LOSS, FeatureSpec
from data_prep.features.log_mel import mel_filters
from data_prep.figures.data import Example, PlotData
from data_prep.figures.style import Theme, blank
from data_prep.reader.inputs import deltas
from data_prep.wording import shortened

DB = 10 / np.log(10)
"""Decibels in one unit of the natural logarithm of power."""
_CHANNELS = ("log-mel", "Δ", "ΔΔ")
_UNITS = ("log-mel, dB", "Δ, dB a frame", "ΔΔ, dB a frame²")
_MAPS = ("magma", "RdBu_r", "PuOr_r")
_PANEL = (1.5, 0.8)
"""Width and height of one picture in inches."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN, _ROW = 2.1, 0.3, 1.0, 1.15, 0.3, 1.08
_MOST_COLUMNS = 160
"""Largest width of a picture in frames. Longer clips are averaged, since thirty clips would take many megabytes."""


def db_of(spec: FeatureSpec) -> float:
    """Return the decibels per unit of the stored log-mel, which is of power or of magnitude (`power`)."""
    return float(DB * 2 / spec.power)


def mel_centres_hz(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Return the centre of each mel band in Hz, (n_mels,): the centroid of its filter."""
    filters = mel_filters(spec)
    bins_hz = np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate)
    weights = filters.sum(axis=1)
    known = weights > 0  # a band narrower than a bin may contain no bin
    centres = (filters[known] @ bins_hz) / weights[known]
    return np.asarray(np.interp(np.arange(len(weights)), np.flatnonzero(known), centres))


def log_mel_figure(data: PlotData, theme: Theme) -> Figure:
    """Return a figure of a few clips per scene: log-mel, deltas and deltas of deltas, in dB on shared scales.

    `data.examples` must not be empty. Orders of deltas for which the clips have too few frames are left out.
    """
    n_clips = max(len(found) for found in data.examples.values())
    group = 3 * _PANEL[0] + 0.12  # also for fewer pictures, as the texts need the width
    width = _LEFT + n_clips * group + (n_clips - 1) * _BETWEEN + _RIGHT
    height = _TOP + len(data.examples) * _ROW + _BOTTOM
    figure = blank(theme, width, height)
    scales = _scales([e.log_mel for found in data.examples.values() for e in found], data.spec)
    for row, (scene, found) in enumerate(data.examples.items()):
        y = height - _TOP - row * _ROW - _PANEL[1]
        name = shortened(scene.replace("_", " "))
        figure.text(0.25 / width, (y + _PANEL[1] / 2) / height, name, color=theme.ink, va="center")
        for column, example in enumerate(found):
            x = _LEFT + column * (group + _BETWEEN)
            first, last = column == 0, row == len(data.examples) - 1
            _draw_clip(figure, theme, (x, y), example, data.spec, scales, hz=first, seconds=last)
    figure.text(0.25 / width, 1 - 0.38 / height, f"{data.name}: clips as stored", **_title(theme))
    figure.text(0.25 / width, 1 - 0.62 / height, _subtitle(data), color=theme.muted, fontsize=9.5)
    _draw_scales(figure, theme, scales)
    return figure


def _title(theme: Theme) -> dict[str, Any]:
    return {"color": theme.ink, "fontsize": 13, "fontweight": "bold"}


def _subtitle(data: PlotData) -> str:
    spec = data.spec
    shown = ("", ", with first deltas", ", with first and second deltas")[_n_orders(spec.n_frames)]
    return (
        f"Training clips of fold {data.fold}, {spec.clip_seconds:g} s each: {spec.n_mels} mel bands × {spec.n_frames} "
        f"frames{shown}."
    )


def _n_orders(n_frames: int) -> int:
    """Return how many orders of deltas, at most 2, have a valid frame in a clip of `n_frames`."""
    return min(2, (n_frames - 1) // DELTA_LOSS)


def _channels(log_mel: npt.NDArray[np.float16], spec: FeatureSpec) -> list[npt.NDArray[np.float32]]:
    """Return log-mel, deltas and deltas of deltas in dB; only the orders that have a valid frame."""
    channels = [log_mel.astype(np.float32) * np.float32(db_of(spec))]
    for _ in range(_n_orders(log_mel.shape[1])):
        channels.append(deltas(channels[-1]))
    return channels


def _scales(log_mels: list[npt.NDArray[np.float16]], spec: FeatureSpec) -> list[Normalize]:
    """Return one scale for all log-mels, and one, symmetric about 0, for each order of deltas."""
    log_mel, *slopes = (np.stack(parts) for parts in zip(*(_channels(x, spec) for x in log_mels), strict=True))
    low, high = np.percentile(log_mel, (1, 99.9))
    most = [float(np.percentile(np.abs(slope), 99)) for slope in slopes]
    low = max(low, high - 80)  # digital silence is far below everything else
    return [Normalize(low, max(high, low + 1)), *(Normalize(-max(m, 0.1), max(m, 0.1)) for m in most)]


def _draw_clip(
    figure: Figure,
    theme: Theme,
    corner: tuple[float, float],
    example: Example,
    spec: FeatureSpec,
    scales: list[Normalize],
    *,
    hz: bool,
    seconds: bool,
) -> None:
    """Draw the three pictures of a clip side by side, with the lower left corner at `corner` inches."""
    width, height = figure.get_size_inches()
    for k, (picture, scale, colours) in enumerate(zip(_channels(example.log_mel, spec), scales, _MAPS, strict=False)):
        x, y = corner[0] + k * (_PANEL[0] + 0.06), corner[1]
        axes = figure.add_axes((x / width, y / height, _PANEL[0] / width, _PANEL[1] / height))
        lost = (spec.n_frames - picture.shape[1]) / 2 * spec.hop_length / spec.sample_rate
        end = max(spec.clip_seconds - lost, lost + spec.hop_length / spec.sample_rate)  # a single frame has a width
        extent = (lost, end, 0, spec.n_mels)
        axes.imshow(
            _shortened(picture),
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap=colours,
            norm=scale,
            interpolation="none",
        )
        axes.set_xlim(0, spec.clip_seconds)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(colors=theme.muted, labelcolor=theme.muted, labelsize=7.5, length=2.5, pad=2)
        ticks = [float(f) for f in (100, 1000, 4000, 16_000) if spec.fmin_hz < f < spec.sample_rate / 2]
        positions = np.interp(ticks, mel_centres_hz(spec), np.arange(spec.n_mels) + 0.5)
        axes.set_yticks(positions if hz and k == 0 else [], [_hz(f) for f in ticks] if hz and k == 0 else None)
        axes.set_xticks([0, spec.clip_seconds] if k == 0 else [])
        axes.set_xticklabels(["0", f"{spec.clip_seconds:g} s"] if seconds and k == 0 else [] if k else ["", ""])
        if k == 0:
            caption = f"device {example.device}" + (f", {example.location}" if example.location else "")
            axes.set_title(shortened(caption), loc="left", fontsize=8, color=theme.muted, pad=3)
        else:
            axes.set_title(_CHANNELS[k], loc="right", fontsize=8, color=theme.muted, pad=3)


def _shortened(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the picture with neighbouring frames averaged until it is narrow enough."""
    n = -(-picture.shape[1] // _MOST_COLUMNS)
    whole = picture[:, : picture.shape[1] // n * n]
    return np.asarray(whole.reshape(len(picture), -1, n).mean(axis=2))


def _hz(hz: float) -> str:
    return f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"


def _draw_scales(figure: Figure, theme: Theme, scales: list[Normalize]) -> None:
    """Draw the colour scales of the log-mels and of each order of deltas along the bottom."""
    width, height = figure.get_size_inches()
    for k, (scale, colours, name) in enumerate(zip(scales, _MAPS, _UNITS, strict=False)):  # a scale per order shown
        axes = figure.add_axes(((_LEFT + k * (_PANEL[0] + 0.06)) / width, 0.5 / height, 1.12 / width, 0.1 / height))
        bar = figure.colorbar(ScalarMappable(scale, colours), cax=axes, orientation="horizontal")
        bar.outline.set_visible(False)
        ends = [float(scale.vmin or 0), float(scale.vmax or 0)]
        bar.set_ticks(ends, labels=[f"{end:.2g}" for end in ends])
        axes.tick_params(colors=theme.muted, labelcolor=theme.muted, labelsize=7.5, length=2.5, pad=2)
        axes.set_title(name, loc="left", fontsize=8, color=theme.muted, pad=3)
