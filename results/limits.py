"""The size limit in force, as a run's configuration states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from asc_models.rules import Quantity, RulesConfig
from data_prep.errors import ConfigError
from data_prep.schema import parse_config


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
    """Return the byte limit in a run's resolved configuration; the default rule's where it has no section `rules`.

    Raises:
        ConfigError: if the section states no limit on bytes.
    """
    section = config.get("rules") or {}
    if {"quantity", "limit"} <= set(section):
        if section["quantity"] not in get_args(Quantity):
            raise ConfigError(
                f"rules.quantity: must be one of {', '.join(get_args(Quantity))} (got {section['quantity']!r})"
            )
        return SizeLimit(str(section["quantity"]), int(section["limit"]), str(section.get("name", "custom")))
    rules = parse_config(RulesConfig, section, "rules of the run")
    found = rules.size_limit()
    if found is None:
        # Years that count parameters: still a size, and the only one that ensembles can be held against.
        limits = rules.in_force()
        if "n_params" not in limits:
            raise ConfigError(
                "rules: none of them limits a size, so that no ensemble can be held against it; add one to rules.limits"
            )
        return SizeLimit("n_params", limits["n_params"], rules.name)
    return SizeLimit(found[0], found[1], rules.name)
