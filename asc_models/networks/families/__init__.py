"""Registry of the network families, one module each.

To add a family, write its `NetworkConfig` in a new module and add it to `_Families`.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from asc_models.networks.families.bc_resnet import BcResnetConfig
from asc_models.networks.families.cp_mobile import CpMobileConfig
from asc_models.networks.families.dcase_baseline import BaselineConfig
from asc_models.networks.families.residual_network import Attention, BlockConfig, ModelConfig, StageConfig
from asc_models.networks.families.tan2025 import Tan2025Config
from asc_models.networks.network import NetworkConfig

__all__ = [
    "DEFAULT_FAMILY",
    "FAMILIES",
    "AnyModelConfig",
    "Attention",
    "BaselineConfig",
    "BcResnetConfig",
    "BlockConfig",
    "CpMobileConfig",
    "ModelConfig",
    "StageConfig",
    "Tan2025Config",
    "parse_network",
]

_Families = ModelConfig | BaselineConfig | CpMobileConfig | BcResnetConfig | Tan2025Config

FAMILIES: dict[str, type[NetworkConfig]] = {
    config.model_fields["family"].default: config for config in get_args(_Families)
}
"""{family name: configuration class}."""

DEFAULT_FAMILY: str = ModelConfig.model_fields["family"].default
"""Family of a search space that names none."""

AnyModelConfig = Annotated[_Families, Field(discriminator="family")]
"""A network of any family; `family` is the discriminator."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyModelConfig)


def parse_network(data: Any) -> NetworkConfig:
    """Return the network described by `data`, as read from JSON.

    Raises:
        pydantic.ValidationError: if `data` is not a valid description.
    """
    network: NetworkConfig = _ADAPTER.validate_python(data)
    return network
