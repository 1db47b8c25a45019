"""Locations, moments and clips of the synthetic data set, and their lists in TAU's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.config import SynthConfig
from data_prep.files.files import write_text
from data_prep.synth.scenes import SCENES
from data_prep.synth.streams import stream

REFERENCE_DEVICE = "a"
TRAIN_DEVICES = ("b", "c", "s1", "s2", "s3")
"""Devices other than a in the train list."""
EVALUATE_DEVICES = (*TRAIN_DEVICES, "s4", "s5", "s6")
"""Devices other than a in the evaluate list; the last three are unseen in training."""
CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")


@dataclass(frozen=True)
class Moment:
    """One segment: a recorded moment at a location, with the devices that record it."""

    scene: str
    city: str
    location: str
    segment: str
    evaluate: bool
    """Whether its clips are in the evaluate list instead of the train list."""
    devices: tuple[str, ...]

    @property
    def identifier(self) -> str:
        """Name of the location in meta.csv."""
        return f"{self.city}-{self.location}"

    @property
    def name(self) -> str:
        """Name of the clips without the device."""
        return f"{self.scene}-{self.identifier}-{self.segment}"

    def filename(self, device: str) -> str:
        """Return the name of a clip in the lists."""
        return f"audio/{self.name}-{device}.wav"


def plan(config: SynthConfig) -> tuple[Moment, ...]:
    """Return all moments in the order of the lists: scene, location, segment.

    A third of the locations of each scene are in the evaluate list. Device a records all moments and each other device
    a share of each scene's moments, so that each of their clips has a counterpart recorded by device a.
    """
    n_evaluate = max(1, round(config.n_locations / 3))
    n_train = config.n_locations - n_evaluate
    moments: list[Moment] = []
    for scene_index, scene in enumerate(SCENES):
        for evaluate, numbers in ((False, range(n_train)), (True, range(n_train, config.n_locations))):
            others = _listeners(config, scene, evaluate, len(numbers) * config.n_segments)
            for moment_index, devices in enumerate(others):
                number = numbers[moment_index // config.n_segments]
                location = scene_index * config.n_locations + number
                segment = location * config.n_segments + moment_index % config.n_segments
                # the shift by scene makes every city occur in both lists
                city = CITIES[(number + scene_index) % config.n_cities]
                moments.append(Moment(scene, city, str(location), str(segment), evaluate, (REFERENCE_DEVICE, *devices)))
    return tuple(moments)


def _listeners(config: SynthConfig, scene: str, evaluate: bool, n_moments: int) -> list[list[str]]:
    """Return the devices other than a for each moment of a scene's list: equal shares, distributed evenly."""
    devices = EVALUATE_DEVICES if evaluate else TRAIN_DEVICES
    share = config.evaluate_share if evaluate else config.train_share
    n_heard = min(n_moments, max(1, round(share * n_moments)))
    order = stream(config.seed, "listeners", scene, str(evaluate)).permutation(n_moments)
    heard: list[list[str]] = [[] for _ in range(n_moments)]
    for index, device in enumerate(devices):
        for step in range(n_heard):
            heard[order[(index * n_heard + step) % n_moments]].append(device)
    return heard


def write_lists(out: Path, moments: Sequence[Moment]) -> None:
    """Write the TAB-separated lists of fold 1 and then meta.csv to `out`."""
    meta: list[tuple[str, ...]] = []
    train: list[tuple[str, ...]] = []
    evaluate: list[tuple[str, ...]] = []
    for moment in moments:
        for device in moment.devices:
            filename = moment.filename(device)
            meta.append((filename, moment.scene, moment.identifier, device))
            (evaluate if moment.evaluate else train).append((filename, moment.scene))
    folder = out / "evaluation_setup"
    _write_table(folder / "fold1_train.csv", ("filename", "scene_label"), train)
    _write_table(folder / "fold1_evaluate.csv", ("filename", "scene_label"), evaluate)
    _write_table(folder / "fold1_test.csv", ("filename",), [(filename,) for filename, _ in evaluate])
    _write_table(out / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), meta)


def _write_table(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in (header, *rows)))
