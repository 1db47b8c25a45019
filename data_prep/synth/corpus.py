"""Writing of the synthetic data set."""

from __future__ import annotations

import io
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from data_prep.config import SynthConfig
from data_prep.errors import DataError
from data_prep.files.files import read_json, write_json, written_whole
from data_prep.progress import ProgressCallback
from data_prep.synth.devices import DEVICES, record, response
from data_prep.synth.layout import Moment, plan, write_lists
from data_prep.synth.scenes import location_filter, moment_spectrum
from data_prep.synth.sources import SAMPLE_RATE
from data_prep.synth.streams import stream

RECIPE_VERSION = 1
"""Increased whenever the same configuration would give different bytes."""
_CLAIM = "synth.json"
_WAV_HEADER_BYTES = 44


def synthesize(out: Path, config: SynthConfig, on_progress: ProgressCallback | None = None) -> int:
    """Write the data set described by `config` to `out` and return its number of clips.

    The lists are written last, so a folder with a meta.csv is complete. The same call resumes after an interruption:
    existing clips are kept, since the same configuration gives the same bytes.

    Raises:
        DataError: if `out` contains anything else.
        AscError: if the disk is full or `out` can't be written.
    """
    _claim(out, config)
    moments = plan(config)
    n_clips = sum(len(moment.devices) for moment in moments)
    n_samples = round(config.clip_seconds * SAMPLE_RATE)
    if all(_is_written(out / moment.filename(device), n_samples) for moment in moments for device in moment.devices):
        write_lists(out, moments)
        if on_progress is not None:
            on_progress(n_clips, n_clips)
        return n_clips
    gains = {name: response(config.seed, name, n_samples) for name in DEVICES}
    n_done = 0
    for (scene, identifier), group in groupby(moments, key=lambda moment: (moment.scene, moment.identifier)):
        transfer = location_filter(config.seed, scene, identifier, n_samples)
        for moment in group:
            _record_missing(out, config.seed, moment, transfer, gains, n_samples)
            n_done += len(moment.devices)
            if on_progress is not None:
                on_progress(n_done, n_clips)
    write_lists(out, moments)
    return n_clips


def _claim(out: Path, config: SynthConfig) -> None:
    """Mark `out` as the folder of this data set, or refuse a folder with other contents."""
    identity: dict[str, Any] = {"recipe": RECIPE_VERSION, "config": config.model_dump(mode="json")}
    mark = out / _CLAIM
    if mark.exists():
        if read_json(mark) != identity:
            raise DataError(
                f"{out}: contains a corpus synthesized with other settings ({mark}). Delete the folder or name another."
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: the folder is not empty. Give a new or empty folder for the synthesized corpus.")
    else:
        write_json(mark, identity)


def _record_missing(
    out: Path,
    seed: int,
    moment: Moment,
    transfer: NDArray[np.complex64],
    gains: dict[str, NDArray[np.float32]],
    n_samples: int,
) -> None:
    """Write the missing clips of a moment."""
    missing = [device for device in moment.devices if not _is_written(out / moment.filename(device), n_samples)]
    if not missing:
        return
    spectrum = moment_spectrum(seed, moment.scene, moment.identifier, moment.name, transfer, n_samples)
    for device in missing:
        clip = record(stream(seed, "clip", moment.name, device), device, spectrum, gains[device], n_samples)
        with written_whole(out / moment.filename(device)) as temporary:
            wave = io.BytesIO()  # libsndfile does not say why it cannot write a file
            soundfile.write(wave, clip, SAMPLE_RATE, subtype="PCM_16", format="WAV")
            temporary.write_bytes(wave.getvalue())


def _is_written(path: Path, n_samples: int) -> bool:
    return path.exists() and path.stat().st_size == _WAV_HEADER_BYTES + 2 * n_samples
