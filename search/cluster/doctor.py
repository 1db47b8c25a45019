"""What keeps a machine, or a node of a cluster, from searching: versions, storage, shards, processors, access."""

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
from data_prep.errors import AscError
from data_prep.shards.manifest import read_manifest
from data_prep.store import Location, location_inside, location_text, open_store, parse_location

THIS_MACHINE = "this machine"
NUMERIC = ("tensorflow", "keras", "ai-edge-litert", "ai-edge-quantizer", "ray", "optuna", "librosa", "numpy")
"""Packages that can change a run's numbers; it notes their versions."""
PACKAGES = (*NUMERIC, "pyarrow")
"""Packages whose versions must be the same everywhere: also what changes what is sent between nodes."""
SOURCES = ("data_prep", "asc_models", "results", "search")
JOB_MODULES = ("aiohttp", "aiohttp_cors", "opencensus", "prometheus_client")
"""What `ray[default]` brings and `ray job submit` needs."""
PROBE = "doctor"


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    nodes: dict[str, dict[str, Any]]
    """{node: facts}: those of `look`, or {"error": text}."""
    problems: tuple[str, ...]
    """Each with the node and what to do."""
    remarks: tuple[str, ...]
    """What is no fault, but worth knowing."""


def examine(address: str | None, storage: Location | None, shards: Location | None) -> Diagnosis:
    """Return what this machine, or every node of the cluster at `address`, is fit for.

    Raises:
        RunError: if there is no cluster at `address`.
    """
    from search.cluster.session import cluster_address, ray_session

    seen = _Probe(storage)
    here = look(_text(storage), seen.name, _text(shards))
    try:
        if cluster_address(address) is None:
            return Diagnosis(
                {THIS_MACHINE: here}, tuple(_problems({THIS_MACHINE: here})), tuple(_remarks([here], False))
            )
        with ray_session(address, n_cpus=1):
            from search.cluster.nodes import node_resources, on_every_node

            found = on_every_node(look, _text(storage), seen.name, _text(shards))
            resources = node_resources()
    finally:
        seen.remove()
    nodes = {name: _facts(answer, resources.get(name, {})) for name, answer in found.items()}
    problems = [*_problems(nodes), *_differences(nodes, here)]
    return Diagnosis(nodes, tuple(problems), tuple(_remarks([here, *nodes.values()], True)))


def look(storage: str | None, seen: str | None, shards: str | None) -> dict[str, Any]:
    """Return the facts of the machine that runs this: plain values, `*_problem` None where all is well.

    Args:
        storage: place to write to and read back from.
        seen: name of an object there that the driver has written.
        shards: prepared features that must be readable.
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
        "job_modules_missing": [name for name in JOB_MODULES if find_spec(name) is None],
        "auth_mode": os.environ.get("RAY_AUTH_MODE", "not set"),
        "storage_problem": None if storage is None else _try_storage(parse_location(storage), seen),
        "manifest_hash": manifest_hash,
        "shards_problem": shards_problem,
    }


class _Probe:
    """An object that the driver leaves in the storage for the nodes to see."""

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
        except AscError:  # found again, and told, by `look`
            self._store = None

    def remove(self) -> None:
        """Take it away."""
        if self._store is not None and self.name is not None:
            self._store.remove(self.name)


def _try_storage(storage: Location, seen: str | None) -> str | None:
    """Write, read back, read what the driver wrote, create twice, remove; return what went wrong."""
    mine = f"{uuid4().hex}"
    try:
        store = open_store(location_inside(storage, PROBE))
        if not store.create(mine, mine.encode()) or store.create(mine, b"another"):
            return "two may write one name, so no lock can be had there; use a store with conditional uploads"
        store.write(mine, b"anew")
        if store.read(mine) != b"anew":
            return "what was written comes back otherwise"
        store.remove(mine)
        if seen is not None and store.read(seen) != seen.encode():
            return "what the driver wrote comes back otherwise"
    except FileNotFoundError:
        return "what the driver wrote is not there: it is another place, such as a folder that is not shared"
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
    """Yield what is wrong with each node by itself."""
    for name, facts in nodes.items():
        if "error" in facts:
            yield (
                f"{name}: cannot run the product: {facts['error']}. Install it there (the same commit), or submit "
                "the job with --working-dir . and --runtime-env."
            )
            continue
        missing = [package for package, version in facts["versions"].items() if version is None]
        if missing:
            yield f"{name}: lacks {', '.join(missing)}: install requirements.lock there."
        if facts["storage_problem"]:
            yield f"{name}: storage: {facts['storage_problem']}"
        if facts["shards_problem"]:
            yield f"{name}: shards: {facts['shards_problem']}"
        if facts["n_gpus"] > facts["n_gpus_tensorflow"]:
            yield (
                f"{name}: TensorFlow sees {facts['n_gpus_tensorflow']} of {facts['n_gpus']} GPUs: install "
                "tensorflow[and-cuda] there, and a driver that fits."
            )
        if facts.get("n_cpus_lent", 0) > facts["n_threads"]:
            yield (
                f"{name}: Ray lends {facts['n_cpus_lent']:g} CPUs of {facts['n_threads']} threads: trials would get in "
                "each other's way. Start the node with --num-cpus."
            )


def _differences(nodes: Mapping[str, Mapping[str, Any]], here: Mapping[str, Any]) -> Iterable[str]:
    """Yield what isn't on a node as it is where the driver runs."""
    for name, facts in nodes.items():
        for package, version in facts.get("versions", {}).items():
            ours = here["versions"][package]
            if version is not None and version != ours:
                yield f"{name}: has {package} {version}, the driver {ours}: install the same on both."
        if facts.get("manifest_hash") and facts["manifest_hash"] != here["manifest_hash"]:
            yield (
                f"{name}: sees other shards ({facts['manifest_hash']}) than the driver ({here['manifest_hash']}): give "
                "a place that is the same for all."
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
        yield "Nodes differ in what training computes with, so a trial's numbers depend on the node it ran on."
    if any(facts["training"]["onednn"] == "0" for facts in known):
        yield "TF_ENABLE_ONEDNN_OPTS is 0: training may run at a third of its speed. Leave it unset, or set it to 1."
    if is_cluster and known[0]["auth_mode"].lower() != "token":
        yield (
            f"RAY_AUTH_MODE is {known[0]['auth_mode']} here. Nodes and drivers of a cluster need RAY_AUTH_MODE=token "
            "and the same RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH); without, whoever reaches it can run code there."
        )


def _gpus() -> dict[str, int]:
    """Return how many GPUs the machine has, and how many TensorFlow finds: asked where Ray hides none."""
    n_gpus = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    if not n_gpus:
        return {"n_gpus": 0, "n_gpus_tensorflow": 0}
    code = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    said = done.stdout.split()
    return {"n_gpus": n_gpus, "n_gpus_tensorflow": int(said[-1]) if said and said[-1].isdigit() else 0}


def _facts(answer: Any, resources: Mapping[str, float]) -> dict[str, Any]:
    """Return what a node answered, and what Ray may lend of it."""
    if isinstance(answer, BaseException):
        return {"error": _error_text(answer)}
    return {**answer, "n_cpus_lent": resources.get("CPU", 0), "n_gpus_lent": resources.get("GPU", 0)}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _product() -> str:
    """Return the product's version and what its source files come to, so that another commit shows."""
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
