"""`asc predict` window by window: of standard input, a microphone, or long files."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from data_prep.errors import ConfigError

if TYPE_CHECKING:
    from asc_models.classifier import Answer, Classifier
    from data_prep.audio.stream import AudioStream
    from search.cli.screen.terminal import Terminal

STDIN = Path("-")
MIN_EVERY_S = 0.01

EveryOption = Annotated[
    float | None,
    typer.Option(
        "--every",
        metavar="SECONDS",
        help="Answer a window every SECONDS while reading, for long files. Default of - and --microphone: a clip's "
        "length.",
        show_default=False,
    ),
]
RateOption = Annotated[
    int | None, typer.Option("--rate", metavar="HZ", help="Sample rate of raw samples on -.", show_default=False)
]
ChannelsOption = Annotated[
    int | None,
    typer.Option("--channels", min=1, max=1024, help="Channels of raw samples. Default: 1.", show_default=False),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Format of raw samples, by ffmpeg's name. Default: s16le.",
        show_default=False,
    ),
]
MicrophoneOption = Annotated[
    str | None,
    typer.Option(
        "--microphone",
        metavar="DEVICE",
        help="Record until Ctrl-C: default, the number of a device, or part of its name.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class StreamOptions:
    """The options of `asc predict` that concern streams; None means not given."""

    every: float | None
    """Seconds from one window to the next."""
    rate: int | None
    """Hz of raw samples."""
    channels: int | None
    """Channels of raw samples."""
    sample_format: str | None
    """Sample format of raw samples."""
    microphone: str | None
    """Device to record from."""

    def is_alone(self, audio: Sequence[Path | None]) -> bool:
        """Return whether the only source is standard input or a microphone, and not files."""
        return self.microphone is not None or STDIN in audio

    def is_stream(self, audio: Sequence[Path]) -> bool:
        """Return whether windows are answered one by one; checks that the options go together.

        Raises:
            ConfigError: if they do not.
        """
        if self.every is not None and not MIN_EVERY_S <= self.every < float("inf"):
            raise ConfigError(f"--every {self.every:g}: must be a finite time of at least {MIN_EVERY_S} seconds")
        if self.microphone is not None and audio:
            raise ConfigError("--microphone: is classified alone. Leave out AUDIO.")
        if STDIN in audio and len(audio) > 1:
            raise ConfigError("-: standard input is classified alone. Leave out the other AUDIO.")
        if (self.rate, self.channels, self.sample_format) != (None, None, None):
            if STDIN not in audio:
                raise ConfigError(
                    "--rate, --channels, --format: describe raw samples on standard input. Give - as AUDIO."
                )
            if self.rate is None:
                raise ConfigError(
                    "--channels, --format: raw samples also need their rate. Give --rate, as --rate 44100."
                )
        return self.every is not None or self.is_alone(audio)

    def opened(self, path: Path | None, sample_rate: int, screen: Terminal) -> AbstractContextManager[AudioStream]:
        """Return the stream of a file, of standard input (`-`) or of the microphone (None), to be entered.

        Args:
            path: the file.
            sample_rate: rate of the network in Hz, at which a microphone records if it can.
            screen: gets warnings.

        Raises:
            ConfigError: if an option is invalid, or a package is not installed.
        """
        from data_prep.audio.pcm import sample_format
        from data_prep.audio.stream import file_stream, pipe_stream, raw_stream

        if self.microphone is not None or path is None:
            from data_prep.audio.microphone import microphone_stream

            return microphone_stream(self.microphone or "default", sample_rate, screen.warn)
        if path != STDIN:
            return file_stream(path)
        encoding, n_channels = sample_format(self.sample_format or "s16le"), self.channels or 1
        pipe, name = getattr(sys.stdin, "buffer", None), "standard input"
        if not isinstance(pipe, BufferedIOBase) or pipe.isatty():
            raise ConfigError("-: standard input is no pipe. Pipe audio into the command, or give a file.")
        return pipe_stream(pipe, name) if self.rate is None else raw_stream(pipe, name, self.rate, n_channels, encoding)


@contextmanager
def until_interrupted(screen: Terminal) -> Iterator[Callable[[], None]]:
    """End the block on Ctrl-C or SIGTERM without an error: streams have no other end.

    Yields a function that repeats a KeyboardInterrupt which got lost: callbacks of compiled code, as of numba's
    compiler, only print it.
    """
    came = False

    def noted(earlier: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None) -> None:
        """Note the signal, and answer it as before."""
        nonlocal came
        came = True
        earlier(number, frame)

    def require_uninterrupted() -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if came:
            raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, earlier in handlers.items():
        if callable(earlier):  # it is not where the signal is ignored, as in a shell's background
            signal.signal(number, partial(noted, earlier))
    try:
        yield require_uninterrupted
    except KeyboardInterrupt:
        screen.note("Stopped.")
    finally:
        for number, earlier in handlers.items():
            signal.signal(number, earlier)


def windows(classifier: Classifier, options: StreamOptions, path: Path | None, screen: Terminal) -> Iterator[Answer]:
    """Yield the answer to each window of a stream, and show its warnings where they differ from the last window's.

    Raises:
        DataError: if the stream cannot be used.
        ConfigError: if an option is invalid, or a package is not installed.
    """
    warnings: tuple[str, ...] = ()
    name = "" if options.is_alone([path]) else f"{path} "
    with options.opened(path, classifier.configs[0].features.sample_rate, screen) as stream:
        for answer in classifier.stream(stream.blocks, stream.rate, options.every):
            for warning in answer.warnings:
                if warning not in warnings:
                    screen.warn(f"{name}{answer.starts[0]:.2f}–{answer.seconds:.2f} s: {warning}")
            warnings = answer.warnings
            yield answer
