"""What the results stage is told: the ensemble, and who submits which systems."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from data_prep.schema import Config


class EnsembleConfig(Config):
    """Section `ensemble`: greedy forward selection under the size limit of a single model."""

    max_members: int = Field(4, ge=1, le=64)
    """Most distinct members."""
    max_rounds: int = Field(32, ge=1, le=1000)
    """Most additions; a member that is added again weighs more."""
    temperature: bool = True
    """Fit one temperature to the mean probabilities on the validation split."""


class AffiliationConfig(Config):
    """Where an author works. The default is a placeholder."""

    abbreviation: str = "EX"
    """Short form of the institute."""
    institute: str = "Example Institute"
    """Full name of the institute."""
    department: str | None = None
    """Department, null where there is none to name."""
    location: str = "Exampletown, Nowhere"
    """City and country."""


class AuthorConfig(Config):
    """One author. The default is a placeholder."""

    lastname: str = Field(default="Doe", min_length=1)
    """Family name."""
    firstname: str = Field(default="Jane", min_length=1)
    """Given name."""
    email: str = "jane.doe@example.org"
    """Contact address."""
    affiliation: AffiliationConfig = AffiliationConfig()
    """Where the author works."""
    corresponding: bool = True
    """Exactly one author of a submission is the corresponding one."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Fields that are still the example's."""
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
    """A data set used besides the challenge's own."""

    name: str
    """Its name."""
    url: str
    """Where it can be had."""
    total_audio_length_minutes: float = Field(ge=0.0)
    """Minutes of audio used."""


class SubmissionConfig(Config):
    """Section `submission`: the fields of the package that no run can know.

    The names are placeholders; with them a package is a draft (`open_points`). A field that is null is filled from the
    run's configuration.
    """

    lastname: str = Field("Doe", max_length=64)
    """Family name of the corresponding author, first part of every label: letters, digits and hyphens."""
    institute: str = Field("EX", max_length=64)
    """Abbreviation of the institute, second part of every label: letters, digits and hyphens."""
    name: str | None = Field(None, min_length=1)
    """Name of the systems in the results table; null says that they are lightweight networks, and whether a search
    found them."""
    abbreviation: str = Field("asc", min_length=1, max_length=10)
    """Name of the systems in 10 characters at most; the number of the system is added where it fits."""
    authors: tuple[AuthorConfig, ...] = Field((AuthorConfig(),), min_length=1)
    """In the order of the report."""
    max_systems: int = Field(4, ge=1, le=4)
    """Most systems in the package; the challenge takes four."""
    input_sampling_rate: str | None = None
    """Such as 44.1kHz."""
    acoustic_features: str | None = None
    """Such as log-mel energies."""
    embeddings: str | None = None
    """Pre-trained embeddings used; null means none."""
    data_augmentation: str | None = None
    """Such as mixup."""
    machine_learning_method: str = "CNN"
    """Kind of classifier."""
    decision_making: str | None = None
    """How an ensemble decides."""
    complexity_management: str | None = None
    """How the size was kept down."""
    external_data_usage: str | None = None
    """Kind of external data; null means none."""
    external_datasets: tuple[ExternalDataset, ...] = ()
    """Data sets used besides the challenge's own."""
    source_code: str | None = None
    """Address of the systems' code."""

    @field_validator("lastname", "institute")
    @classmethod
    def _check_label_part(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", value):
            raise ValueError(
                "must be letters, digits and hyphens: it is a part of the label Lastname_Institute_task1a_1"
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
        """What keeps a package from being handed in: placeholders, and a label with another name than the author's."""
        found = ["submission.institute is a placeholder"] if self.institute == "EX" else []
        for number, author in enumerate(self.authors, start=1):
            if fields := author.placeholders:
                found.append(f"of author {number} {', '.join(fields)} are placeholders")
        (name,) = [author.lastname for author in self.authors if author.corresponding]
        if not _is_name_in_label(name, self.lastname):
            found.append(f"submission.lastname is {self.lastname}, but the corresponding author's lastname {name}")
        return tuple(found)


def _is_name_in_label(name: str, label: str) -> bool:
    """Return whether a label's first part can be a name, which may be shortened there, or transliterated."""
    plain, part = (re.sub(r"[\W_]", "", text).casefold() for text in (name, label))
    return part in plain or plain in part or not plain.isascii()
