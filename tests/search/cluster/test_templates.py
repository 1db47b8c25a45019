"""The files of a cluster, filled in: what is given is where it belongs, what is not is listed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from cli_support import asc
from process_support import ROOT

from data_prep.errors import ConfigError
from search.cluster.templates import FILES, ClusterValues, cluster_files

VALUES = ClusterValues(
    head="10.0.0.1",
    workers=("10.0.0.2", "10.0.0.3", "node-4.lan"),
    user="ray",
    image="registry.example.org/asc:1",
    shards="s3://mine/shards",
    storage="/mnt/shared/run",
    config="default",
)


def filled(values=VALUES, folder=Path("my cluster")):
    return {name: content.decode() for name, content in cluster_files(folder, values).items()}


def test_the_values_are_where_they_belong():
    """Nodes with their number, user, image, configuration, shards and storage; no placeholder is left."""
    texts = filled()
    cluster, job = yaml.safe_load(texts["cluster.yaml"]), yaml.safe_load(texts["rayjob.yaml"])
    assert cluster["provider"] == {"type": "local", "head_ip": VALUES.head, "worker_ips": list(VALUES.workers)}
    assert cluster["min_workers"] == cluster["max_workers"] == 3
    assert cluster["auth"]["ssh_user"] == "ray"
    assert job["spec"]["entrypoint"] == (
        "asc search default --shards s3://mine/shards --storage /mnt/shared/run --out /tmp/one"
    )
    groups = job["spec"]["rayClusterSpec"]
    for group in (groups["headGroupSpec"], *groups["workerGroupSpecs"]):
        assert group["template"]["spec"]["containers"][0]["image"] == VALUES.image
    assert f"--tag {VALUES.image} ." in texts["Dockerfile"]
    assert VALUES.open_options == {}
    for text in texts.values():
        for placeholder in ("HEAD:", "WORKER", " USER", "IMAGE", "BUCKET", "esc10-fold1", "search/cluster/"):
            assert placeholder not in text
    assert "ray up 'my cluster'/cluster.yaml" in texts["cluster.yaml"]


def test_without_values_the_files_are_those_that_are_shipped():
    """Apart from the folder in their commands; every placeholder is listed with its option."""
    values = ClusterValues()
    for name, text in filled(values, Path("search/cluster")).items():
        assert text == (ROOT / "search" / "cluster" / name).read_text(encoding="utf-8")
    assert set(values.open_options.values()) == {"--head", "--worker", "--user", "--image", "--shards", "--storage"}


def test_the_image_has_the_ray_of_the_job():
    """The Dockerfile's Ray is that of rayjob.yaml."""
    texts = filled()
    version = yaml.safe_load(texts["rayjob.yaml"])["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"FROM rayproject/ray:{version}-py311\n" in texts["Dockerfile"]


def test_an_image_leaves_out_what_a_job_does():
    """`.dockerignore` lists what `.rayignore` does, in its own patterns: an environment alone has gigabytes."""
    ray, docker = (
        (ROOT / name).read_text(encoding="utf-8").splitlines()[1:] for name in (".rayignore", ".dockerignore")
    )
    assert [line.rstrip("/") for line in ray] == [line.removeprefix("**/") for line in docker]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("head", "a\nb: c", "--head a.*letters, digits"),
        ("workers", ("fine", "x, y"), "--worker x, y: may have"),
        ("user", "-oProxyCommand=x", "--user"),
        ("image", "$(reboot)", "--image"),
        ("shards", "shards", "--shards shards: every node must find it"),
        ("storage", "./run", "--storage"),
    ],
)
def test_what_would_be_something_else_in_the_files_is_refused(name, value, reason):
    """Line breaks, lists, options and commands, and paths that only this machine knows."""
    with pytest.raises(ConfigError, match=reason):
        ClusterValues(**{name: value})


def test_the_folder_is_named_and_new(tmp_path):
    """A name with a line break is no line of the files; a folder in use is kept."""
    texts = filled(folder=Path("a\nkind: b"))
    assert all("\nkind: b" not in text for text in texts.values())
    assert shlex.quote("a\\nkind: b") in texts["cluster.yaml"]
    said = asc("cluster", "init", tmp_path / "new", "--head", "h", "--user", "u")
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(FILES)
    assert "WORKER1, WORKER2 (--worker)" in " ".join(said.stderr.split())
    assert "HEAD (--head)" not in said.stderr
    assert "need a new or empty folder" in " ".join(asc("cluster", "init", tmp_path / "new", code=1).stderr.split())
