"""Named networks: the report's four systems and the challenge's baseline.

The report (Cao, Li, Huang; DCASE 2021 Task 1A) gives the parts of its network, the kernel of each system, four
inverted residual blocks for system 4, and one size: 50,238 non-zero parameters, 102.9 KB. Assumed here, after the
nearest published relative (the mobile network of Hu et al. 2020): a 3 × 3 stem of 32 channels with stride 2,
expansion 2, stride 2 in each of the first three blocks, CASAM behind every block, r = 8, three blocks in systems 1–3.
Widths of 32, 48, 64 (and 80) put system 4 at 51,182 parameters. An exact match isn't to be had: widths, expansion and
r are not in the report, and its 102.9 KB count batch-norm values that a TFLite file has folded away.
"""

from __future__ import annotations

from typing import Literal

from asc_models.config import BaselineConfig, BlockConfig, ModelConfig
from asc_models.topology import AnyModelConfig
from data_prep.errors import ConfigError


def _cao2021(kernel_size: Literal[3, 5], *filters: int) -> ModelConfig:
    return ModelConfig(
        blocks=tuple(BlockConfig(filters=n, stride=2 if i < 3 else 1) for i, n in enumerate(filters)),
        kernel_size=kernel_size,
    )


PRESETS: dict[str, AnyModelConfig] = {
    "cao2021-system1": _cao2021(5, 32, 48, 64),
    "cao2021-system2": _cao2021(5, 32, 48, 64),  # system 1, trained for 800 epochs instead of 600
    "cao2021-system3": _cao2021(3, 32, 48, 64),
    "cao2021-system4": _cao2021(3, 32, 48, 64, 80),
    "dcase2021-baseline": BaselineConfig(),
}

PUBLISHED_PARAMETERS = {"cao2021-system4": 50_238, "dcase2021-baseline": 46_246}
"""What the presets' sources state: the report's section 4 and the organisers' printer."""


def preset(name: str) -> AnyModelConfig:
    """Return the network called `name`.

    Raises:
        ConfigError: if there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"no network is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
