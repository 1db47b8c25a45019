"""Named networks: the paper's four systems, the challenge baselines, CP-Mobile, each with its assumptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asc_models.networks.families import BaselineConfig, CpMobileConfig, ModelConfig, StageConfig
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


_REPORT = "Cao, Li, Huang: technical report, DCASE 2021 Task 1A"
_OPEN = (
    "The report leaves open widths, strides, expansion, r and where CASAM stands. Assumed, after the nearest published "
    "relative (the mobile network of Hu et al. 2020): 3 × 3 stem of 32 channels with stride 2, expansion 2, stride 2 "
    "in the first three blocks, widths {widths}, r = 8, CASAM behind every block."
)
_THREE = " Three blocks: the report gives four to system 4 alone."
_UNMATCHED = (
    " The report's figures can't be matched exactly: they follow from widths that it doesn't give; and 102.9 KB are, "
    "most likely, 50,238 values of two bytes beside some 2,447 batch-norm values of four, counted in Keras, where a "
    "TFLite file has folded batch norm away."
)


def _cao2021(kernel_size: Literal[3, 5], epochs: int, *filters: int) -> Preset:
    has_four = len(filters) == 4
    assumed = _OPEN.format(widths=", ".join(map(str, filters))) + (_UNMATCHED if has_four else _THREE)
    return Preset(
        network=ModelConfig(
            stages=tuple(StageConfig(filters=n, stride=2 if i < 3 else 1) for i, n in enumerate(filters)),
            kernel_size=kernel_size,
        ),
        source=f"{_REPORT}: {kernel_size} × {kernel_size} kernels, {epochs} epochs"
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
        assumed="Nothing is open. The authors count one MAC more for every bias and place.",
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
    "dcase2024-baseline": Preset(
        network=CpMobileConfig(
            base_channels=32,
            channels_multiplier=1.8,
            expansion_rate=2.1,
            strides={3: (1, 2), 4: (2, 1)},
            response_norm=False,
        ),
        source="Schmid et al.: DCASE 2024 Task 1, the organisers' baseline (github.com/CPJKU/dcase2024_task1_baseline)",
        published="61,148 parameters and 29,419,156 MACs, counted with batch norm as a layer of its own",
        assumed="Nothing is open. Batch norm has two trained values a channel, and the authors count those alone.",
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
        raise ConfigError(f"no network is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name].network
