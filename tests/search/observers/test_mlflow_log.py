"""MLflow holds what the ledger says, over any number of sessions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ledger_support import story
from observer_support import Fixed, play, play_in_sessions
from process_support import ROOT
from results_support import make_run

from data_prep.errors import ConfigError, DataError
from results.ledger.trials import trials_table
from search.observers.background import InBackground
from search.observers.mlflow_log import MlflowLog

OF_MLFLOW = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""MLflow uses what SQLAlchemy has deprecated."""


@pytest.mark.system
def test_without_mlflow_the_way_out_is_told():
    """Asked for and not installed, the message names what to install, before anything starts."""
    script = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from importlib import util; util.find_spec = lambda name: None\n"
        "from search.observers.mlflow_log import MlflowLog\n"
        "MlflowLog('http://127.0.0.1:1', 'x')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert f"{ConfigError.__name__}: --mlflow: MLflow is not installed" in done.stderr
    assert "asc-search[mlflow]" in done.stderr


def test_credentials_in_the_address_are_refused():
    """Before anything is sent or MLflow is looked for; the message has the variables and not the password."""
    with pytest.raises(DataError, match=r"https://host/x: .*MLFLOW_TRACKING_PASSWORD") as error:
        MlflowLog("https://me:hunter2@host/x", "esc")
    assert "hunter2" not in str(error.value)


@pytest.mark.system
@OF_MLFLOW
def test_mlflow_holds_one_run_a_trial_over_sessions(tmp_path):
    """On a database of its own: each trial once, its scores by epochs, its state; runs of other searches untouched."""
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    from mlflow.tracking import MlflowClient

    events, uri = story(), f"sqlite:///{tmp_path / 'mlflow.db'}"
    other = [{**event, "time": "2025-01-01T00:00:00+00:00"} for event in events[:3]]
    assert play(Fixed(), other, MlflowLog(uri, "esc")) == []
    play_in_sessions(events, [9, 21, 40], lambda: InBackground(MlflowLog(uri, "esc")))
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("esc")
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.data.tags["asc.begun"][:4] == "2026"]
    table = trials_table(events).set_index("trial_id")
    table = table[table["state"] != "infeasible"]
    states = {run.data.tags["asc.trial_id"]: run.data.tags["asc.state"] for run in runs}
    assert len(runs) == len(table)
    assert states == table["state"].to_dict()
    assert "RUNNING" not in {run.info.status for run in runs}
    promoted = next(run for run in runs if run.data.tags["asc.trial_id"] == "t0002")
    history = client.get_metric_history(promoted.info.run_id, "macro_accuracy")
    assert [(point.step, point.value) for point in history] == [(2, pytest.approx(0.43)), (6, 0.77)]
    assert {"weight_bytes", "n_params", "macs"} <= set(promoted.data.metrics)  # to sort and plot by
    assert promoted.data.params["filters"] in {"8", "16", "24", "32"}


@pytest.mark.system
@OF_MLFLOW
def test_mlflow_holds_the_candidates_with_their_files(tmp_path):
    """Each candidate once, however often it is sent, with files that can be read back, and apart from trials."""
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed")
    from mlflow.tracking import MlflowClient

    events, uri = story(), f"sqlite:///{tmp_path / 'mlflow.db'}"
    run = make_run(tmp_path / "run", n_candidates=2, search=False)
    for files in run.candidates():
        files.tflite_path.write_bytes(b"model")
    for _ in range(2):
        MlflowLog(uri, "esc").send_candidates(events, run.candidates())
        assert play(Fixed(), [*events[:9]], MlflowLog(uri, "esc")) == []
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("esc")
    runs = client.search_runs([experiment.experiment_id])
    sent = {one.data.tags["asc.candidate"]: one for one in runs if "asc.candidate" in one.data.tags}
    assert sorted(sent) == [files.name for files in run.candidates()]
    for files in run.candidates():
        found = sent[files.name]
        assert found.info.status == "FINISHED"
        assert found.data.metrics["weight_bytes"] > 0
        assert 0 < found.data.metrics["test_macro_accuracy"] <= 1
        names = {item.path for item in client.list_artifacts(found.info.run_id)}
        assert names == {"model.tflite", "metrics.json", "config.yaml"}  # these candidates have no card
        copy = client.download_artifacts(found.info.run_id, "metrics.json", str(tmp_path))
        assert Path(copy).read_text() == files.metrics_path.read_text()
