"""The size limit in force, as a run's configuration states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asc_models.rules import RulesConfig
from data_prep.errors import ConfigError
from data_prep.schema import parse_config

QUANTITIES = ("nonzero_weight_bytes", "weight_bytes", "file_bytes", "n_params", "macs")
"""What a candidate's metrics state and an ensemble can be held against; the first that is limited counts."""


@dataclass(frozen=True)
class SizeLimit:
    """How much of one quantity a system may have in all, summed over an ensemble's distinct members.

    Attributes:
        quantity: a field of CandidateMetrics, such as `nonzero_weight_bytes`.
        limit: the most that is allowed.
        rule: the rule set's name.
    """

    quantity: str = "nonzero_weight_bytes"
    limit: int = 128_000
    rule: str = "dcase2021"


def read_size_limit(config: Mapping[str, Any]) -> SizeLimit:
    """Return the limit in a run's resolved configuration that sums over an ensemble's members.

    Bytes where the rules limit bytes, else parameters, else multiply–accumulates; the default rule's where the
    configuration has no section `rules`.

    Raises:
        ConfigError: if the section limits nothing that a candidate's metrics state.
    """
    section = config.get("rules") or {}
    if {"quantity", "limit"} <= set(section):
        limits, rule = {str(section["quantity"]): int(section["limit"])}, str(section.get("name", "custom"))
    else:
        rules = parse_config(RulesConfig, section, "rules of the run")
        limits, rule = {str(quantity): limit for quantity, limit in rules.in_force().items()}, rules.name
    for quantity in QUANTITIES:
        if quantity in limits:
            return SizeLimit(quantity, limits[quantity], rule)
    raise ConfigError(
        f"rules: limit {', '.join(limits)}, which no ensemble can be held against; "
        f"add one of {', '.join(QUANTITIES)} to rules.limits"
    )
