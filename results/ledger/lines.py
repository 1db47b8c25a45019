"""The lines of a ledger: what is written, and what is accepted when it is read.

A line is read only if it is JSON, is of a format version that this program knows, has the fields of its kind with their
types, and is possible after the lines before it. Everything behind may therefore rely on `events`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from data_prep.errors import RunError
from results.ledger.events import OF_TRIALS, SHAPES

FORMAT_VERSION = 1
"""Increased whenever an older program would misread what a newer one writes. Ledgers of 0.1.0 state none."""
VERSION = "format_version"
"""Key of the version in the first event of each writer."""

INTEGER = Annotated[int, Field(ge=-(2**63), lt=2**63)]
WAY_OUT = (
    "asc only appends to a ledger, so another program changed it. Restore the file from a copy (with --storage, delete "
    "it; it is rebuilt from there), or remove the line; the work that it recorded is then repeated. Otherwise start a "
    "new run directory."
)


class EventReader:
    """Reads the lines of one ledger in their order, as often as lines are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n_lines = 0
        self._rungs: dict[str, int] = {}
        """{trial: highest rung reached, −1 before the first}."""

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """Return the events of the next lines; `data` begins with a whole line, and an incomplete tail is ignored.

        Raises:
            RunError: if a line is not an event, or not a possible one; the message names it and the way out.
        """
        return [self._event(line) for line in data[: n_whole_bytes(data)].splitlines()]

    def _event(self, line: bytes) -> dict[str, Any]:
        self._n_lines += 1
        event = _parse(line)
        if event is None:
            raise self._refusal(f"not an event of a run ({line[:60]!r})")
        version = event.pop(VERSION, FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise RunError(
                f"{self._path}, line {self._n_lines}: was written by another version of asc (ledger format {version}, "
                f"this program reads {FORMAT_VERSION}). Use the version of asc that last worked on this run."
            )
        if problem := _wrong_field(event) or self._impossible(event):
            raise self._refusal(f"{event['event']}: {problem}")
        return event

    def _impossible(self, event: Mapping[str, Any]) -> str | None:
        """Return why an event cannot follow those before it, and enter it if it can."""
        kind = event["event"]
        if kind not in OF_TRIALS:
            return None
        trial_id = event["trial_id"]
        if kind == "trial_started":
            self._rungs.setdefault(trial_id, -1)
        elif trial_id not in self._rungs:
            return f"no earlier line starts the trial {trial_id}"
        elif kind == "rung":
            if event["rung"] > self._rungs[trial_id] + 1:
                return f"trial {trial_id} reaches rung {event['rung']}, but no line records the rung below"
            self._rungs[trial_id] = max(event["rung"], self._rungs[trial_id])
        return None

    def _refusal(self, problem: str) -> RunError:
        return RunError(f"{self._path}, line {self._n_lines}: {problem}. {WAY_OUT}")


def n_whole_bytes(data: bytes) -> int:
    """Return the length of a ledger without its torn tail: a line without an end, or last lines with NUL bytes.

    JSON text contains no NUL bytes; some file systems leave them after a power cut in place of unwritten data.
    """
    whole = data.rfind(b"\n") + 1
    while b"\0" in data[(start := data.rfind(b"\n", 0, max(0, whole - 1)) + 1) : whole]:
        whole = start
    return whole


def ledger_line(event: str, fields: Mapping[str, Any]) -> bytes:
    """Return an event as a line of a ledger, UTF-8 encoded and with its newline."""
    return (json.dumps(new_event(event, **fields), ensure_ascii=False, allow_nan=False) + "\n").encode()


def new_event(event: str, **fields: Any) -> dict[str, Any]:
    """Return an event as a mapping of plain values; `time` is the current time unless `fields` contains it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    plain: dict[str, Any] = _plain({"event": event, "time": now, **fields})
    return plain


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # a number of thousands of digits is a plain ValueError
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _wrong_field(event: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the first wrong field of an event; None if nothing is."""
    try:
        _checked_fields(event["event"]).model_validate(event)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    try:
        datetime.fromisoformat(event.get("time", "2000-01-01"))
    except (TypeError, ValueError):
        return f"time: must be a date and time in ISO 8601, is {str(event['time'])[:40]!r}"
    return None


@lru_cache
def _checked_fields(kind: str) -> type[BaseModel]:
    """Return the model of a kind's fields. Scores may be null, which stands for NaN; unknown kinds have no fields."""
    shape, present = SHAPES.get(kind, (None, frozenset()))
    fields: dict[str, Any] = {}
    for name, hint in (get_type_hints(shape) if shape else {}).items():
        known: Any = {int: INTEGER, float: float | None}.get(hint, hint)
        fields[name] = (known, ...) if name in present else (known | None, None)
    return create_model(kind, __config__=ConfigDict(strict=True, allow_inf_nan=False), **fields)


def _plain(value: Any) -> Any:
    """Return `value` converted to JSON types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
