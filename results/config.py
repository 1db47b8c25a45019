"""Configuration of the results stage: ensemble selection and the submission package."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from asc_models.config import MAX_MEMBERS
from data_prep.schema import Config

Slot = Literal["best", "ensemble", "smallest", "robust", "next"]
SLOT_MEANINGS: dict[Slot, str] = {
    "best": "lowest calibrated log loss on validation",
    "ensemble": "best ensemble of several members",
    "smallest": "smallest system whose paired difference of log loss to the best has a 95 % interval that contains 0",
    "robust": "lowest calibrated log loss on its worst device, of devices with at least 10 validation clips",
    "next": "next best by calibrated log loss, where a place is left because another slot has no further system",
}
"""{slot: which system takes it}."""


class EnsembleConfig(Config):
    """Section `ensemble`: selection of members that together are within the limits of one model."""

    max_members: int = Field(4, ge=1, le=MAX_MEMBERS)
    """Maximum number of distinct members."""
    max_rounds: int = Field(32, ge=1, le=1000)
    """Maximum number of additions. A member can be added repeatedly; its weight is its share of all additions."""
    temperature: bool = True
    """Fit one temperature to the ensemble's mean probabilities, where it lowers the log loss on other locations."""


class AffiliationConfig(Config):
    """An author's affiliation. The defaults are placeholders."""

    abbreviation: str = "EX"
    """Abbreviation of the institute."""
    institute: str = "Example Institute"
    """Full name of the institute."""
    department: str | None = None
    """Department; null means none."""
    location: str = "Exampletown, Nowhere"
    """City and country."""


class AuthorConfig(Config):
    """One author. The defaults are placeholders."""

    lastname: str = Field(default="Doe", min_length=1)
    """Family name."""
    firstname: str = Field(default="Jane", min_length=1)
    """Given name."""
    email: str = "jane.doe@example.org"
    """E-mail address."""
    affiliation: AffiliationConfig = AffiliationConfig()
    """The author's affiliation."""
    corresponding: bool = True
    """Whether this is the corresponding author. Exactly one author of a submission must be."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the fields that still have their default values."""
        example = AuthorConfig()
        named = (self.lastname, self.firstname) == (example.lastname, example.firstname)
        mail = self.email == example.email
        where = [
            f"affiliation.{key}"
            for key in ("abbreviation", "institute", "location")
            if getattr(self.affiliation, key) == getattr(example.affiliation, key)
        ]
        return (*(("lastname", "firstname") if named else ()), *(("email",) if mail else ()), *where)

    @field_validator("email")
    @classmethod
    def _check_email(cls, value: str) -> str:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ValueError("must be an e-mail address")
        return value


class ExternalDataset(Config):
    """An external data set used in addition to the challenge's."""

    name: str
    """Name of the data set."""
    url: str
    """Web address of the data set."""
    total_audio_length_minutes: float = Field(ge=0.0)
    """Total length of the audio used, in minutes."""


class SubmissionConfig(Config):
    """Section `submission`: the fields of the challenge package that cannot be derived from a run.

    The default names are placeholders; a package that contains them is a draft. A null field is filled in from the
    run's configuration, unless stated otherwise.
    """

    ADDED = frozenset({"slots"})

    lastname: str = Field("Doe", max_length=64)
    """First part of every system label: family name of the corresponding author, in letters, digits and hyphens;
    `authors` are set apart."""
    institute: str = Field("EX", max_length=64)
    """Second part of every system label: abbreviation of the institute, in letters, digits and hyphens."""
    name: str | None = Field(None, min_length=1)
    """Name of the systems in the results table; null generates a description from the run."""
    abbreviation: str = Field("asc", min_length=1, max_length=10)
    """Short name of the systems, at most 10 characters. The number of the system is appended if it fits."""
    authors: tuple[AuthorConfig, ...] = Field((AuthorConfig(),), min_length=1)
    """Authors in the order of the technical report."""
    max_systems: int = Field(4, ge=1, le=4)
    """Maximum number of systems in the package. The challenge accepts up to four."""
    slots: tuple[Slot, ...] = ("best", "ensemble", "smallest", "robust")
    """Systems to choose, in this order: `best` has the lowest calibrated log loss on validation, `ensemble` is the best
    ensemble, `smallest` the smallest system not significantly worse than the best, `robust` has the lowest log loss on
    its worst device. A slot without a further system, and `next`, take the next best."""
    input_sampling_rate: str | None = None
    """Sampling rate of the input audio, for example `44.1kHz`."""
    acoustic_features: str | None = None
    """Acoustic features, for example `log-mel energies`."""
    embeddings: str | None = None
    """Pre-trained embeddings that the systems use; null means none."""
    data_augmentation: str | None = None
    """Data augmentation methods, for example `mixup`."""
    machine_learning_method: str = "CNN"
    """Type of classifier."""
    decision_making: str | None = None
    """How the members of an ensemble, or the windows of a clip, are combined."""
    complexity_management: str | None = None
    """Methods that reduce the model size, for example `weight quantization`."""
    external_data_usage: str | None = None
    """Type of external data used; null means none."""
    external_datasets: tuple[ExternalDataset, ...] = ()
    """External data sets used in addition to the challenge's."""
    source_code: str | None = None
    """Web address of the source code; null means none."""

    @field_validator("lastname", "institute")
    @classmethod
    def _check_label_part(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", value):
            raise ValueError(
                "must be letters, digits and hyphens, since it is part of the label Lastname_Institute_task1a_1"
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        n_corresponding = sum(author.corresponding for author in self.authors)
        if n_corresponding != 1:
            raise ValueError(f"exactly one author must be corresponding, got {n_corresponding}")
        return self

    @property
    def open_points(self) -> tuple[str, ...]:
        """Reasons why a package is only a draft: placeholders, or a label that does not match the author's name."""
        found = ["submission.institute is a placeholder"] if self.institute == "EX" else []
        for number, author in enumerate(self.authors, start=1):
            if fields := author.placeholders:
                found.append(f"of author {number} {', '.join(fields)} are placeholders")
        (name,) = [author.lastname for author in self.authors if author.corresponding]
        if not _is_name_in_label(name, self.lastname):
            found.append(f"submission.lastname is {self.lastname}, but the corresponding author's lastname {name}")
        return tuple(found)


def _is_name_in_label(name: str, label: str) -> bool:
    """Return whether the first part of a label can stand for `name`, possibly shortened or transliterated."""
    plain, part = (re.sub(r"[\W_]", "", text).casefold() for text in (name, label))
    return part in plain or plain in part or not plain.isascii()
