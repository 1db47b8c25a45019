"""List of the figures of a run, with alternative texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from asc_models.metrics import calibration_error
from data_prep.figures.style import Theme, styled
from data_prep.wording import plural, shortened
from results.ledger.importance import KnobEffects
from results.report.data import RunData
from results.report.figures.calibration import calibration_figure
from results.report.figures.knobs import N_SHOWN, knob_figure
from results.report.figures.scores import confusion_figure, group_figure
from results.report.figures.search import learning_figure, pareto_figure
from results.report.figures.training import training_figure
from results.report.tables.all import confusion_table
from results.report.tables.calibration import calibrated_systems, calibration_table
from results.report.tables.groups import group_table


@dataclass(frozen=True)
class Plot:
    """One figure of a run."""

    stem: str
    """File name without suffix."""
    alt: str
    """Alternative text."""
    draw: Callable[[Theme], Figure]


def all_plots(data: RunData) -> list[Plot]:
    """Return the figures that the run has data for."""
    plots = []
    scored = data.trials["macro_accuracy"].notna()
    if scored.any() or data.candidates:
        plots.append(Plot("pareto", _pareto_alt(data), _styled(lambda theme: pareto_figure(data, theme))))
    if data.rungs["macro_accuracy"].notna().any():
        n = data.rungs["trial_id"].nunique()
        alt = f"Line plot of macro accuracy {data.trials_scored} over epochs for {n} trials."
        plots.append(Plot("learning", alt, _styled(lambda theme: learning_figure(data, theme))))
    if (effects := data.knobs) is not None:
        plots.append(
            Plot("knobs", _knobs_alt(effects), _styled(lambda theme: knob_figure(effects, theme, data.trials_scored)))
        )
    if data.histories:
        plots.append(
            Plot(
                "training",
                _training_alt(data),
                _styled(lambda theme: training_figure(data.histories, theme, len(data.classes))),
            )
        )
    if data.selected is not None and data.selected.name in data.test:
        plots += [*_score_plots(data, data.selected.name), _calibration_plot(data)]
    return plots


def _knobs_alt(effects: KnobEffects) -> str:
    names = ", ".join(one.knob.replace("_", " ") for one in effects.importances[:N_SHOWN])
    return f"Macro accuracy of {plural(len(effects.trials), 'trial')} by the values of their knobs: {names}."


def _training_alt(data: RunData) -> str:
    """Return which trainings are shown, and where each has its lowest validation log loss."""
    lowest = []
    for name, epochs in data.histories.items():
        text = f"{shortened(name)} without validation"
        if epochs["log_loss"].notna().any():
            row = int(epochs["log_loss"].argmin())
            text = f"{shortened(name)} {epochs['log_loss'].min():.3f} after epoch {epochs['epoch'].iloc[row]:,}"
        lowest.append(text)
    return (
        f"Line plots over epochs of training loss, validation log loss and validation accuracy of "
        f"{plural(len(lowest), 'candidate')}. Lowest validation log loss: {', '.join(lowest)}."
    )


def _calibration_plot(data: RunData) -> Plot:
    bins = calibration_table(data).frame()
    errors = {
        name: calibration_error(test.labels, test.probabilities) for name, test in calibrated_systems(data).items()
    }
    names = {ensemble.name: f"{ensemble.name} of {len(ensemble.members)}" for ensemble in data.ensembles}
    labels = {name: f"{shortened(names.get(name, name))}: ECE {100 * error:.1f} %" for name, error in errors.items()}
    alt = (
        "Reliability diagram: share of correct test clips against confidence, with the expected calibration error "
        f"(ECE): {', '.join(labels.values())}."
    )
    return Plot("calibration", alt, _styled(lambda theme: calibration_figure(bins, labels, theme)))


def _score_plots(data: RunData, name: str) -> list[Plot]:
    test = data.test[name]
    overall = float(test.summarize()["macro_accuracy"])
    counts, by_device, by_scene = confusion_table(test), group_table(data, "device"), group_table(data, "scene")

    def bars(group: str) -> Callable[[Theme], Figure]:
        """Return a function that draws the bars by `group`."""
        table, title = (by_device, "Accuracy by device") if group == "device" else (by_scene, "Accuracy by scene")
        return _styled(lambda theme: group_figure(table, group, overall, theme, f"{title}: {name}"))

    confusion = _styled(lambda theme: confusion_figure(counts, theme, f"Confusions: {name}"))
    worst = by_device.sort_values("macro_accuracy").iloc[0]
    hardest = by_scene.sort_values("macro_accuracy").iloc[0]
    return [
        Plot(
            "by_device",
            f"Bars of {name}'s test accuracy on {len(by_device)} devices with intervals; lowest on device "
            f"{worst['device']}, {100 * worst['macro_accuracy']:.1f} percent.",
            bars("device"),
        ),
        Plot(
            "by_scene",
            f"Bars of {name}'s test accuracy on {len(by_scene)} scenes with intervals; lowest on "
            f"{hardest['scene']}, {100 * hardest['macro_accuracy']:.1f} percent.",
            bars("scene"),
        ),
        Plot("confusion", f"Confusion matrix of {name} on the test split, {len(counts)} scenes.", confusion),
    ]


def _pareto_alt(data: RunData) -> str:
    scored = data.trials[data.trials["macro_accuracy"].notna()]
    n_finished = int((scored["state"] == "finished").sum())
    return (
        f"Scatter plot of macro accuracy {data.all_scored} against size for {len(scored)} trials and "
        f"{len(data.candidates)} retrained candidates, with the Pareto front of the {n_finished} finished trials and "
        f"the limit of {data.limit.limit:,}."
    )


def _styled(draw: Callable[[Theme], Figure]) -> Callable[[Theme], Figure]:
    def styled_draw(theme: Theme) -> Figure:
        """Draw with the style of the figures."""
        with styled():
            return draw(theme)

    return styled_draw
