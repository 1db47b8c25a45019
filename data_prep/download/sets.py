"""Data sets of `asc data download`: addresses, sizes and checksums of their archives.

Addresses, checksums and licences of TAU 2019, 2020 Mobile and 2022 Mobile come from `soundata`, an optional dependency
imported only here. The editions that it lacks are in `archives.csv`: address, MD5 and size as listed by Zenodo, after
`dcase_util` 0.2.20, which agrees with soundata 1.0.1 on all checksums of the three that both have.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from data_prep.errors import AscError

TAMPERE_LICENCE = (
    "Free for experimental, non-commercial use with acknowledgement of Tampere University; commercial use is "
    "prohibited. The full text is in the data set's LICENSE or EULA and README."
)


@dataclass(frozen=True)
class Archive:
    """One archive of a data set."""

    url: str
    md5: str
    n_bytes: int | None = None
    """Size in bytes; None if unknown before the transfer."""

    @property
    def filename(self) -> str:
        """Name of the archive."""
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class KnownSet:
    """An entry in the table of known data sets."""

    title: str
    n_bytes: int | None
    """Total size of its archives in bytes."""
    module: str = ""
    """soundata's module with the archives; empty if they are in `archives.csv`."""
    group: str = ""
    """Prefix of the archives' keys in that module."""


@dataclass(frozen=True)
class DataSet:
    """A data set with everything needed to download it."""

    name: str
    licence: str
    archives: tuple[Archive, ...]
    """The archives, lists and documentation first, so that an interrupted download leaves these."""


KNOWN: Mapping[str, KnownSet] = {
    "tau2019": KnownSet("TAU Urban Acoustic Scenes 2019", 35_622_537_482, "tau2019uas", "development"),
    "tau2019-evaluation": KnownSet("its evaluation set", 17_854_962_189, "tau2019uas", "evaluation"),
    "tau2020-mobile": KnownSet(
        "TAU Urban Acoustic Scenes 2020 Mobile", 27_364_817_167, "tau2020uas_mobile", "development"
    ),
    "tau2020-mobile-evaluation": KnownSet("its evaluation set", 13_139_235_954, "tau2020uas_mobile", "evaluation"),
    "tau2020-3class": KnownSet("TAU Urban Acoustic Scenes 2020 3Class", 35_543_717_092),
    "tau2020-3class-evaluation": KnownSet("its evaluation set", 20_856_686_257),
    "tau2021-evaluation": KnownSet("evaluation set of DCASE 2021 Task 1A", 8_769_881_565),
    "tau2022-mobile": KnownSet(
        "TAU Urban Acoustic Scenes 2022 Mobile", 27_503_592_469, "tau2022uas_mobile", "development"
    ),
    "tau2022-mobile-evaluation": KnownSet("its evaluation set, of 2023", None, "tau2022uas_mobile", "evaluation"),
    "tut2016": KnownSet("TUT Acoustic Scenes 2016", 8_024_320_881),
    "tut2016-evaluation": KnownSet("its evaluation set", 2_674_964_567),
    "tut2017": KnownSet("TUT Acoustic Scenes 2017", 10_700_420_548),
    "tut2017-evaluation": KnownSet("its evaluation set", 3_599_555_434),
}
"""{name for the command: data set}."""


def load_set(name: str) -> DataSet:
    """Return the archives of the data set `name`.

    Raises:
        AscError: if the name is unknown, or `soundata` is required and not installed.
    """
    if name not in KNOWN:
        raise AscError(f"{name}: unknown data set. Known: {', '.join(KNOWN)}.")
    known = KNOWN[name]
    if not known.module:
        return DataSet(name, TAMPERE_LICENCE, _listed_archives(name))
    try:
        module = importlib.import_module(f"soundata.datasets.{known.module}")
    except ImportError as error:
        raise AscError(
            f"{name}: its addresses and checksums come from soundata, which is not installed ({error}). Install it: "
            "pip install 'asc-search[download]'"
        ) from None
    archives = [Archive(r.url, r.checksum) for key, r in module.REMOTES.items() if key.startswith(f"{known.group}.")]
    paragraphs = [" ".join(text.split()) for text in str(module.LICENSE_INFO).split("\n\n") if text.strip()]
    return DataSet(name, f"{paragraphs[0]} {TAMPERE_LICENCE}", tuple(sorted(archives, key=_audio_last)))


def _listed_archives(name: str) -> tuple[Archive, ...]:
    text = resources.files("data_prep.download").joinpath("archives.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Archive(row["url"], row["md5"], int(row["n_bytes"])) for row in rows if row["name"] == name)


def _audio_last(archive: Archive) -> tuple[bool, int, str]:
    number = archive.filename.split(".")[-2]
    return ".audio." in archive.filename, int(number) if number.isdecimal() else 0, archive.filename
