"""Figures are drawn from what a run holds, with equal bytes for equal data, and show what they claim."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from results_support import add_candidate, add_history, add_search, forget_locations, make_run

from asc_models.rules import Quantity, RulesConfig
from data_prep.figures.style import DARK, LIGHT, Theme, styled, to_png, to_svg
from results.candidates.limits import Limits
from results.config import EnsembleConfig
from results.ensembles.ensemble import build_ensemble
from results.report.data import RunData, read_run_data
from results.report.figures.all import all_plots
from results.report.figures.scores import group_figure
from results.report.figures.search import learning_figure, pareto_figure, trial_sizes
from results.report.tables.calibration import calibrated_systems, calibration_table

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    run = make_run(tmp_path_factory.mktemp("figures") / "run")
    build_ensemble(run, EnsembleConfig(), Limits())
    return read_run_data(run)


def _texts(figure: Figure) -> Iterator[str]:
    for axes in figure.axes:
        yield from (text.get_text() for text in [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label])
        yield from (text.get_text() for text in axes.get_xticklabels())
    for legend in figure.legends:
        yield from (text.get_text() for text in legend.get_texts())


def test_a_whole_run_has_every_figure(data: RunData) -> None:
    """Search, candidates and test predictions give seven figures, each with words for who can't see it."""
    plots = all_plots(data)
    stems = ["pareto", "learning", "knobs", "by_device", "by_scene", "confusion", "calibration"]
    assert [plot.stem for plot in plots] == stems
    assert all(len(plot.alt) > 40 for plot in plots)


def test_the_pareto_plot_shows_all_it_should(data: RunData) -> None:
    """Limit, candidates, ensemble and refused proposals are named; every trial is a mark; sizes are in kB."""
    with styled():
        figure = pareto_figure(data, LIGHT)
    texts = " | ".join(_texts(figure))
    for wanted in (
        "128,000 bytes",
        "128 kB",
        "(selected)",
        "ensemble of 2",
        "over the limit",
        "retrained",
        "7 proposals",
    ):
        assert wanted in texts
    assert all(any(candidate.name in text for text in _texts(figure)) for candidate in data.candidates)
    n_marks = sum(len(collection.get_offsets()) for collection in figure.axes[0].collections)
    assert n_marks >= 24 + 3 + 1


def test_labels_do_not_cover_each_other(data: RunData) -> None:
    """No two labels of the Pareto plot overlap, and none leaves the axes."""
    with styled():
        figure = pareto_figure(data, LIGHT)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        names = {candidate.name for candidate in data.candidates} | {"ensemble of 2"}
        labels = [text for text in axes.texts if text.get_text().removesuffix(" (selected)") in names]
        boxes = [label.get_window_extent() for label in labels]
        frame = axes.get_window_extent()
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes)


def _crowded(data: RunData, points: list[tuple[int, float]], trials: list[float]) -> RunData:
    """Return the run with candidates at these (size, validation accuracy), and trials of these accuracies."""
    model = data.candidates[0]
    candidates = []
    for i, (size, accuracy) in enumerate(points):
        splits = {"validation": {**model.metrics.splits["validation"], "macro_accuracy": accuracy}}
        metrics = dataclasses.replace(model.metrics, splits=splits, nonzero_weight_bytes=size)
        candidates.append(dataclasses.replace(model, files=data.run.candidate(f"t{i:04d}", 0), metrics=metrics))
    table = data.trials[data.trials["macro_accuracy"].notna()].head(len(trials)).copy()
    table["macro_accuracy"] = trials
    return dataclasses.replace(data, candidates=candidates, selected=candidates[0], trials=table, ensembles=[])


NEAR_PERFECT = [0.96, 0.97, 0.98, 0.98, 0.98, 1.0, 0.70, 0.71]
CROWDS = {
    "near 100 %": ([(15_800, 1.0), (19_400, 1.0), (22_400, 0.98)], NEAR_PERFECT),
    "six at 100 %": ([(15_000 + 400 * i, 1.0 - 0.004 * (i % 3)) for i in range(6)], NEAR_PERFECT),
    "six in one spot": ([(60_000, 0.7)] * 6, [0.5, 0.6, 0.65]),
    "at the limit": ([(127_000 - 300 * i, 0.55 + 0.01 * i) for i in range(6)], [0.4, 0.45, 0.52]),
    "over the limit": ([(900_000, 0.5), (120, 0.45)], [0.4]),
    "all at chance": ([(40_000 + 900 * i, 0.0) for i in range(6)], [0.0, 0.0]),
    "all perfect": ([(9_000 + 90 * i, 1.0) for i in range(6)], [1.0, 1.0]),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_candidates_stays_readable(data: RunData, crowd: str) -> None:
    """The axes keep half the figure's height; no label covers another or leaves the axes; 100 % is the last tick."""
    crowded = _crowded(data, *CROWDS[crowd])
    with styled():
        figure = pareto_figure(crowded, LIGHT)
        to_png(figure)
        to_svg(figure)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        frame, legend = axes.get_window_extent(), figure.legends[0].get_window_extent()
        names = {candidate.name for candidate in crowded.candidates}
        labels = [text for text in axes.texts if text.get_text().removesuffix(" (selected)") in names]
        boxes = [Text.get_window_extent(label) for label in labels]
        limit = next(text for text in axes.texts if "at most" in text.get_text()).get_window_extent()
        below = axes.xaxis.label.get_window_extent()
    assert frame.height >= 0.5 * figure.bbox.height
    assert frame.width >= 0.75 * figure.bbox.width
    assert len(boxes) == len(names)
    all_boxes = [*boxes, limit]
    assert not any(a.overlaps(b) for i, a in enumerate(all_boxes) for b in all_boxes[:i])
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in all_boxes)
    for box in (axes.title.get_window_extent(), axes.yaxis.label.get_window_extent(), legend, below):
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
    assert not legend.overlaps(below)
    shown = [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    assert len(shown) >= 3
    assert min(shown) >= 0
    assert max(shown) <= 1 + 1e-9
    for size, accuracy in CROWDS[crowd][0]:
        assert frame.contains(*axes.transData.transform((size, accuracy)))


def test_short_bars_have_their_number_beside_them(data: RunData) -> None:
    """A bar too short for its number has it in the page's ink to its right, a long one in its own ground inside."""
    table = pd.DataFrame({"device": ["a", "b"], "n_clips": 20, "macro_accuracy": [0.02, 0.9]})
    table = table.assign(low=[0.0, 0.9], high=[0.06, 0.9], log_loss=1.0)
    with styled():
        axes = group_figure(table, "device", 0.5, LIGHT, "Accuracy by device").axes[0]
    short, long = (next(text for text in axes.texts if text.get_text() == name) for name in ("2.0 %", "90.0 %"))
    assert short.get_position()[0] > 0.06
    assert short.get_color() == LIGHT.ink
    assert long.get_position()[0] < 0.1
    assert long.get_color() == LIGHT.background


@pytest.mark.parametrize("n_known", [240, 40, 0])
def test_whiskers_say_their_method(tmp_path: Path, n_known: int) -> None:
    """Scenes' and devices' labels name the one method, whether locations are known or not."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    forget_locations(run, n_known)
    labels = {
        plot.stem: plot.draw(LIGHT).axes[0].get_xlabel()
        for plot in all_plots(read_run_data(run))
        if plot.stem.startswith("by_")
    }
    assert len(labels) == 2
    assert all(label.endswith("interval by Wilson's method") for label in labels.values())


@pytest.mark.parametrize("state", ["paused", "stopped", "running", "failed"])
def test_only_finished_trials_make_the_front(data: RunData, state: str) -> None:
    """A trial that has not finished is a mark above the front, whatever its value, and no line in the finished look."""
    trials = data.trials.copy()
    best = trials["macro_accuracy"].idxmax()
    trials.loc[best, ["state", "macro_accuracy"]] = [state, 0.999]
    changed = dataclasses.replace(data, trials=trials)
    with styled():
        drawn, learning = pareto_figure(changed, LIGHT), learning_figure(changed, LIGHT)
    (front,) = [line for line in drawn.axes[0].lines if str(line.get_label()).startswith("front")]
    finished = trials[trials["state"] == "finished"]
    assert max(front.get_ydata()) == finished["macro_accuracy"].max() < 0.999
    assert front.get_label() == "front of the finished trials"
    assert f"{len(finished)} of them finished" in " | ".join(_texts(drawn))
    name = trials.loc[best, "trial_id"]
    assert not any(text.startswith(f"{name}  ") for text in _texts(learning))
    grey = sum(len(one.get_segments()) for one in _collections(learning) if one.get_alpha() == 0.55)
    assert grey == _n_curves(learning) - len(finished)


def _collections(figure: Figure) -> list[LineCollection]:
    return [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]


def _n_curves(figure: Figure) -> int:
    """Return the number of lines: that of the best trial, and those in collections."""
    return len(figure.axes[0].lines) + sum(len(one.get_segments()) for one in _collections(figure))


def test_learning_lines_are_the_trials(data: RunData) -> None:
    """One line per trial over its rungs, and the axis says how many got how far."""
    with styled():
        figure = learning_figure(data, DARK)
    assert _n_curves(figure) == 24
    assert {"2\n24 trials", "14\n3 trials"} <= set(_texts(figure))


def _dotted(axes: Axes) -> list[float]:
    """Return where vertical lines are."""
    return [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]


def test_training_curves_show_restarts_averages_and_no_missing_value(tmp_path: Path) -> None:
    """Restarts once if all agree, else per candidate; the average is a star; without validation only the loss."""
    run = make_run(tmp_path / "run", n_candidates=2, search=False)
    first, second = run.candidates()
    add_history(first)
    add_history(second, swa_share=0.25, with_validation=False)
    (plot,) = [plot for plot in all_plots(read_run_data(run)) if plot.stem == "training"]
    assert f"{first.name} 0.480 after epoch 14" in plot.alt
    assert f"{second.name} without validation" in plot.alt
    axes = plot.draw(LIGHT).axes
    assert [one.get_ylabel() for one in axes] == [
        "training loss, nats",
        "validation log loss, nats",
        "validation macro accuracy",
    ]
    for number, one in enumerate(axes):
        curves = [line for line in one.lines if len(line.get_xdata()) == 14]
        finite = [bool(np.isfinite(line.get_ydata()).any()) for line in curves]
        assert finite.count(True) == (2 if number == 0 else 1)
        assert _dotted(one) == [2, 6]
    add_history(second, epochs=6)
    (plot,) = [plot for plot in all_plots(read_run_data(run)) if plot.stem == "training"]
    assert sorted(_dotted(plot.draw(LIGHT).axes[0])) == [2, 2, 6]
    add_history(second, swa_share=0.25)
    first.history_path.unlink()
    (plot,) = [plot for plot in all_plots(read_run_data(run)) if plot.stem == "training"]
    figure = plot.draw(LIGHT)
    assert {"learning rate restarts", "averaged epochs", "averaged weights"} < set(_texts(figure))
    stars = [one.get_offsets().tolist() for one in figure.axes[1].collections if len(one.get_offsets()) == 1]
    assert [14, pytest.approx(2.1 * 0.9**14)] in [star[0] for star in stars]
    add_history(second, with_validation=False)
    (plot,) = [plot for plot in all_plots(read_run_data(run)) if plot.stem == "training"]
    assert len(plot.draw(LIGHT).axes) == 1


def test_losses_far_above_chance_are_marks_at_the_edge(tmp_path: Path) -> None:
    """The axis of the log loss ends a little above chance; a note says how high the others are."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    (files,) = run.candidates()
    add_history(files)
    table = pd.read_parquet(files.history_path)
    table.loc[0, "log_loss"] = 11.6
    table.to_parquet(files.history_path, index=False)
    (plot,) = [plot for plot in all_plots(read_run_data(run)) if plot.stem == "training"]
    figure = plot.draw(LIGHT)
    assert figure.axes[1].get_ylim() == pytest.approx((0, 1.2 * np.log(10)))
    assert "▲ above the axis, at most 11.6" in set(_texts(figure))


def test_the_calibration_curve_is_that_of_the_error(data: RunData) -> None:
    """The marks are the bins of the table: candidate, candidate with its temperature, ensemble; names have the ECE."""
    (plot,) = [plot for plot in all_plots(data) if plot.stem == "calibration"]
    figure = plot.draw(LIGHT)
    assert data.selected is not None
    bins = calibration_table(data).frame()
    assert bins["system"].unique().tolist() == [*calibrated_systems(data)]
    tempered = f"{data.selected.name} with temperature {data.temperature(data.selected.name):.2f}"
    assert [*calibrated_systems(data)] == [data.selected.name, tempered, "ensemble"]
    marks = np.concatenate([np.asarray(one.get_offsets()) for one in figure.axes[0].collections])
    np.testing.assert_allclose(marks, bins[["confidence", "accuracy"]])
    error = 100 * data.selected.metrics.value("test", "calibration_error")
    assert f"{data.selected.name}: ECE {error:.1f} %" in set(_texts(figure))
    assert f"{data.selected.name}: ECE {error:.1f} %" in plot.alt


def test_many_trials_are_an_image_within_the_figure(tmp_path: Path) -> None:
    """Each of 1,500 trials as a shape would take a megabyte; names and axes stay shapes. Knobs show 400 at most."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_search(run, n_trials=1500)
    for plot in all_plots(read_run_data(run)):
        svg = to_svg(plot.draw(LIGHT))
        assert (b"<image" in svg) == (plot.stem != "knobs")
        assert len(svg) < 700_000


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_equal_data_give_equal_bytes(data: RunData, theme: Theme) -> None:
    """Drawn twice, a figure's SVG is the same, without date or program name, and the PNG is a picture."""
    plot = next(plot for plot in all_plots(data) if plot.stem == "learning")
    first, second = to_svg(plot.draw(theme)), to_svg(plot.draw(theme))
    assert first == second
    assert b"dc:date" not in first
    assert to_png(plot.draw(theme)).startswith(b"\x89PNG")


def test_a_search_alone_and_a_candidate_alone_are_drawn(tmp_path: Path) -> None:
    """Without candidates there are the search's figures; without a search those of the candidate; of nothing, none."""
    search = make_run(tmp_path / "a", n_candidates=0)
    assert [plot.stem for plot in all_plots(read_run_data(search))] == ["pareto", "learning", "knobs"]
    alone = make_run(tmp_path / "b", n_candidates=1, search=False)
    plots = all_plots(read_run_data(alone))
    assert [plot.stem for plot in plots] == ["pareto", "by_device", "by_scene", "confusion", "calibration"]
    plots[0].draw(LIGHT)
    nothing = make_run(tmp_path / "c", n_candidates=0, search=False)
    assert all_plots(read_run_data(nothing)) == []


def test_odd_runs_are_drawn_too(tmp_path: Path) -> None:
    """One trial of one rung, equal values, a class list of two, a candidate over the limit: nothing fails."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False, classes=("dog", "rain"))
    add_search(run, n_trials=1, n_infeasible=0)
    add_candidate(run, "heavy", size=900_000, skill=0.0, classes=("dog", "rain"))
    data = read_run_data(run)
    assert data.selected is None
    for plot in all_plots(data):
        figure = plot.draw(LIGHT)
        assert np.isfinite(figure.axes[0].get_xlim()).all()


@pytest.mark.parametrize("quantity", ["n_params", "macs", "file_bytes"])
def test_any_limited_quantity_can_be_drawn(data: RunData, quantity: str) -> None:
    """A rule on parameters or operations has its own axis, and no size of another kind is mixed in."""
    data = dataclasses.replace(data, limits=only(quantity, 30_000_000))
    sizes = trial_sizes(data)
    started = (data.trials["state"] != "infeasible").to_numpy()
    assert sizes[started].tolist() == data.trials.loc[started, quantity].tolist()
    assert np.isnan(sizes[~started]).all() == (not quantity.endswith("bytes"))
    with styled():
        assert pareto_figure(data, LIGHT).axes


def test_activations_can_be_drawn_too(data: RunData) -> None:
    """The table of trials has no column of them: they are the ledger's, as estimated before the training."""
    events = [{**event, "peak_activation_bytes": 900} for event in data.events]
    data = dataclasses.replace(data, events=events, limits=only("peak_activation_bytes", 1000))
    started = (data.trials["state"] != "infeasible").to_numpy()
    sizes = trial_sizes(data)
    assert set(sizes[started]) == {900}
    assert np.isnan(sizes[~started]).all()
    with styled():
        assert pareto_figure(data, LIGHT).axes


def only(quantity: Quantity, limit: int) -> Limits:
    return Limits(RulesConfig(name="custom", limits={quantity: limit}))
