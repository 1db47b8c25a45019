"""The paper's configuration on a miniature corpus: it runs, and its tables are next to the paper's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from process_support import ROOT

from data_prep.config import SynthConfig
from data_prep.shards.manifest import read_manifest
from data_prep.synth import synthesize

ASC = (sys.executable, "-m", "search.cli.main")


@pytest.mark.full
def test_the_reports_systems_run_on_a_miniature_of_tau(tmp_path):
    """Systems 1–4 on all offline copies, one epoch each, fit the limit; Tables 1 and 2 stand beside the published."""
    synthesize(tmp_path / "mini", SynthConfig(n_locations=4, n_segments=1, n_cities=2, evaluate_share=1.0))
    systems = [{"name": f"system{i}", "preset": f"cao2021-system{i}", "epochs": 1} for i in (1, 2, 3, 4)]
    changes = ["prepare.validation.fraction=0.3", f"retrain.systems={json.dumps(systems)}"]
    command = [*ASC, "run", "tau2020-cao2021", "--data", str(tmp_path / "mini"), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*command, *(word for change in changes for word in ("--set", change))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=900,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stderr
    made = {copies.augmentation for copies in read_manifest(tmp_path / "run" / "shards").copies if copies.n_copies}
    assert made == {"spectrum_correction", "pitch_shift", "speed_change", "mix"}
    for title in ("Table 1: accuracy by scene", "Table 2: accuracy by device"):
        assert title in done.stdout
    assert "publ." in done.stdout
    for i in (1, 2, 3, 4):
        metrics = json.loads((tmp_path / "run" / "candidates" / f"system{i}-s0" / "metrics.json").read_text())
        assert metrics["mode"] == "float16"
        assert metrics["weight_bytes"] <= 128_000
        assert metrics["agreement"] >= 0.99
    assert metrics["weight_bytes"] == 96_606
