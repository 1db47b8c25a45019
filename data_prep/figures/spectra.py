"""Average spectra of devices, before and after spectrum correction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from data_prep.augment.logmel import band_offsets
from data_prep.copies.correction import REFERENCE_DEVICE, Correction, pairs
from data_prep.figures.data import PlotData
from data_prep.figures.log_mels import DB, db_of, mel_centres_hz
from data_prep.figures.style import Theme, blank, plain, titled
from data_prep.wording import shortened

Curve = npt.NDArray[np.float64]

_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)), (0, (8, 2)))
_OTHERS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31", "#7B61A8")
"""Colours of the devices other than a: Okabe and Ito's, and two more."""


@dataclass(frozen=True, eq=False)
class Averages:
    """Average spectra of the training clips of each device, (n_mels,) in dB."""

    curves: dict[str, Curve]
    """{device: spectrum}, device a first. Devices with pairs are adjusted to the moments that device a recorded."""
    n_clips: dict[str, int]
    """{device: number of clips in the average}."""


def average_spectra(data: PlotData) -> Averages:
    """Return the average spectrum of each device.

    Plain averages differ because of the devices and because of the moments they recorded. To separate the two, the
    spectrum of a device with pairs is device a's average plus the mean difference over its pairs.
    """
    training = data.clips[data.clips["split"] == "train"]
    rows: Iterable[Any] = training.itertuples()
    twins = pairs(rows)
    if not twins:
        own_rows = {str(device): part.index.to_numpy() for device, part in training.groupby("device")}
        return Averages({k: _mean(data, i) for k, i in own_rows.items()}, {k: len(i) for k, i in own_rows.items()})
    moments = sorted({reference.Index for found in twins.values() for _, reference in found})
    reference = _mean(data, np.array(moments))
    curves, n_clips = {REFERENCE_DEVICE: reference}, {REFERENCE_DEVICE: len(moments)}
    for device, found in twins.items():
        others, references = (np.array([clip.Index for clip in side]) for side in zip(*found, strict=True))
        curves[device] = reference + _mean(data, others) - _mean(data, references)
        n_clips[device] = len(found)
    return Averages(curves, n_clips)


def _mean(data: PlotData, rows: npt.NDArray[np.integer]) -> Curve:
    return np.asarray(data.means[rows].mean(axis=0) * db_of(data.spec))


def distance_db(averages: Averages, reference: Curve) -> float:
    """Return the rms distance in dB of `reference` from the average spectra of all devices other than a."""
    others = [curve for device, curve in averages.curves.items() if device != REFERENCE_DEVICE]
    return float(np.sqrt(np.mean(np.square(np.stack(others) - reference))))


def spectra_figure(data: PlotData, theme: Theme) -> Figure:
    """Return a figure of the average spectra of devices and, if stored, of the correction and its effect."""
    averages = average_spectra(data)
    correction = data.correction
    n = 1 if correction is None else 3
    width, height = 0.9 + 5.2 * n + 0.5 * (n == 1), 5.0
    figure = blank(theme, width, height)
    grid = figure.add_gridspec(
        1, n, left=0.75 / width, right=1 - 0.25 / width, top=1 - 0.7 / height, bottom=1.3 / height, wspace=0.2
    )
    styles = {device: _style(theme, device, k) for k, device in enumerate(sorted(averages.curves))}
    hz = mel_centres_hz(data.spec)
    before = figure.add_subplot(grid[0])
    _frame(before, theme, "dB", "As recorded", "Average spectra of training clips")
    for device, curve in averages.curves.items():
        before.plot(hz, curve, label=f"{shortened(device)} ({averages.n_clips[device]:,} clips)", **styles[device])
    if correction is not None:
        _draw_corrected(figure.add_subplot(grid[1], sharey=before), theme, data, averages, correction, styles)
        _draw_factors(figure.add_subplot(grid[2]), theme, correction, styles)
    figure.legend(
        *before.get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(0.6 / width, 0.02),
        frameon=False,
        labelcolor=theme.ink,
        ncols=9 if n == 3 else 3,
        fontsize=9.5,
        handlelength=3.2,
    )
    return figure


def _draw_corrected(
    axes: Axes, theme: Theme, data: PlotData, averages: Averages, correction: Correction, styles: dict[str, Any]
) -> None:
    reference = averages.curves[REFERENCE_DEVICE]
    corrected = reference + DB * band_offsets(correction.combined, data.spec)
    before, after = (distance_db(averages, curve) for curve in (reference, corrected))
    subtitle = f"Device a from the others: {before:.1f} dB before, {after:.1f} dB after (rms)"
    _frame(axes, theme, "", "After spectrum correction", subtitle)
    hz = mel_centres_hz(data.spec)
    for device, curve in averages.curves.items():
        if device != REFERENCE_DEVICE:
            axes.plot(hz, curve, **{**styles[device], "alpha": 0.55})
    axes.plot(hz, reference, **{**styles[REFERENCE_DEVICE], "color": theme.muted, "linewidth": 1.0})
    axes.plot(hz, corrected, **styles[REFERENCE_DEVICE])
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))  # room for the text above the curves
    widest = int(np.abs(corrected - reference)[len(hz) // 40 :].argmax()) + len(hz) // 40
    higher = 1 if reference[widest] > corrected[widest] else -1
    for curve, words, up in ((reference, "a, as recorded", higher), (corrected, "a, corrected", -higher)):
        axes.annotate(
            words,
            (hz[widest], curve[widest]),
            (26, 14 * up),
            textcoords="offset points",
            color=theme.ink,
            fontsize=9,
            va="center",
            arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.8},
        )


def _draw_factors(axes: Axes, theme: Theme, correction: Correction, styles: dict[str, Any]) -> None:
    least, most = min(correction.n_pairs), max(correction.n_pairs)
    n_pairs = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    subtitle = f"Each device's from {n_pairs} pairs; black: their mean, which is applied"
    _frame(axes, theme, "dB", "Factors on device a's spectrum", subtitle)
    hz = correction.frequency_hz[1:]
    for device, factors in zip(correction.devices, correction.factors, strict=True):
        style = styles.get(device, _style(theme, device, len(styles)))
        axes.plot(hz, 20 * np.log10(factors[1:] + 1e-12), **{**style, "linewidth": 1.1, "alpha": 0.9})
    axes.plot(hz, 20 * np.log10(correction.combined[1:] + 1e-12), color=theme.ink, linewidth=1.8)
    axes.axhline(0, color=theme.muted, linewidth=0.8, zorder=0)


def _frame(axes: Axes, theme: Theme, unit: str, title: str, subtitle: str) -> None:
    plain(axes, theme)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([30, 100, 300, 1000, 3000, 10_000]))
    axes.xaxis.set_major_formatter(lambda hz, _: f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Hz", color=theme.muted)
    axes.set_ylabel(unit, color=theme.muted)
    titled(axes, theme, title, subtitle)


def _style(theme: Theme, device: str, number: int) -> dict[str, Any]:
    if device == REFERENCE_DEVICE:
        return {"color": theme.ink, "linewidth": 2.2, "linestyle": "-"}
    colour, line = _OTHERS[(number - 1) % len(_OTHERS)], _LINES[number % len(_LINES)]
    return {"color": colour, "linewidth": 1.4, "linestyle": line}
