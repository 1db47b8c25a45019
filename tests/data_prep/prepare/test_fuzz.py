"""Damaged recordings through `prepare`: never a crash, never a clip that is silently wrong."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_prep_support import SMALL, scene_rows, write_lists

from data_prep.config import PrepareConfig, QuarantineSpec, ReaderSpec
from data_prep.prepare.prepare import prepare
from data_prep.reader.reader import read_split

CONFIG = PrepareConfig(features=SMALL, clips_per_shard=5, quarantine=QuarantineSpec(max_share=1.0))
FORMATS = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS"}


def damaged(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Return a recording's file after an accident."""
    if kind == "truncated":
        return content[: int(rng.integers(1, len(content) - 1))]
    if kind == "empty":
        return b""
    if kind == "noise":
        return rng.bytes(len(content))
    flipped = bytearray(content)
    end = 64 if kind == "header flipped" else len(content)
    for place in rng.integers(end, size=4):
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


@pytest.mark.parametrize("container", list(FORMATS))
@pytest.mark.parametrize("kind", ["truncated", "empty", "noise", "header flipped", "flipped"])
def test_damage_is_put_aside_or_heard_as_it_is(tmp_path, container, kind):
    """Every clip is in a split or in the quarantine with a reason; cut-off, empty and random files are in none."""
    rows = scene_rows()
    root = tmp_path / "corpus"
    write_lists(root, rows)
    (root / "audio").mkdir()
    rng = np.random.default_rng(len(container) + len(kind))
    hurt = set()
    for number, row in enumerate(rows):
        path = root / row.filename  # named .wav whatever it holds, as libsndfile doesn't mind
        y = 0.1 * np.random.default_rng(number).standard_normal(8000)
        soundfile.write(path, y, 8000, format=container, subtype=FORMATS[container])
        if number % 3 == 0 and not (row.listed == "train" and number < 8):
            path.write_bytes(damaged(path.read_bytes(), kind, rng))
            hurt.add(Path(row.filename).stem)
    done = prepare(root, tmp_path / "shards", CONFIG)
    aside = {entry.clip_id for entry in done.manifest.quarantine}
    assert all(entry.reason for entry in done.manifest.quarantine)
    assert aside <= hurt
    assert aside | set(done.manifest.folds[1]) == {Path(row.filename).stem for row in rows}
    assert aside == hurt or kind in ("header flipped", "flipped")
    for split in ("train", "validation", "test"):
        features = read_split(tmp_path / "shards", split, fold=1, reader=ReaderSpec())
        assert np.isfinite(features.inputs(slice(None))).all()
