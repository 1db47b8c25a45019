"""Configuration of a cross-validation: fixed systems, without a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asc_models.candidate import CONFIG, CandidateConfig, DistilledFrom, opened_candidate, read_candidate_config
from asc_models.rules import BYTES
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.config import RunConfig, read_run_config, with_overrides


def frozen_config(source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the configuration whose systems are cross-validated.

    Args:
        source: YAML file or shipped name with `retrain.systems`, or a candidate (folder or zip), which then is the only
            system, with its own features, recipe and export mode.
        overrides: strings `key.path=value`.

    Raises:
        ConfigError: if there is no such configuration, it names no system, the candidate learned from teachers that are
            not named, or is the network of a device.
        DataError: if the candidate is damaged.
    """
    path = Path(source)
    if path.is_dir() or path.suffix == ".zip":
        with opened_candidate(path) as folder:
            candidate = read_candidate_config(folder / CONFIG)
        if candidate.device is not None:
            raise ConfigError(
                f"{source}: is the network of device {candidate.device}, which was fine-tuned from another one. Pass "
                "the folder of its candidate."
            )
        data = with_overrides(_of_candidate(candidate), overrides)
        config = parse_config(RunConfig, data, source)
        if candidate.distillation is not None and config.retrain.distillation is None:
            raise ConfigError(
                f"{source}: learned from teachers ({_teachers(candidate.distillation)}), which it does not contain, "
                "and without them it would be another system. Name their networks, which each fold trains first: "
                "--set 'retrain.distillation={teachers: [{name: NAME, model: MODEL}]}', or the same in a configuration."
            )
    else:
        config = read_run_config(source, overrides)
    if not config.retrain.systems:
        raise ConfigError(
            f"{source}: retrain.systems names no system. A cross-validation trains frozen systems: name them, or pass "
            "a candidate that a search has found, such as RUN/candidates/t0003-s0."
        )
    return config.updated(search=None, retrain=config.retrain.updated(n_candidates=0))


def _teachers(distillation: DistilledFrom) -> str:
    """Return the names of the teachers, stored probabilities among them."""
    return ", ".join([*distillation.teachers, *(["stored probabilities"] if distillation.probabilities else [])])


def _of_candidate(candidate: CandidateConfig) -> dict[str, Any]:
    """Return the settings of a run that trains a candidate again, as YAML would give them."""
    settings = candidate.model_dump(mode="json")
    all_clips = candidate.checkpoint is None
    limits = [candidate.int4_limits[quantity] for quantity in BYTES if quantity in candidate.int4_limits]
    # Names of trials and their variants are reserved for candidates of a search.
    name = f"frozen-{candidate.name.split('-')[0]}"
    retrain = {
        "mode": candidate.mode,
        "int4_limit_bytes": limits[0] if limits else None,
        "all_clips": all_clips,
        "systems": [{"name": name, "model": settings["model"]}],
        **({} if all_clips else {"checkpoint": candidate.checkpoint}),
        **({} if candidate.fine_tuning is None else {"fine_tuning": settings["fine_tuning"]}),
    }
    # A candidate does not have the rules of its run; those of 2025 give a system the devices.
    rules = {} if candidate.fine_tuning is None else {"rules": {"name": "dcase2025"}}
    return {
        **rules,
        "recipe": "paper",
        "search": None,
        "prepare": {"features": settings["features"]},
        "reader": settings["reader"],
        "train": settings["train"],
        "retrain": retrain,
    }
