"""Configuration of training and export. Defaults are the settings of the paper (Cao et al. 2021)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from data_prep.config import ReaderSpec
from data_prep.schema import Config

ExportMode = Literal["float32", "float16", "dynamic_range", "int8_weights", "int4_int8_weights", "int8"]
"""Storage and arithmetic of an exported file; asc_models.tflite.quantization describes each mode."""
EXPORT_MODES: tuple[ExportMode, ...] = get_args(ExportMode)
INT4_MODE: ExportMode = "int4_int8_weights"
CALIBRATED_MODES: tuple[ExportMode, ...] = (INT4_MODE, "int8")
"""Modes whose export needs training clips, to measure activation ranges and the shift of the logits."""
INT8_MODES: tuple[ExportMode, ...] = ("int8_weights", INT4_MODE, "int8")
"""Modes that store every kernel with at most 8 bits per value. `dynamic_range` is not one of them: it keeps kernels of
fewer than 1,024 values in float32. Biases and norms have 32 bits in all modes, as in TFLite's int8 specification."""

Schedule = Literal["sgdr", "one-cycle", "cosine", "step", "plateau-cosine"]
Optimizer = Literal["sgd", "nesterov", "adamw"]
Precision = Literal["float32", "mixed_bfloat16"]
"""Arithmetic of a training step. float16 is not offered: it needs a loss scale, which is one more state to resume."""
MAX_MEMBERS = 64
"""Most members of an ensemble."""

Balance = Literal["none", "class", "device"]
CheckpointMetric = Literal["macro_accuracy", "log_loss"]
"""Validation score that selects the best epoch."""


class Distillation(Config):
    """How a network learns from teachers (`asc_models.training.distillation`)."""

    temperature: float = Field(2.0, gt=0.0)
    """Temperature T by which the logits of teachers and network are divided; larger values show more of what the
    teachers think of the other scenes. 2 as in Schmid et al. (DCASE 2023)."""
    hard_weight: float = Field(0.1, ge=0.0, le=1.0)
    """Weight λ of the true labels in the loss; the teachers have 1 − λ. Schmid et al. (DCASE 2023) have 0.02."""


class TrainConfig(Config):
    """Training recipe. Defaults to the paper's: SGD with warm restarts, mixup over adjacent batches, random crops."""

    ADDED = frozenset(
        {
            *("optimizer", "warm_up_epochs", "milestones", "step_factor", "plateau_share"),
            *("epoch_examples", "swa_share", "class_mix_p", "gain_db", "precision"),
            *("sparsity", "sparsity_span", "cut_mix_p", "int4_share"),
        }
    )

    epochs: int = Field(600, ge=1)
    """Number of epochs; with the default schedule a cycle ends after 2, 6, 14, 30, 62, 126, 254, 510 epochs."""
    schedule: Schedule = "sgdr"
    """Learning-rate schedule: `sgdr` is cosine annealing with warm restarts, `cosine` a single cosine over all epochs,
    `one-cycle` rises over the first 30% of the epochs and then falls, `step` drops at `milestones`, `plateau-cosine`
    is constant for `plateau_share` of the epochs and then follows a cosine."""
    batch_size: int = Field(16, ge=1)
    """Examples per step; mixup draws two batches per step and mixes them into one."""
    learning_rate: float = Field(0.1, gt=0.0)
    """Highest learning rate, reached at the start of each `sgdr` cycle."""
    min_learning_rate: float = Field(1e-5, ge=0.0)
    """Lowest learning rate, reached at the end of each `sgdr` cycle."""
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    """Momentum of SGD; β₁ of AdamW."""
    weight_decay: float = Field(0.0, ge=0.0)
    """L2 penalty on kernels: adds half this value times the sum of squares to the loss. AdamW uses it as decoupled
    weight decay, scaled by the learning rate."""
    gradient_clip: float = Field(0.0, ge=0.0)
    """Largest global gradient norm; larger gradients are scaled down to it. 0 turns it off."""
    ema_decay: float = Field(0.0, ge=0.0, lt=1.0)
    """Decay per step of an exponential moving average of the weights, which is evaluated and exported; 0 turns it
    off."""
    first_cycle: int = Field(2, ge=1)
    """Epochs in the first cycle of `sgdr`; a search compares its trials at the ends of the cycles."""
    cycle_factor: int = Field(2, ge=1)
    """Length of each `sgdr` cycle relative to the previous one."""
    balance: Balance = "none"
    """Draw every class, or every device, equally often in an epoch, regardless of its share of the data."""
    mixup_alpha: float = Field(0.4, ge=0.0)
    """α of mixup's Beta(α, α); one ratio is drawn per example. 0 turns it off."""
    cut_mix_p: float = Field(0.0, ge=0.0, le=1.0)
    """CutMix along time and frequency: probability that an example has a range of bands or of frames from another one
    of the batch, with labels mixed by the shares of the area; 0 turns it off."""
    crop_fraction: float = Field(400 / 423, gt=0.0, le=1.0)
    """Share of the frames in a training example, cropped at a random position. Networks with a fixed input length (the
    DCASE 2021 baseline) train on whole clips."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the target distributed evenly over all classes."""
    time_roll: bool = False
    """Roll every training example by a random number of frames; frames past the end wrap around to the start."""
    frequency_shift: int = Field(0, ge=0)
    """Largest random shift of a training example along frequency, in mel bands, which imitates a pitch shift; 0 turns
    it off."""
    time_stretch: float = Field(1.0, ge=1.0, le=4.0)
    """Stretch the features of every training example in time by a random factor between 1/this and this; 1 turns it
    off."""
    frequency_mask: int = Field(0, ge=0)
    """SpecAugment: one frequency mask, narrower than this many bands; 0 turns it off (Hu et al., 2020, have 13)."""
    time_mask: int = Field(0, ge=0)
    """SpecAugment: one time mask, shorter than this many frames; 0 turns it off (Hu et al., 2020, have 40)."""
    mask_per_channel: bool = False
    """SpecAugment: draw separate masks for each channel; otherwise log-mel and deltas share them."""
    freq_mixstyle_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that Freq-MixStyle mixes the per-band statistics of a batch; 0 turns it off."""
    freq_mixstyle_alpha: float = Field(0.3, gt=0.0)
    """α of Freq-MixStyle's Beta(α, α)."""
    scene_mix_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that an example is mixed with another clip of its scene, on the stored features. Mixes are drawn
    again in every epoch, whereas `prepare.augmentations: [mix]` stores one copy."""
    spectrum_correction_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that a clip of device a is corrected to the mean frequency response of the other devices, on the
    stored features."""
    device_offset_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that a clip of device a is given the frequency response of one other device, drawn each time."""
    class_mix_p: float = Field(0.0, ge=0.0, le=1.0)
    """Between-class mixing (Tokozume et al., arXiv 1711.10282): probability that an example is mixed in mel power with
    a clip of another class, at a random loudness ratio. The label is mixed in the same ratio. Requires
    `mixup_alpha: 0`."""
    gain_db: float = Field(0.0, ge=0.0, le=40.0)
    """Largest random change of a training example's level, up or down, in dB, applied after `class_mix_p`; 0 turns it
    off. Not allowed with `reader.scaling` minmax or center, which would undo it."""

    optimizer: Optimizer = "sgd"
    """`sgd` uses heavy-ball momentum, `nesterov` Nesterov momentum; `adamw` is Adam with decoupled weight decay
    (Loshchilov and Hutter, ICLR 2019; β₂ = 0.999) and needs a `learning_rate` near 0.001."""
    warm_up_epochs: int = Field(0, ge=0)
    """Epochs over which the rate rises linearly from `min_learning_rate` to that of the schedule; 0 turns it off."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """`step`: points, as shares of the epochs, at which the rate is multiplied by `step_factor`."""
    step_factor: float = Field(0.1, gt=0.0, le=1.0)
    """`step`: factor applied to the rate at each milestone."""
    plateau_share: float = Field(0.5, ge=0.0, lt=1.0)
    """`plateau-cosine`: share of the epochs spent at the highest rate."""
    epoch_examples: int | None = Field(None, ge=1)
    """Examples per epoch; null is one pass over the clips. A larger value shows more crops of each clip."""
    swa_share: float = Field(0.0, ge=0.0, le=1.0)
    """Stochastic weight averaging (Izmailov et al., UAI 2018): average the weights over this last share of the epochs,
    once per epoch. Batch-norm statistics are re-estimated on training batches. 0 turns it off."""
    precision: Precision = "float32"
    """Arithmetic of a training step. `mixed_bfloat16` computes the layers before the logits in bfloat16, for GPUs that
    have it (NVIDIA Ampere and later); a CPU without bfloat16 trains slower with it. Weights, evaluation and exported
    files are float32 or int8 as otherwise."""
    sparsity: float = Field(0.0, ge=0.0, le=0.99)
    """Magnitude pruning (Zhu and Gupta, arXiv 1710.01878): share of zeros at the end in every kernel of 1,024 values or
    more, except depthwise kernels and the first convolution's. Only for rules that limit `nonzero_weight_bytes`, as
    dcase2021 does; the others count zeros. 0 turns it off."""
    sparsity_span: tuple[float, float] = (0.2, 0.7)
    """`sparsity`: shares of the epochs at which pruning begins and ends. The best epoch and averages are chosen among
    those after its end."""
    int4_share: float = Field(0.0, ge=0.0, le=1.0)
    """Quantization-aware training for `int4_int8_weights`: over this last share of the epochs, and while `swa_share`
    averages, kernels that are int4 in the file are rounded in every step, and gradients pass straight through to the
    exact ones. The best epoch is chosen among these. 0 turns it off; no other export mode is affected."""

    @model_validator(mode="after")
    def _check_sparsity(self) -> Self:
        begin, end = self.sparsity_span
        if not 0.0 <= begin <= end <= 1.0:
            raise ValueError(f"sparsity_span must be two shares between 0 and 1, the smaller first, got {[begin, end]}")
        dense = 1.0 - self.swa_share
        if self.sparsity and self.swa_share and end > dense + 1e-9:
            raise ValueError(
                f"swa_share {self.swa_share:g} averages the epochs after {dense:.0%}, but sparsity_span ends at "
                f"{end:.0%}, and a mean over other zeros is not sparse. Set sparsity_span: [{min(begin, dense):g}, "
                f"{dense:g}], or a smaller swa_share"
            )
        return self

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        rising = all(low < high for low, high in pairwise((0.0, *self.milestones, 1.0)))
        if not rising:
            raise ValueError(f"milestones must be increasing shares between 0 and 1, got {list(self.milestones)}")
        if self.swa_share and self.ema_decay:
            raise ValueError(
                f"swa_share {self.swa_share} and ema_decay {self.ema_decay} both average the weights: set one of them "
                "to 0"
            )
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.spectrum_correction_p + self.device_offset_p > 1:
            raise ValueError(
                "an example gets the response of one device: spectrum_correction_p + device_offset_p must not exceed "
                f"1, got {self.spectrum_correction_p} + {self.device_offset_p}"
            )
        if self.class_mix_p and self.mixup_alpha:
            raise ValueError(
                "class_mix_p and mixup_alpha both mix examples and their labels: set mixup_alpha: 0 (its default is "
                f"0.4), got class_mix_p {self.class_mix_p} with mixup_alpha {self.mixup_alpha}"
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate must not exceed learning_rate: {self.min_learning_rate} > {self.learning_rate}"
            )
        return self

    def clash_with(self, reader: ReaderSpec) -> str:
        """Return which setting is incompatible with `reader`, as a message; empty if none is."""
        undoes = {"minmax": "scales every clip to the same range", "center": "brings every clip to the same level"}
        if self.gain_db and reader.scaling in undoes:
            return (
                f"train.gain_db {self.gain_db:g} has no effect with reader.scaling {reader.scaling}, which "
                f"{undoes[reader.scaling]}: set reader.scaling to none or standardize, or train.gain_db to 0"
            )
        return ""


class FineTuning(Config):
    """Training of a network for each recording device, from the weights of the network of all devices.

    Clips of other devices are answered by that general network. The defaults of `epochs` and `learning_rate` are those
    of the DCASE 2025 baseline (github.com/CPJKU/dcase2025_task1_baseline), whose general network starts at 0.005 and
    its devices' networks at 0.0005.
    """

    epochs: int = Field(50, ge=1)
    """Epochs over the clips of a device; the last one is kept."""
    learning_rate: float | None = Field(None, gt=0.0)
    """Highest learning rate; null means a tenth of the general network's."""
    min_clips: int = Field(100, ge=1)
    """Fewest recorded training clips of a device that has a network of its own."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Further keys of the section `train` that differ from the general network's. In any case `schedule` is cosine,
    `warm_up_epochs` and `epoch_examples` have their defaults, and clips never get the response of another device
    (`spectrum_correction_p`, `device_offset_p`)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if twice := sorted({"epochs", "learning_rate"} & set(self.train)):
            raise ValueError(f"train.{twice[0]}: set the key {twice[0]} of fine_tuning itself")
        return self

    def changes(self, general: TrainConfig) -> dict[str, Any]:
        """Return {key: value} of `train` by which the recipe of a device's network differs.

        Args:
            general: recipe of the general network.
        """
        rate = general.learning_rate / 10 if self.learning_rate is None else self.learning_rate
        usual = {
            "schedule": "cosine",
            "warm_up_epochs": 0,
            "epoch_examples": None,
            "min_learning_rate": min(general.min_learning_rate, rate),
            "sparsity_span": (0.0, 0.0),  # the weights have their zeros from the first step on
        }
        fixed = {"epochs": self.epochs, "learning_rate": rate, "spectrum_correction_p": 0.0, "device_offset_p": 0.0}
        return {**usual, **self.train, **fixed}


INT4_MIN_VALUES = 4_096
"""Smallest kernel stored in int4, in values. Small kernels save little, and errors in the early ones are costly: with
all kernels in int4 the paper's systems lose up to six points of agreement on ESC-10, with this limit about one."""


DYNAMIC_RANGE_MIN_VALUES = 1_024
"""Smallest kernel, in values, that the converter quantizes in `dynamic_range`."""
