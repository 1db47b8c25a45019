"""Parsing of file names of TAU Urban Acoustic Scenes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from data_prep.corpora.corpus import TAU_SCENES

_TAU_NAME = re.compile(
    r"(?P<scene>[a-z_]+)-(?P<city>[a-z_]+)-(?P<location>\w+)-(?P<segment>\w+(?:-\d+)?)-(?P<device>[a-d]|s\d+)"
)


@dataclass(frozen=True, slots=True)
class TauName:
    """The parts of `scene-city-location-segment-device`. In TAU 2022 (1 s clips) `segment` includes the second."""

    scene: str
    city: str
    location: str
    """City and location joined by a hyphen, as in `meta.csv`; unique across cities."""
    segment: str
    device: str


def parse_tau_name(clip_id: str, scene: str | None) -> TauName | None:
    """Return the parts of a clip's name, or None if it is not a TAU name.

    A TAU name has five or six parts, the first of which is one of the ten scenes or the clip's label. The label may
    differ from the scene in the name: in the 3-class edition airports are labelled `indoor`.
    """
    found = _TAU_NAME.fullmatch(clip_id, clip_id.rfind("/") + 1)
    if found is None or (found["scene"] not in TAU_SCENES and found["scene"] != scene):
        return None
    location = f"{found['city']}-{found['location']}"
    return TauName(found["scene"], found["city"], location, found["segment"], found["device"])
