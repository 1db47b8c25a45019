"""Mixes within a scene and simulation of other devices on training clips as they are drawn, instead of stored copies.

Both are applied to stored log-mels before scaling, with new draws in every epoch. They are compared with copies
computed from audio in tests/data_prep/augment/test_logmel.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data_prep.augment.class_mix import Rows
from data_prep.augment.logmel import Offsets, estimate_offsets, mix_scenes, scale_bands, to_log_mel, to_power
from data_prep.augmentation import Augmentation
from data_prep.copies.correction import REFERENCE_DEVICE
from data_prep.copies.rows import RECORDED
from data_prep.errors import DataError

if TYPE_CHECKING:  # the reader imports pandas and Arrow, which listing the augmentations must not load
    from data_prep.reader.reader import FeatureSet


class OnTheFly:
    """Draws clips of a training set, some of them mixed with another of their scene or as recorded by another device.

    Args:
        features: the training split; offsets between devices are estimated from its clips of the same moment.
        scene_mix_p: probability of mixing an example with another recorded clip of its scene.
        mix_gain: range of the two gains of a mix.
        spectrum_correction_p: probability of applying the mean offset of the other devices to a recorded clip of
            device a.
        device_offset_p: probability of applying the offset of one of them, uniformly chosen, instead. The sum with
            `spectrum_correction_p` is at most 1.

    Raises:
        DataError: if one of the last two is not 0 and there are no pairs to estimate offsets from.
    """

    def __init__(
        self,
        features: FeatureSet,
        *,
        scene_mix_p: float = 0.0,
        mix_gain: tuple[float, float] = (0.5, 1.0),
        spectrum_correction_p: float = 0.0,
        device_offset_p: float = 0.0,
    ) -> None:
        self._features = features
        self._mix_p, self._mix_gain = scene_mix_p, mix_gain
        self._correction_p, self._device_p = spectrum_correction_p, device_offset_p
        recorded = features.clips["augmentation"].to_numpy(str) == RECORDED
        self._of_a = recorded & (features.clips["device"].to_numpy(str) == REFERENCE_DEVICE)
        known = np.flatnonzero(recorded & (features.labels >= 0))
        self._of_scene = {label: known[features.labels[known] == label] for label in range(len(features.classes))}
        self._offsets = self._estimate(np.flatnonzero(recorded)) if spectrum_correction_p + device_offset_p else None

    def _estimate(self, rows: Rows) -> Offsets:
        """Return the offsets of spectrum correction, then of each device, (1 + n_devices, n_mels)."""
        features = self._features
        found = estimate_offsets(features.log_mel, features.clips, features.spec, rows)
        if found is None:
            raise DataError(
                "train.spectrum_correction_p and train.device_offset_p need moments that device a and another device "
                "both recorded (same scene, location and segment) among the training clips; there are none. Set them "
                "to 0."
            )
        return np.concatenate([found.combined[None], found.offsets])

    def __call__(self, indices: Rows, rng: np.random.Generator) -> npt.NDArray[np.float16]:
        """Return the clips at `indices`, augmented, (b, n_mels, n_frames) float16 like stored copies."""
        features = self._features
        x = features.log_mel[indices]
        mixed = rng.random(len(indices)) < self._mix_p
        partners = self._partners(indices, rng)
        gains = rng.uniform(*self._mix_gain, (2, len(indices)))
        heard_by = self._draw_devices(indices, rng)
        for i in np.flatnonzero(mixed | (heard_by >= 0)):
            power = to_power(x[i].astype(np.float32), features.spec)
            if mixed[i]:
                partner = to_power(features.log_mel[partners[i]].astype(np.float32), features.spec)
                power = mix_scenes(power, partner, *gains[:, i])
            if heard_by[i] >= 0 and self._offsets is not None:
                power = scale_bands(power, self._offsets[heard_by[i]])
            x[i] = to_log_mel(power, features.spec)
        return x

    def _partners(self, indices: Rows, rng: np.random.Generator) -> Rows:
        """Return for each example another recorded clip of its scene, or itself if there is none."""
        partners = np.array(indices)
        for i, (row, label) in enumerate(zip(indices, self._features.labels[indices], strict=True)):
            pool = self._of_scene.get(int(label), indices[:0])
            own = int(np.searchsorted(pool, row))
            inside = own < len(pool) and pool[own] == row
            if len(pool) - inside > 0:
                drawn = int(rng.integers(len(pool) - inside))
                partners[i] = pool[drawn + (inside and drawn >= own)]
        return partners

    def _draw_devices(self, indices: Rows, rng: np.random.Generator) -> Rows:
        """Return the row of the offsets for each example, −1 for none."""
        share = rng.random(len(indices))
        n_rows = 2 if self._offsets is None else len(self._offsets)
        device = rng.integers(1, n_rows, len(indices))
        one = np.where(share < self._correction_p + self._device_p, device, -1)
        return np.where(self._of_a[indices], np.where(share < self._correction_p, 0, one), -1)


STORED: tuple[Augmentation[type[OnTheFly]], ...] = (
    Augmentation(
        "stored_scene_mix", {"scene_mix_p": "mixing of clips of one scene"}, OnTheFly, {"scene_mix_p": "scene_mix_p"}
    ),
    Augmentation(
        "stored_spectrum_correction",
        {"spectrum_correction_p": "spectrum correction"},
        OnTheFly,
        {"spectrum_correction_p": "spectrum_correction_p"},
    ),
    Augmentation(
        "stored_device_offset",
        {"device_offset_p": "device simulation by spectral offsets"},
        OnTheFly,
        {"device_offset_p": "device_offset_p"},
    ),
)
"""In the order in which they are applied. They share one step, which takes the arguments of all of them."""
