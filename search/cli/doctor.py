"""`asc doctor`: check that this machine, or every node of a cluster, can run a search."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from search.cli.options import AddressOption, JsonOption, StorageOption, terminal

COLUMNS = ("node", "CPUs", "GPUs", "storage", "shards")
MEMORY = ("node", "GB of memory", "available", "disk free", "shared free")
"""Disk: of temporary files. Shared: memory in /dev/shm."""
TRAINING = {"instruction_set": "instruction set", "onednn": "TF_ENABLE_ONEDNN_OPTS", "keras_backend": "Keras backend"}
"""{fact: heading} of what affects the numbers of a training."""


def doctor(
    address: AddressOption = None,
    storage: StorageOption = None,
    shards: Annotated[
        str | None, typer.Option("--shards", help="Folder or URI of feature shards to read.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check versions, storage, shards, threads, GPUs and access on every node. Exits with 1 if there are problems.

    Without --address and RAY_ADDRESS it checks this machine only, and starts Ray on it.
    """
    from data_prep.errors import RunError
    from data_prep.store.store import parse_location
    from search.cluster.doctor import examine

    screen = terminal()
    diagnosis = examine(
        address,
        None if storage is None else parse_location(storage),
        None if shards is None else parse_location(shards),
    )
    if as_json:
        screen.json({"nodes": diagnosis.nodes, "problems": diagnosis.problems, "remarks": diagnosis.remarks})
    else:
        screen.table("Versions", ("package", "version"), _versions(diagnosis.nodes))
        screen.table("Nodes", COLUMNS, [_node(name, facts, storage, shards) for name, facts in diagnosis.nodes.items()])
        screen.table("Memory", MEMORY, [(name, *_memory(facts)) for name, facts in diagnosis.nodes.items()])
        if any(facts.get("gpus") for facts in diagnosis.nodes.values()):
            screen.table("GPUs", ("node", "GPU", "GB", "GB free"), _gpus(diagnosis.nodes))
        screen.table("Training", ("node", *TRAINING.values()), _training(diagnosis.nodes))
        for remark in diagnosis.remarks:
            screen.warn(remark)
    if diagnosis.problems:
        from data_prep.wording import plural

        lines = "\n".join(f"  {problem}" for problem in diagnosis.problems)
        raise RunError(f"{plural(len(diagnosis.problems), 'problem')} to fix:\n{lines}")
    if not as_json:
        screen.say(f"{len(diagnosis.nodes)} of {len(diagnosis.nodes)} ready.")


def _node(name: str, facts: dict[str, Any], storage: str | None, shards: str | None) -> list[Any]:
    if "error" in facts:
        return [name, "–", "–", "–", "–"]
    threads, gpus = str(facts["n_threads"]), str(facts["n_gpus"])
    if "n_cpus_lent" in facts:
        threads, gpus = f"{facts['n_cpus_lent']:g} of {threads}", f"{facts['n_gpus_lent']:g} of {gpus}"
    read = facts["manifest_hash"] or _state(shards, facts["shards_problem"])
    return [name, threads, gpus, _state(storage, facts["storage_problem"]), read]


def _memory(facts: dict[str, Any]) -> list[str]:
    names = ("memory_bytes", "memory_available_bytes", "temporary_free_bytes", "shared_free_bytes")
    return [_gigabytes(facts.get(name)) for name in names]


def _gpus(nodes: dict[str, dict[str, Any]]) -> list[list[str]]:
    return [
        [name, gpu["name"], _gigabytes(gpu["memory_bytes"]), _gigabytes(gpu["memory_free_bytes"])]
        for name, facts in nodes.items()
        for gpu in facts.get("gpus", ())
    ]


def _gigabytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 1e9:.1f}"


def _versions(nodes: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return a row per package: its version, or if nodes differ, each version and the number of nodes with it."""
    rows = []
    known = [facts["versions"] for facts in nodes.values() if "versions" in facts]
    for package in known[0] if known else ():
        found = Counter(str(versions[package]) for versions in known)
        several = len(found) > 1
        rows.append([package, ", ".join(f"{v} on {n}" if several else v for v, n in found.most_common())])
    return rows


def _training(nodes: dict[str, dict[str, Any]]) -> list[list[str]]:
    return [
        [name, *(facts["training"][key] for key in TRAINING)] for name, facts in nodes.items() if "training" in facts
    ]


def _state(asked: str | None, problem: str | None) -> str:
    return "not checked" if asked is None else "problem" if problem else "read, written"
