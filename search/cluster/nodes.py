"""Calls that run once on every node of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from data_prep.errors import RunError
from data_prep.files.files import write_error

TIMEOUT_S = 300.0
"""Seconds that a node may take to start a process and answer."""


def on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Return {node: result of `function` there, or the exception}, the head first.

    Args:
        function: importable from this package, as nodes find it by name.
        arguments: passed to it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    calls = {}
    for node in sorted(_alive(), key=lambda node: (not _is_head(node), node["NodeManagerAddress"], node["NodeID"])):
        affinity = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        calls[node_name(node)] = task.options(scheduling_strategy=affinity).remote(*arguments)
    found = {}
    for name, reference in calls.items():
        try:
            found[name] = ray.get(reference, timeout=TIMEOUT_S)
        except Exception as error:  # any failure on the node is its result
            found[name] = getattr(error, "cause", None) or error
    return found


def node_resources() -> dict[str, dict[str, float]]:
    """Return {node: {resource: amount}} of the nodes that are alive."""
    return {node_name(node): dict(node["Resources"]) for node in _alive()}


def node_name(node: dict[str, Any]) -> str:
    """Return a node's name for messages: its address and the first characters of its id."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"


def require_shared_folder(folder: Path) -> None:
    """Check that every node sees files that are written into `folder` here.

    Raises:
        RunError: if a node does not.
    """
    if len(_alive()) < 2:
        return
    mark = folder / f".seen-{uuid4().hex}"
    try:
        mark.touch()
        seen = on_every_node(sees, str(mark.absolute()))
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        mark.unlink(missing_ok=True)
    blind = [name for name, answer in seen.items() if answer is not True]
    if blind:
        raise RunError(
            f"{folder}: is not visible on {', '.join(blind)}: trials on several nodes need shared storage for their "
            "checkpoints. Pass --storage (s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, or a folder that every node mounts), "
            "or an --out in such a folder."
        )


def require_gpus(gpus_per_trial: float) -> None:
    """Check that a node has enough GPUs for a trial.

    Raises:
        RunError: if none has.
    """
    most = max((node["Resources"].get("GPU", 0.0) for node in _alive()), default=0.0)
    if gpus_per_trial > most:
        raise RunError(
            f"--gpus-per-trial {gpus_per_trial:g}: no node has more than {most:g} GPUs, so no trial could start. "
            "Request fewer, or pass --address of a cluster that has more."
        )


def sees(path: str) -> bool:
    """Return whether a file exists on this machine."""
    return Path(path).exists()


def _alive() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _is_head(node: dict[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]
