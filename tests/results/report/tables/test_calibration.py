"""What the report says of confidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_support import add_candidate, make_run

from asc_models.ensemble import temper
from asc_models.metrics import calibration_error, log_loss
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.report.data import RunData, read_run_data
from results.report.models import headline
from results.report.tables.calibration import calibration
from results.report.tables.groups import score_table
from results.report.text import Content


@pytest.mark.parametrize(("sharpened", "verdict"), [(0.2, "over-confident"), (5.0, "under-confident")])
def test_the_sentence_says_what_the_temperature_changes(tmp_path: Path, sharpened: float, verdict: str) -> None:
    """Probabilities that are too sharp or too flat are called so; the fitted temperature lowers the error."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_candidate(run, "one", size=20_000, skill=1.5)
    (files,) = run.candidates()
    for split in ("validation", "test"):
        given = read_predictions(files.predictions_path(split))
        changed = temper(given.probabilities, sharpened).astype("float32")
        write_predictions(files.predictions_path(split), Predictions(given.clips, changed, given.classes))
    data = read_run_data(run)
    content = calibration(data)
    assert content is not None
    assert content["text"].startswith(f"one-s0 is {verdict} as exported: ")
    test, own = data.test["one-s0"], data.calibrations["one-s0"]
    before, after = (calibration_error(test.labels, temper(test.probabilities, t)) for t in (1.0, own.temperature))
    assert after < before
    assert f"ECE {100 * before:.1f} %." in content["text"]
    assert content["text"].endswith(f"With its temperature {own.temperature:.2f}, ECE is {100 * after:.1f} %.")
    (tile,) = [one for one in _headline(data)["tiles"] if one["label"] == "Log loss, test"]
    tempered = log_loss(test.labels, temper(test.probabilities, own.temperature))
    assert tile["value"] == f"{tempered:.3f}", "as packed"
    assert f"the file without it: {log_loss(test.labels, test.probabilities):.3f}" in tile["details"][0]
    assert score_table(data, "scene").frame()["log_loss"].iloc[-1] == pytest.approx(tempered, rel=1e-4)


def _headline(data: RunData) -> Content:
    found = headline(data)
    assert found is not None
    return found
