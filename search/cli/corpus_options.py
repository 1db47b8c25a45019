"""Options that say how a data set is read, shared by the commands that read one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

PANEL = "How the data set is read"


def _text(help_text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help_text, metavar=metavar, show_default=False, rich_help_panel=PANEL)


LayoutOption = Annotated[str | None, _text("tau, tut, evaluation or table. Default: found out.", metavar="LAYOUT")]
TableOption = Annotated[
    str | None, _text("CSV, TSV or Parquet that names the clips, relative to DATA.", metavar="FILE")
]
FileColumnOption = Annotated[str | None, _text("Its column of audio files, relative to DATA.", metavar="NAME")]
LabelColumnOption = Annotated[str | None, _text("Its column of scenes.", metavar="NAME")]
DeviceColumnOption = Annotated[str | None, _text("Its column of devices.", metavar="NAME")]
LocationColumnOption = Annotated[
    str | None, _text("Its column of what is never divided between training and test.", metavar="NAME")
]
CityColumnOption = Annotated[str | None, _text("Its column of cities.", metavar="NAME")]
SegmentColumnOption = Annotated[str | None, _text("Its column of recorded moments.", metavar="NAME")]
SplitColumnOption = Annotated[str | None, _text("Its column with train, validation, test.", metavar="NAME")]
FoldColumnOption = Annotated[str | None, _text("Its column with the fold that tests the clip.", metavar="NAME")]
KFoldsOption = Annotated[int | None, _text("Cut this many folds by location.")]
SplitOption = Annotated[
    int | None, _text("TAU 2022 Mobile: train on this share of the data, 5, 10, 25, 50 or 100 %.", metavar="SHARE")
]


def corpus_overrides(parameters: Mapping[str, Any]) -> list[str]:
    """Return the options of a command that `prepare.corpus` has, as overrides of a configuration.

    Args:
        parameters: all parameters of the command, by name.
    """
    from data_prep.config import CorpusConfig

    return [
        f"prepare.corpus.{name}={json.dumps(parameters[name])}"
        for name in CorpusConfig.model_fields
        if parameters.get(name) is not None
    ]
