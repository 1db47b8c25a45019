"""Runs to retrain: a search's ledger made by hand on tiny shards, and one candidate of it."""

from __future__ import annotations

import os
from pathlib import Path

from search_support import SPACE, SPEC, settings

from asc_models.candidate import CandidateConfig
from asc_models.networks.network import NetworkConfig
from data_prep.shards.manifest import read_manifest
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.config import RunConfig
from search.run_config import open_run
from search.space.point import build
from search.space.space import Space

TINY, WIDE = (
    build("inverted_residual", {**Space(SPACE).smallest(), **wider}).model
    for wider in ({}, {"base_filters": 32, "n_blocks": 2})
)


def run_config(**retrain_section: object) -> RunConfig:
    asked = settings()
    return RunConfig(
        recipe="paper",
        prepare={"features": SPEC},
        reader=asked.reader,
        rules=asked.rules,
        train=asked.train.updated(epochs=5),
        space=asked.space,
        search=asked.search,
        retrain={"n_candidates": 1, **retrain_section},
    )


def begin(root: Path, config: RunConfig, trials: dict[str, tuple[NetworkConfig, float, int]]) -> RunDirectory:
    """Make a run whose search finished `trials`: {trial_id: (network, macro accuracy, bytes)}."""
    run = RunDirectory(root)
    open_run(run, config)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for trial_id, (network, accuracy, size) in trials.items():
            trained = {
                "model": network.model_dump(mode="json"),
                "train": config.train.updated(epochs=4).model_dump(mode="json"),
                "reader": config.reader.model_dump(mode="json"),
                "mode": "int8_weights",
                "fold": 1,
            }
            ledger.append("trial_started", trial_id=trial_id, params={}, key="k", config=trained, seed=0)
            scores = {"macro_accuracy": accuracy, "log_loss": 1.0, "weight_bytes": size}
            ledger.append("rung", trial_id=trial_id, rung=0, epochs=4, **scores)
            ledger.append("trial_ended", trial_id=trial_id, state="finished", reason=None)
    return run


def events(run: RunDirectory, kind: str) -> list[dict]:
    return [event for event in Ledger(run.ledger_path).events() if event["event"] == kind]


def candidate_of(run: RunDirectory, shards: Path):
    asked, manifest = settings(), read_manifest(shards)
    config = CandidateConfig(
        name="t0001", trial_id="t0001", model=TINY, train=asked.train.updated(epochs=4), features=SPEC,
        reader=asked.reader, classes=manifest.classes, mode="float32", checkpoint="log_loss", seed=0, fold=1,
        data_hash=manifest.hash(),
    )  # fmt: skip
    return config, run.candidate("t0001", 0)


def worker_pids() -> list[int]:
    """Return the processes that train in the Ray that this process started."""
    status = {
        int(path.name): (path / "stat").read_text().rsplit(")", 1)[1].split()
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and os.access(path / "stat", os.R_OK)
    }
    return [
        pid
        for pid, fields in status.items()
        if b"_train_in_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        and int(status[int(fields[1])][1]) == os.getpid()
    ]
