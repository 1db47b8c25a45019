"""Checks of a machine or a cluster for a search: versions, storage, shards, processors, access."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from asc_models.processor import instruction_set
from data_prep.errors import AscError, RunError
from data_prep.shards.manifest import read_manifest
from data_prep.store.store import Location, location_inside, location_text, open_store, parse_location
from search.cluster.memory import disk_facts, gpu_facts, memory_facts
from search.cluster.session import OBJECT_STORE_BYTES

THIS_MACHINE = "this machine"
NUMERIC = ("tensorflow", "keras", "ai-edge-litert", "ai-edge-quantizer", "ray", "optuna", "librosa", "numpy")
"""Packages that can change a run's numbers; a run stores their versions."""
PACKAGES = (*NUMERIC, "pyarrow")
"""Packages whose versions must be the same on every node, including those that serialize data between nodes."""
SOURCES = ("data_prep", "asc_models", "results", "search")
JOB_MODULES = ("aiohttp", "aiohttp_cors", "opencensus", "prometheus_client")
"""Modules of `ray[default]` that `ray job submit` needs."""
PROBE = "doctor"
TRIAL_BYTES = 1_500_000_000
"""Memory that a trial of one thread may take: the paper's system 4 on TAU 2020."""
LEAST_FREE_BYTES = 2_000_000_000
"""Space for temporary files below which there is a remark: logs of Ray, and what is unpacked."""


@dataclass(frozen=True)
class Diagnosis:
    """The result of the checks."""

    nodes: dict[str, dict[str, Any]]
    """{node: facts}: the result of `look`, or {"error": text}."""
    problems: tuple[str, ...]
    """What prevents a search, each with the node and a fix."""
    remarks: tuple[str, ...]
    """What does not prevent a search, but affects it."""


def examine(address: str | None, storage: Location | None, shards: Location | None) -> Diagnosis:
    """Return the result of the checks on this machine, on which Ray is started, or on every node of a cluster.

    Args:
        address: of the cluster; None means RAY_ADDRESS, and without it this machine.
        storage: folder or URI to write to and read back from; None skips this check.
        shards: folder or URI of feature shards to read; None skips this check.

    Raises:
        RunError: if there is no cluster at `address`.
    """
    from search.cluster.session import cluster_address, ray_session

    seen = _Probe(storage)
    driver = look(_text(storage), seen.name, _text(shards))
    try:
        if cluster_address(address) is None:
            driver["ray_problem"] = _try_ray()
            return Diagnosis(
                {THIS_MACHINE: driver}, tuple(_problems({THIS_MACHINE: driver})), tuple(_remarks([driver], False))
            )
        with ray_session(address, n_cpus=1):
            from search.cluster.nodes import node_resources, on_every_node

            found = on_every_node(look, _text(storage), seen.name, _text(shards))
            resources = node_resources()
    finally:
        seen.remove()
    nodes = {name: _facts(answer, resources.get(name, {})) for name, answer in found.items()}
    problems = [*_problems(nodes), *_differences(nodes, driver)]
    return Diagnosis(nodes, tuple(problems), tuple(_remarks([driver, *nodes.values()], True)))


def look(storage: str | None, seen: str | None, shards: str | None) -> dict[str, Any]:
    """Return the facts of this machine as plain values; `*_problem` is None if there is no problem.

    Args:
        storage: folder or URI to write to and read back from; None skips this check.
        seen: name of an object in `storage` that the driver has written.
        shards: folder or URI of feature shards to read; None skips this check.
    """
    manifest_hash, shards_problem = _read_shards(shards)
    return {
        "versions": {"python": platform.python_version(), "asc": _product(), **{p: _version(p) for p in PACKAGES}},
        "training": {
            "instruction_set": instruction_set(),
            "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
            "keras_backend": os.environ["KERAS_BACKEND"],
        },
        "n_threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **_gpus(),
        **memory_facts(),
        **disk_facts(),
        "gpus": gpu_facts(),
        "job_modules_missing": [name for name in JOB_MODULES if find_spec(name) is None],
        "auth_mode": os.environ.get("RAY_AUTH_MODE", "not set"),
        "storage_problem": None if storage is None else _try_storage(parse_location(storage), seen),
        "manifest_hash": manifest_hash,
        "shards_problem": shards_problem,
    }


def _try_ray() -> str | None:
    """Start Ray on this machine and import the packages in a worker; return the problem, if any."""
    from search.cluster.nodes import on_every_node
    from search.cluster.session import ROOT, ray_session

    try:
        with ray_session("local", n_cpus=1):
            answers = on_every_node(sources).values()
    except RunError as error:
        return str(error)
    for answer in answers:
        if isinstance(answer, BaseException):
            return f"a worker cannot run asc: {_error_text(answer)}"
        if Path(answer) != ROOT:
            return f"workers import the packages from {answer}, not from {ROOT}; move them away, or check PYTHONPATH"
    return None


def sources() -> str:
    """Return the folder that the packages were imported from."""
    return str(Path(__file__).parents[2])


class _Probe:
    """An object that the driver writes to the storage for the nodes to read."""

    def __init__(self, storage: Location | None) -> None:
        self.name: str | None = None
        self._store = None
        if storage is None:
            return
        try:
            self._store = open_store(location_inside(storage, PROBE))
            name = uuid4().hex
            self._store.write(name, name.encode())
            self.name = name
        except AscError:  # `look` meets and reports the same error
            self._store = None

    def remove(self) -> None:
        """Delete the object."""
        if self._store is not None and self.name is not None:
            self._store.remove(self.name)


def _try_storage(storage: Location, seen: str | None) -> str | None:
    """Write, read back, create twice, delete, and read the driver's object; return the problem, if any."""
    token = f"{uuid4().hex}"
    try:
        store = open_store(location_inside(storage, PROBE))
        if not store.create(token, token.encode()) or store.create(token, b"another"):
            return "an existing object can be created again, so locks do not work; use a store with conditional uploads"
        store.write(token, b"again")
        if store.read(token) != b"again":
            return "an object read back differs from what was written"
        store.remove(token)
        if seen is not None and store.read(seen) != seen.encode():
            return "the driver's object differs from what was written"
    except FileNotFoundError:
        return "the driver's object is missing: this is another storage, such as a folder that is not shared"
    except AscError as error:
        return str(error)
    return None


def _read_shards(shards: str | None) -> tuple[str | None, str | None]:
    if shards is None:
        return None, None
    try:
        return read_manifest(parse_location(shards)).hash(), None
    except AscError as error:
        return None, str(error)


def _problems(nodes: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Yield the problems of each node."""
    for name, facts in nodes.items():
        if "error" in facts:
            yield (
                f"{name}: cannot run asc: {facts['error']}. Install the same commit there, or submit the job with "
                "--working-dir . and --runtime-env."
            )
            continue
        missing = [package for package, version in facts["versions"].items() if version is None]
        if missing:
            yield f"{name}: lacks {', '.join(missing)}: install requirements.lock there."
        if facts.get("ray_problem"):
            yield f"{name}: {facts['ray_problem']}"
        if facts["storage_problem"]:
            yield f"{name}: storage: {facts['storage_problem']}"
        if facts["shards_problem"]:
            yield f"{name}: shards: {facts['shards_problem']}"
        if facts["n_gpus"] > facts["n_gpus_tensorflow"]:
            yield (
                f"{name}: TensorFlow sees {facts['n_gpus_tensorflow']} of {facts['n_gpus']} GPUs: install "
                "tensorflow[and-cuda] there, and a matching driver."
            )
        if facts.get("n_cpus_lent", 0) > facts["n_threads"]:
            yield (
                f"{name}: Ray offers {facts['n_cpus_lent']:g} CPUs, but there are {facts['n_threads']} threads, so "
                "trials would slow each other down. Start the node with --num-cpus."
            )


def _differences(nodes: Mapping[str, Mapping[str, Any]], driver: Mapping[str, Any]) -> Iterable[str]:
    """Yield the differences between each node and the driver's machine."""
    for name, facts in nodes.items():
        for package, version in facts.get("versions", {}).items():
            expected = driver["versions"][package]
            if version is not None and version != expected:
                yield f"{name}: has {package} {version}, the driver {expected}: install the same version on both."
        if facts.get("manifest_hash") and facts["manifest_hash"] != driver["manifest_hash"]:
            yield (
                f"{name}: sees other shards ({facts['manifest_hash']}) than the driver ({driver['manifest_hash']}): "
                "pass a location that is the same for all nodes."
            )


def _remarks(nodes: Iterable[Mapping[str, Any]], is_cluster: bool) -> Iterable[str]:
    known = [facts for facts in nodes if "versions" in facts]
    missing = sorted({name for facts in known for name in facts["job_modules_missing"]})
    if missing:
        yield (
            f"`ray job submit` and `ray up` need ray[default] ({', '.join(missing)} missing): "
            "pip install 'asc-search[cluster]'"
        )
    if len({tuple(facts["training"].items()) for facts in known}) > 1:
        yield "Nodes differ in processor or settings, so a trial's numbers depend on the node that trained it."
    if any(facts["training"]["onednn"] == "0" for facts in known):
        yield "TF_ENABLE_ONEDNN_OPTS is 0: training may be three times slower. Unset it, or set it to 1."
    yield from dict.fromkeys(remark for facts in known for remark in _memory_remarks(facts))
    if is_cluster and known[0]["auth_mode"].lower() != "token":
        yield (
            f"RAY_AUTH_MODE is {known[0]['auth_mode']} here. Nodes and drivers of a cluster need RAY_AUTH_MODE=token "
            "and the same RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH); otherwise anyone who reaches it can run code there."
        )


def _memory_remarks(facts: Mapping[str, Any]) -> Iterable[str]:
    """Yield what a machine may run out of."""
    memory, n_threads = facts["memory_available_bytes"], facts["n_threads"]
    if memory is not None and memory < n_threads * TRIAL_BYTES:
        fitting = max(1, memory // TRIAL_BYTES)
        yield (
            f"{memory / 1e9:.1f} GB of memory are available for {n_threads} threads; a trial of the paper's largest "
            f"network takes {TRIAL_BYTES / 1e9:g} GB. For such networks set search.n_concurrent to {fitting}."
        )
    if facts["temporary_free_bytes"] < LEAST_FREE_BYTES:
        yield (
            f"{facts['temporary_free_bytes'] / 1e9:.1f} GB are free for temporary files. Free some space, or set "
            "TMPDIR to a folder on another disk."
        )
    shared = facts["shared_free_bytes"]
    if shared is not None and shared < 2 * OBJECT_STORE_BYTES:
        yield (
            f"{shared / 1e6:.0f} MB of shared memory are free, Ray needs {OBJECT_STORE_BYTES / 1e6:.0f} and uses the "
            "disk otherwise. Start the container with --shm-size=1g."
        )


def _gpus() -> dict[str, int]:
    """Return the number of GPUs of the machine, and the number that TensorFlow finds in a process without Ray."""
    n_gpus = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    if not n_gpus:
        return {"n_gpus": 0, "n_gpus_tensorflow": 0}
    code = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, errors="replace", check=False)
    output = done.stdout.split()
    return {"n_gpus": n_gpus, "n_gpus_tensorflow": int(output[-1]) if output and output[-1].isdigit() else 0}


def _facts(answer: Any, resources: Mapping[str, float]) -> dict[str, Any]:
    """Return a node's facts with the resources that Ray offers there, or its error."""
    if isinstance(answer, BaseException):
        return {"error": _error_text(answer)}
    return {**answer, "n_cpus_lent": resources.get("CPU", 0), "n_gpus_lent": resources.get("GPU", 0)}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _product() -> str:
    """Return the product's version and a hash of its source files, which distinguishes commits."""
    from data_prep import __version__

    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for package in SOURCES for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__} {digest.hexdigest()[:8]}"


def _error_text(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"[:300].rstrip(". ")


def _text(location: Location | None) -> str | None:
    return None if location is None else location_text(location)
