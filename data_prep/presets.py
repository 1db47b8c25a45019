"""Feature presets: settings that differ from the defaults of `FeatureSpec`, except the length of a clip."""

from __future__ import annotations

from typing import Any

FEATURE_PRESETS: dict[str, dict[str, Any]] = {
    # Cao, Li and Huang 2021, after the recipe of Hu et al. 2020: the defaults.
    "cao2021": {},
    # The organisers' baseline of DCASE 2021 Task 1A (task1a.yaml of its repository, features by dcase_util): magnitudes
    # through an asymmetric Hamming window of 40 ms, hop 20 ms, Slaney's mels without normalization. It is read with
    # `reader: {scaling: standardize, deltas: 0}` and keeps 500 of the 501 frames. Its edges are mirrored, ours silent.
    "dcase2021-baseline": {
        "sample_rate": 44_100,
        "n_fft": 2048,
        "win_length": 1764,
        "hop_length": 882,
        "window": "hamming",
        "power": 1,
        "n_mels": 40,
        "htk": False,
        "log_offset": 2.220446049250313e-16,  # numpy.spacing(1)
    },
    # Schmid et al., winners of DCASE 2023 Task 1 (run_training.py and models/mel.py of cpjku_dcase23), at evaluation:
    # the top edge is sample_rate / 2 − fmax_aug_range / 2. Theirs shifts and scales by (x + 4.5) / 5, which `scaling:
    # standardize` stands for; its triangles are straight in mel rather than in Hz, as Kaldi's; its edges are mirrored.
    "cpmobile2023": {
        "sample_rate": 32_000,
        "n_fft": 4096,
        "win_length": 3072,
        "hop_length": 500,
        "preemphasis": 0.97,
        "n_mels": 256,
        "fmax_hz": 15_500.0,
        "log_offset": 1e-5,
    },
}
