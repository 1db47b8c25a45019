"""Data of the figures: one pass over the shards, which keeps a few clips and the means of all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_prep.config import FeatureSpec
from data_prep.copies.correction import Correction, correction_name, parse_correction
from data_prep.errors import DataError
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.shards.parquet import CLIP_COLUMNS, log_mels_of, read_shard
from data_prep.store.store import Location, Store, open_store


@dataclass(frozen=True, eq=False)
class Example:
    """One clip to show."""

    device: str
    location: str | None
    log_mel: npt.NDArray[np.float16]
    """(n_mels, n_frames)."""


@dataclass(frozen=True, eq=False)
class PlotData:
    """The recorded clips of one fold, without augmented copies."""

    name: str
    fold: int
    spec: FeatureSpec
    classes: tuple[str, ...]
    clips: pd.DataFrame
    """One row per clip of the fold: clip_id, scene, device, location, segment, split."""
    means: npt.NDArray[np.float64]
    """(n_clips, n_mels): mean of each log-mel over frames, in the order of `clips`."""
    examples: dict[str, tuple[Example, ...]]
    """{scene: a few training clips of different devices or locations}."""
    correction: Correction | None
    """The fold's spectrum correction, if it was prepared."""


def read_plot_data(shards: Location, fold: int | None = None, n_examples: int = 3) -> PlotData:
    """Return the data of the figures for `fold`; None is the lowest fold.

    Raises:
        DataError: if there is no such fold, or the manifest, a shard or the correction is missing or damaged.
    """
    manifest = read_manifest(shards)
    fold = min(manifest.folds) if fold is None else fold
    if fold not in manifest.folds:
        raise DataError(f"{shards}: no fold {fold}; folds: {', '.join(map(str, manifest.folds))}.")
    splits = {clip_id: name for clip_id, name in manifest.folds[fold].items() if clip_id not in manifest.sources}
    store = open_store(shards)
    tables, means = [], []
    examples = _Examples(n_examples)
    for entry in manifest.shards:
        shard = read_shard(store, entry)
        rows = shard.select(list(CLIP_COLUMNS)).to_pandas()
        chosen = np.flatnonzero(rows["clip_id"].isin(list(splits)))
        if not len(chosen):
            continue
        log_mel = log_mels_of(shard, manifest.spec, store.path_text(entry.file))
        rows = rows.iloc[chosen].reset_index(drop=True)
        rows["split"] = rows["clip_id"].map(splits)
        tables.append(rows)
        for row, index in zip(rows.itertuples(), chosen, strict=True):
            means.append(log_mel[index].mean(axis=1, dtype=np.float64))
            examples.see(row, log_mel[index])
    return PlotData(
        name=manifest.name,
        fold=fold,
        spec=manifest.spec,
        classes=manifest.classes,
        clips=pd.concat(tables, ignore_index=True),
        means=np.stack(means),
        examples={scene: found for scene in manifest.classes if (found := examples.of(scene))},
        correction=_correction(store, manifest, fold),
    )


def _correction(store: Store, manifest: Manifest, fold: int) -> Correction | None:
    if not any(made.augmentation == "spectrum_correction" for made in manifest.copies):
        return None
    name = correction_name(fold)
    try:
        text = store.read(name).decode()
    except FileNotFoundError:
        raise DataError(f"{store.path_text(name)}: no such file; the manifest has corrected copies.") from None
    return parse_correction(text, store.path_text(name))


class _Examples:
    """Keeps the first training clip of each scene and device, and some more of other locations."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._found: dict[str, list[Example]] = defaultdict(list)

    def see(self, clip: Any, log_mel: npt.NDArray[np.float16]) -> None:
        """Keep a training clip if it adds a device, or a location while there are too few."""
        if clip.split != "train":
            return
        found = self._found[clip.scene]
        location = clip.location if isinstance(clip.location, str) else None
        another = location is None or location not in {example.location for example in found}
        if clip.device not in {example.device for example in found} or (another and len(found) < self._n):
            found.append(Example(clip.device, location, log_mel.copy()))

    def of(self, scene: str) -> tuple[Example, ...]:
        """Return the examples of a scene: a clip of each device first."""
        found = self._found[scene]
        firsts = [next(e for e in found if e.device == device) for device in dict.fromkeys(e.device for e in found)]
        return tuple([*firsts, *(e for e in found if e not in firsts)][: self._n])
