"""Every family of networks: one file each, entered here.

To add one, write its description (a `NetworkConfig`) in a file of its own and enter it into `_Families`.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from asc_models.networks.families.cp_mobile import CpMobileConfig
from asc_models.networks.families.dcase_baseline import BaselineConfig
from asc_models.networks.families.residual_network import Attention, BlockConfig, ModelConfig, StageConfig
from asc_models.networks.network import NetworkConfig

__all__ = [
    "DEFAULT_FAMILY",
    "FAMILIES",
    "AnyModelConfig",
    "Attention",
    "BaselineConfig",
    "BlockConfig",
    "CpMobileConfig",
    "ModelConfig",
    "StageConfig",
    "parse_network",
]

_Families = ModelConfig | BaselineConfig | CpMobileConfig

FAMILIES: dict[str, type[NetworkConfig]] = {
    config.model_fields["family"].default: config for config in get_args(_Families)
}
"""{name: description} of every family."""

DEFAULT_FAMILY: str = ModelConfig.model_fields["family"].default
"""The family of a search that names none."""

AnyModelConfig = Annotated[_Families, Field(discriminator="family")]
"""A network of any family, told apart by its `family`."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyModelConfig)


def parse_network(data: Any) -> NetworkConfig:
    """Return the network that `data`, as read from JSON, describes.

    Raises:
        pydantic.ValidationError: if it describes none.
    """
    network: NetworkConfig = _ADAPTER.validate_python(data)
    return network
