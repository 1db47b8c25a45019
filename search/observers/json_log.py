"""Every event as one line of JSON, for programs that follow a search."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from typing import TextIO

from results.ledger.events import Event


class JsonLog:
    """Writes this session's events to a stream at once, in the format of the ledger."""

    name = "JSON log"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        encoding = getattr(stream, "encoding", None)
        self._ascii_only = encoding is not None and codecs.lookup(encoding).name != "utf-8"

    def begin(self, earlier: Sequence[Event]) -> None:
        """Write nothing: events of earlier sessions are in the ledger."""

    def on_event(self, event: Event) -> None:
        """Write one line."""
        self._stream.write(json.dumps(event, ensure_ascii=self._ascii_only, allow_nan=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: the stream belongs to the caller."""
