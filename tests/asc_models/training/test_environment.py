"""What a user's environment says of TensorFlow and Keras: what may reach a training, and what may not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from process_support import ROOT

pytestmark = pytest.mark.system  # starts processes

STEP = """
import json, os
import numpy as np, pandas as pd
from asc_models.config import TrainConfig
from asc_models.networks.families import ModelConfig
from asc_models.training.trainer import Trainer
from data_prep.config import ReaderSpec
from data_prep.reader.reader import FeatureSet
rng = np.random.default_rng(0)
clips = FeatureSet(
    rng.standard_normal((8, 16, 24)).astype(np.float16), np.arange(8) % 2, pd.DataFrame(), ("a", "b"), ReaderSpec()
)
network = ModelConfig(stem_filters=8, stages=({"filters": 8},))
trainer = Trainer(network, TrainConfig(batch_size=4, mixup_alpha=0), clips, seed=0)
trainer.train_to(1)
from tensorflow.python.util import _pywrap_util_port
import keras
print(json.dumps({
    "backend": keras.config.backend(),
    "dtypes": sorted({str(weight.dtype) for weight in trainer.model.weights}),
    "input": trainer.model.input_shape,
    "epsilon": keras.config.epsilon(),
    "sum": float(sum(np.abs(weight).sum() for weight in trainer.model.get_weights())),
    "flag": os.environ["TF_ENABLE_ONEDNN_OPTS"],
    "onednn": _pywrap_util_port.IsMklEnabled(),
}))
"""


def trained(home: Path, **environment: str) -> dict[str, object]:
    """Train one epoch in a process of this environment and return what it says of itself."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", STEP],
        capture_output=True,
        text=True,
        env={**kept, "HOME": str(home), "KERAS_HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a training says where the user has set nothing."""
    return trained(tmp_path_factory.mktemp("home"))


def test_other_projects_settings_of_keras_do_not_reach_a_training(usual: dict[str, object], tmp_path: Path) -> None:
    """KERAS_BACKEND=jax and a keras.json of channels first and float16: the weights are those of a clean home."""
    said = {"backend": "jax", "floatx": "float16", "epsilon": 1e-2, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(said))
    theirs = trained(tmp_path, KERAS_BACKEND="jax")
    assert theirs["backend"] == "tensorflow"
    assert theirs["dtypes"] == ["float32"]
    assert theirs["input"][-1] == 3
    assert theirs == usual


def test_onednn_is_on_unless_the_user_says_no(usual: dict[str, object], tmp_path: Path) -> None:
    """On any processor TensorFlow runs with oneDNN; the user's own 0 stands."""
    assert (usual["flag"], usual["onednn"]) == ("1", True)
    theirs = trained(tmp_path, TF_ENABLE_ONEDNN_OPTS="0")
    assert (theirs["flag"], theirs["onednn"]) == ("0", False)


def test_keras_on_another_backend_is_refused_with_the_way_out() -> None:
    """Where Keras was loaded first, on another backend, the import says what to do instead of failing somewhere."""
    code = (
        "import types, sys\nkeras = types.ModuleType('keras')\n"
        "keras.config = types.SimpleNamespace(backend=lambda: 'jax')\n"
        "sys.modules['keras'] = keras\nimport asc_models.training.layers"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "Keras uses the backend jax: import asc_models before keras." in done.stderr
