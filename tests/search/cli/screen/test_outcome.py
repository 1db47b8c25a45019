"""The terminal's tables have the columns and the values of the report's CSV files."""

from __future__ import annotations

import pandas as pd
import pytest
from page_support import page_without_figures
from results_support import make_run

from results.candidates.limits import Limits
from results.config import EnsembleConfig
from results.ensembles.ensemble import build_ensemble
from results.published import CLASS_WISE_AVERAGE
from search.cli.screen.outcome import show_outcome
from search.cli.screen.terminal import Terminal


@pytest.mark.system
def test_the_terminal_shows_what_the_tables_hold(tmp_path, capsys, monkeypatch):
    """A row per candidate with the values of candidates.csv, one for the ensemble, the limit, the published tables."""
    monkeypatch.setenv("COLUMNS", "200")
    run = make_run(tmp_path / "run")
    build_ensemble(run, EnsembleConfig(), Limits())
    page_without_figures(run)
    show_outcome(Terminal(), run, run.page_path, 90.0)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "candidate non-zero weights file params cal loss val acc val loss test acc test loss"
    table = pd.read_csv(run.report_dir / "tables" / "candidates.csv")
    for row in table.to_dict("records"):
        sizes = [f"{row[name]:,}" for name in ("nonzero_weight_bytes", "file_bytes", "n_params")]
        shown = next(line.split() for line in lines if line.startswith(row["candidate"]))
        assert shown[:4] == [row["candidate"], *sizes]
        names = [
            *("validation_calibrated_log_loss", "validation_macro_accuracy", "validation_log_loss"),
            *("test_macro_accuracy", "test_log_loss"),
        ]
        assert [float(value) for value in shown[4:]] == pytest.approx([row[name] for name in names], abs=6e-4)
    assert any(line.startswith("ensemble (2)") and " – – " in line for line in lines)
    said = "non-zero weights: at most 128,000 bytes (dcase2021); acc: macro accuracy; loss: log loss in nats"
    assert f"{said}; cal: calibrated" in lines
    scenes = pd.read_csv(run.report_dir / "tables" / "by_scene.csv").set_index("scene")
    tram = next(line.split() for line in lines if line.startswith("tram "))
    assert tram[1:3] == [str(scenes.loc["tram", "n_clips"]), f"{100 * scenes.loc['tram', 'macro_accuracy']:.1f}"]
    assert tram[-1] == f"{100 * scenes.loc['tram', 'published: Sys 4']:.1f}"
    average = next(line.split() for line in lines if line.startswith("average "))
    assert average[1:3] == ["240", f"{100 * scenes.loc['average', 'macro_accuracy']:.1f}"]
    assert average[-1] == f"{CLASS_WISE_AVERAGE['Sys 4']:.1f}"
    assert lines[-1] == f"Report: {run.page_path} (1.5 min)"
