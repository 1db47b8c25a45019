"""Named networks: the paper's four systems, challenge baselines and published networks, each with its assumptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asc_models.networks.families import (
    BaselineConfig,
    BcResnetConfig,
    CpMobileConfig,
    ModelConfig,
    StageConfig,
    Tan2025Config,
)
from asc_models.networks.network import NetworkConfig
from asc_models.networks.topology import Shape
from data_prep.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Preset:
    """A named network and its source."""

    network: NetworkConfig
    source: str
    """Publication that describes it."""
    published: str
    """Size stated by the source; empty if it states none."""
    assumed: str
    """Settings that the source does not state, and the values assumed; empty if it states all."""
    seconds: float = 10.0
    """Length of its clips in seconds."""
    input_shape: Callable[[float], Shape] | None = None
    """Maps a clip's length in seconds to the shape of its features; None if it uses the default features."""


_PAPER = "Cao, Li, Huang: technical report, DCASE 2021 Task 1A"
_OPEN = (
    "The paper does not state widths, strides, expansion, r and the position of CASAM. Assumed, following the closest "
    "published relative (the mobile network of Hu et al. 2020): 3 × 3 stem of 32 channels with stride 2, expansion 2, "
    "stride 2 in the first three blocks, widths {widths}, r = 8, CASAM after every block. It states ReLU after every "
    "batch normalization; assumed are linear projections, as in MobileNetV2 (`projection_activation: true` is the "
    "literal text)."
)
_THREE = " Three blocks: only system 4 has four in the paper."
_UNMATCHED = (
    " The paper's sizes cannot be matched exactly, since they depend on widths that it does not state. Its 102.9 KB "
    "are probably 50,238 values of two bytes and about 2,447 batch-norm values of four bytes, counted in Keras; in a "
    "TFLite file batch norm is folded."
)


def _cao2021(kernel_size: Literal[3, 5], epochs: int, *filters: int) -> Preset:
    has_four = len(filters) == 4
    assumed = _OPEN.format(widths=", ".join(map(str, filters))) + (_UNMATCHED if has_four else _THREE)
    return Preset(
        network=ModelConfig(
            stages=tuple(StageConfig(filters=n, stride=2 if i < 3 else 1) for i, n in enumerate(filters)),
            kernel_size=kernel_size,
        ),
        source=f"{_PAPER}: {kernel_size} × {kernel_size} kernels, {epochs} epochs"
        + (", four inverted residual blocks" if has_four else ""),
        published="50,238 non-zero parameters, 102.9 KB quantized" if has_four else "",
        assumed=assumed,
    )


def _cp_mobile(base_channels: int, channels_multiplier: float, expansion_rate: float, params: int, macs: str) -> Preset:
    return Preset(
        network=CpMobileConfig(
            base_channels=base_channels, channels_multiplier=channels_multiplier, expansion_rate=expansion_rate
        ),
        source="Schmid et al.: CP-Mobile, winner of DCASE 2023 Task 1 (github.com/fschmid56/cpjku_dcase23)",
        published=f"{params:,} parameters and {macs} MACs, counted with batch norm folded",
        assumed="No assumptions. The authors count one more MAC per bias and position.",
        seconds=1.0,
        input_shape=lambda seconds: (256, round(64 * seconds), 1),
    )


PRESETS: dict[str, Preset] = {
    "cao2021-system1": _cao2021(5, 600, 32, 48, 64),
    "cao2021-system2": _cao2021(5, 800, 32, 48, 64),
    "cao2021-system3": _cao2021(3, 600, 32, 48, 64),
    "cao2021-system4": _cao2021(3, 600, 32, 48, 64, 80),
    "dcase2021-baseline": Preset(
        network=BaselineConfig(),
        source="Martín-Morató et al.: DCASE 2021 Task 1A, the organisers' baseline",
        published="46,246 parameters, 93,004 B as Keras float16, 91,980 B as TFLite float16",
        assumed="",
        input_shape=lambda seconds: (40, round(50 * seconds), 1),
    ),
    "cp-mobile": _cp_mobile(16, 1.5, 1.75, 12_310, "4.35 million"),
    "bc-resnet-asc": Preset(
        network=BcResnetConfig(),
        source="Kim et al.: BC-ResNet-ASC, winner of DCASE 2021 Task 1A (arXiv 2111.06531)",
        published="315,000 parameters; 61.0 KB of non-zero parameters after pruning and quantization",
        assumed="The stem has batch norm, ReLU and no bias, and there are four sub-bands: with both the parameters are "
        "314,970. Residual normalization follows each stage, before its pooling.",
        input_shape=lambda seconds: (256, round(seconds / 0.03) + 1, 1),
    ),
    "tan2025": Preset(
        network=Tan2025Config(),
        source="Tan et al.: CNN-GRU of SNTL-NTU, DCASE 2025 Task 1, system 1 (github.com/joesephgit/DCASE2025)",
        published="58,171 parameters, 116,342 B in float16, and 10,902,300 MACs, with batch norm as a separate layer",
        assumed="The authors' gated recurrent unit has two biases per gate; here the reset and update gates have one, "
        "which is equivalent and 128 parameters less. They count the two trained values per channel of batch norm, and "
        "one MAC per parameter of a layer that is not a convolution, per bias and per step.",
        seconds=1.0,
        input_shape=lambda seconds: (256, int(44_100 * seconds) // 1_364 + 1, 1),
    ),
    "dcase2024-baseline": Preset(
        network=CpMobileConfig(
            base_channels=32,
            channels_multiplier=1.8,
            expansion_rate=2.1,
            strides={3: (1, 2), 4: (2, 1)},
            response_norm=False,
        ),
        source="Schmid et al.: DCASE 2024 Task 1, the organisers' baseline (github.com/CPJKU/dcase2024_task1_baseline)",
        published="61,148 parameters and 29,419,156 MACs, counted with batch norm as a separate layer",
        assumed="No assumptions. The authors count only the two trained values per channel of batch norm.",
        seconds=1.0,
        input_shape=lambda seconds: (256, round(64 * seconds) + 1, 1),
    ),
}


def preset(name: str) -> NetworkConfig:
    """Return the network named `name`.

    Raises:
        ConfigError: if there is no such network.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown network {name!r}; presets: {', '.join(PRESETS)}")
    return PRESETS[name].network
