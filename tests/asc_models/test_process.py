"""The start of TensorFlow in a process that only trains."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARTED = """
import sys
from asc_models.process import UNUSED, start_tensorflow

start_tensorflow(3)
print(*[name for name in UNUSED if name in sys.modules])
import tensorflow as tf
import sklearn.svm, matplotlib.pyplot, keras

print(tf.config.threading.get_intra_op_parallelism_threads(), sklearn.svm.SVC.__name__, keras.__name__)
"""


@pytest.mark.system
def test_keras_starts_without_what_no_training_uses():
    """Neither package is loaded with it, though both are installed, and both can be imported afterwards."""
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", "3 SVC keras"]
