"""The files that a cluster is made by are what Ray takes."""

import re

import pytest
import yaml
from process_support import ROOT

FOLDER = ROOT / "search" / "cluster"


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.mark.system
def test_ray_up_takes_the_cluster():
    """`cluster.yaml` passes Ray's own check, and mounts and installs the project on every node."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(read("cluster.yaml"))
    validate_config(config)
    assert config["file_mounts"]["~/asc"] == "."
    assert any("--editable ~/asc" in command for command in config["setup_commands"])
    assert any("RAY_AUTH_MODE=token" in command for command in config["setup_commands"])
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.system
def test_ray_takes_the_runtime_environment():
    """`runtime_env.yaml` passes Ray's own check, and installs what the lock file names."""
    from ray.runtime_env import RuntimeEnv

    environment = RuntimeEnv(**read("runtime_env.yaml"))
    assert environment["pip"]["packages"] == ["--requirement ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.lock"]
    assert (ROOT / "requirements.lock").exists()


def test_the_rayjob_fits_ray_and_itself():
    """`rayjob.yaml` asks for the Ray of the lock file, with token authentication, and searches with a storage."""
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    locked = re.search(r"^ray(?:\[.*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert cluster["rayVersion"] == locked[1]
    assert cluster["authOptions"] == {"mode": "token"}
    assert job["spec"]["entrypoint"].startswith("asc search ")
    assert "--storage s3://" in job["spec"]["entrypoint"]


@pytest.mark.system
def test_an_upload_of_the_project_is_small(tmp_path):
    """What `ray job submit --working-dir .` uploads has every module and the lock file, no tests, and is below 5 MB."""
    from zipfile import ZipFile

    from ray._private.runtime_env.packaging import create_package

    package = tmp_path / "upload.zip"
    create_package(str(ROOT), package, include_gitignore=True, include_parent_dir=False)
    assert package.stat().st_size < 5_000_000
    names = set(ZipFile(package).namelist())
    assert {"requirements.lock", "search/sweep.py", "search/presets/demo.yaml", "data_prep/store/store.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", ".git/", "results/runs/"))]
