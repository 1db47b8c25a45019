"""Audio from a microphone, by the optional package sounddevice (PortAudio)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.audio.decode import Waveform, to_mono
from data_prep.audio.stream import BLOCK_SECONDS, AudioStream
from data_prep.errors import ConfigError, DataError

NAME = "microphone"
MAX_HELD_S = 60.0
"""Seconds of audio that may wait to be answered."""
ALIVE_S = 5.0
"""Seconds without any audio after which the device counts as gone."""


@contextmanager
def microphone_stream(device: str, sample_rate: int, warn: Callable[[str], None]) -> Iterator[AudioStream]:
    """Record from a device until the block ends.

    Args:
        device: `default`, number, or part of the name of an input device.
        sample_rate: wanted rate in Hz; a device that does not have it records at its own.
        warn: told once if audio was lost because the machine was busy.

    Raises:
        ConfigError: if sounddevice or PortAudio is not installed.
        DataError: if there is no such device, or it cannot be opened; from the blocks if it ends, or answers take too
            long.
    """
    sounddevice = _sounddevice()
    try:
        number, n_channels, rate = _input(sounddevice, device, sample_rate)
        held = HeldBlocks()
        with sounddevice.InputStream(
            samplerate=rate,
            blocksize=round(BLOCK_SECONDS * rate),
            device=number,
            channels=n_channels,
            dtype="float32",
            callback=held.keep,
        ):
            yield AudioStream(rate, held.blocks(warn))
    except sounddevice.PortAudioError as error:
        raise DataError(f"--microphone {device}: cannot be opened: {_reason(error)}") from None


class HeldBlocks:
    """Blocks that wait to be answered: PortAudio's thread keeps them, the reader's takes them."""

    def __init__(self) -> None:
        self._blocks: queue.Queue[tuple[npt.NDArray[np.float32], bool]] = queue.Queue(round(MAX_HELD_S / BLOCK_SECONDS))
        self._is_late = threading.Event()

    def keep(self, block: npt.NDArray[np.float32], n_samples: int, time: Any, status: Any) -> None:
        """Keep a block (n_samples, n_channels), and whether PortAudio lost some before it; called by PortAudio."""
        if self._blocks.full():
            self._is_late.set()
        if not self._is_late.is_set():  # a later block would be taken for the one that follows the last
            self._blocks.put_nowait((block.copy(), bool(status.input_overflow)))

    def blocks(self, warn: Callable[[str], None]) -> Iterator[Waveform]:
        """Yield blocks as they arrive, mono.

        Args:
            warn: told once if audio was lost because the machine was busy.

        Raises:
            DataError: if none arrives, or one found no room.
        """
        has_warned = False
        while True:
            try:
                block, is_lossy = self._blocks.get(timeout=ALIVE_S)
            except queue.Empty:
                raise DataError(f"{NAME}: gave no audio for {ALIVE_S:g} s. Is it still connected?") from None
            if self._is_late.is_set():
                raise DataError(
                    f"{NAME}: {MAX_HELD_S:g} s of audio wait to be answered: this machine is too slow for this --every"
                )
            if is_lossy and not has_warned:
                has_warned = True
                warn(f"{NAME}: audio was lost, as the machine was busy")
            yield to_mono(block, NAME, "Choose another device.")


def _sounddevice() -> Any:
    """Return the module."""
    if find_spec("sounddevice") is None:
        raise ConfigError(
            "--microphone: sounddevice is not installed; install it with: pip install 'asc-search[microphone]'"
        )
    try:
        import sounddevice
    except OSError:
        raise ConfigError(
            "--microphone: PortAudio, which sounddevice needs, is not installed; install it, as with: apt install "
            "libportaudio2"
        ) from None
    return sounddevice


def _input(sounddevice: Any, device: str, sample_rate: int) -> tuple[int, int, int]:
    """Return number, channels and rate in Hz at which a device records."""
    number: int | str | None = None if device == "default" else int(device) if device.isdecimal() else device
    try:
        found = sounddevice.query_devices(number, "input")
    except (ValueError, sounddevice.PortAudioError) as error:
        known = [f"{one['index']} {one['name']}" for one in sounddevice.query_devices() if one["max_input_channels"]]
        why = f"{_reason(error)}; inputs: {', '.join(known)}" if known else "this machine has no input device"
        raise DataError(f"--microphone {device}: {why}") from None
    for n_channels in (1, found["max_input_channels"]):
        for rate in (sample_rate, round(found["default_samplerate"])):
            try:
                sounddevice.check_input_settings(found["index"], n_channels, "float32", samplerate=rate)
            except sounddevice.PortAudioError:
                continue
            return found["index"], n_channels, rate
    raise DataError(
        f"--microphone {device}: {found['name']} can be opened neither at {sample_rate:,} Hz nor at its own rate"
    )


def _reason(error: Exception) -> str:
    """Return PortAudio's own words."""
    return str(error.args[0] if error.args else error).rstrip(". ")
