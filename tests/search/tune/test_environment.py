"""What a trial's worker process is told by the environment."""

import os
import subprocess
import sys

import pytest
from process_support import ROOT

pytestmark = pytest.mark.system  # starts processes

ASK = """
import os
from search.cluster.session import ray_session

def flag():
    import search.tune.trainable  # what a worker loads of ours
    return os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["KERAS_BACKEND"]

with ray_session("local", n_cpus=1):
    import ray
    print(*ray.get(ray.remote(flag).remote()))
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_a_trials_worker_has_onednn_on_unless_the_user_says_no(given, expected):
    """In a worker of Ray the flag is 1, and a user's own 0 is kept; Keras runs on TensorFlow whatever is set."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split()[-2:] == [expected, "tensorflow"], done.stderr
