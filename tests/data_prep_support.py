"""Small data sets in TAU's layout, made by the tests that use them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from data_prep.config import FeatureSpec

SMALL = FeatureSpec(sample_rate=8000, clip_seconds=1.0, n_fft=256, hop_length=128, n_mels=16)


@dataclass(frozen=True)
class Row:
    filename: str
    scene: str
    listed: str  # train, evaluate, or "" for a clip that only meta.csv has
    identifier: str
    device: str = "a"


def scene_rows(scenes=("park", "bus"), n_train=4, n_test=2, devices=("a", "b")) -> list[Row]:
    """TAU names: `n_train` + `n_test` locations per scene over two cities, one segment on every device."""
    rows = []
    for number, scene in enumerate(scenes):
        for i in range(n_train + n_test):
            city = ("lisbon", "vienna")[i % 2]
            place = 100 * number + i
            for device in devices:
                name = f"audio/{scene}-{city}-{place}-{i}-{device}.wav"
                rows.append(Row(name, scene, "train" if i < n_train else "evaluate", f"{city}-{place}", device))
    return rows


def write_lists(root: Path, rows: list[Row], sep="\t", end="\n", encoding="utf-8", fold=1, meta=True) -> None:
    def write(path: Path, lines: list[list[str]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(sep.join(line) + end for line in lines).encode(encoding))

    if meta:
        head = ["filename", "scene_label", "identifier", "source_label"]
        write(root / "meta.csv", [head] + [[r.filename, r.scene, r.identifier, r.device] for r in rows])
    for listed in ("train", "evaluate"):
        chosen = [[r.filename, r.scene] for r in rows if r.listed == listed]
        if chosen:
            write(root / f"evaluation_setup/fold{fold}_{listed}.csv", [["filename", "scene_label"], *chosen])


def write_audio(root: Path, rows: list[Row], seconds=1.0, rate=8000) -> None:
    for i, row in enumerate(rows):
        path = root / row.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).standard_normal(round(seconds * rate)), rate)


def write_tree(root: Path, files: dict[str, str | bytes], audio: list[str] | tuple[str, ...] = ()) -> Path:
    """Write text files and short recordings, each with sounds of its own; return `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for i, name in enumerate(audio):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).standard_normal(800), 8000)
    return root


def lines(*rows: tuple[str, ...] | str, sep: str = "\t", end: str = "\n") -> str:
    """Return the text of a list."""
    return "".join((row if isinstance(row, str) else sep.join(row)) + end for row in rows)


def contents(shards: Path) -> dict[str, str]:
    """Checksums of what readers see: the manifest and the shards."""
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in shards.iterdir()
        if p.suffix in (".parquet", ".json", ".csv")
    }
