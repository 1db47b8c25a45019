"""What the copies of training clips that are computed from audio are made like."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from data_prep.schema import Config

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

_LIMITS: dict[str, Range] = {
    "semitones": (-24.0, 24.0),
    "speed": (0.25, 4.0),
    "mix_gain": (0.0, 4.0),
    "threshold_db": (-40.0, 40.0),
    "ratio": (1.0, 20.0),
}
"""What the ranges must stay within. Stretchers are tried to two octaves and to a quarter of the speed."""


class OfflineSpec(Config):
    """Section `prepare.offline`: the ranges that copies draw from. Defaults are the seed's (Hu et al. 2020)."""

    semitones: Range = (-4.0, 4.0)
    """Pitch shift in semitones."""
    speed: Range = (0.5, 2.0)
    """Speed change: 2 plays twice as fast, at the same pitch."""
    mix_gain: Range = (0.5, 1.0)
    """Gain of each of the two clips of a mix, drawn twice."""
    responses: str | None = None
    """Folder of impulse responses (audio files) for `device_response`."""
    threshold_db: Range = (0.0, 10.0)
    """Device response: level in dB over the clip's own at which compression sets in."""
    ratio: Range = (1.0, 3.0)
    """Device response: dB above the threshold that come in for each dB that goes out; 1 compresses nothing."""
    seed: int = Field(0, ge=0)
    """Seed of every copy's draws; a copy's stream depends on it, the clip and the augmentation alone."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, (least, most) in _LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name} must be a range [low, high] with {least:g} <= low <= high <= {most:g}, "
                    f"got [{low:g}, {high:g}]"
                )
        return self
