"""Descriptions of a training and of an export. Defaults are the seed report's settings."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from data_prep.config import ReaderSpec
from data_prep.schema import Config

ExportMode = Literal["float32", "float16", "dynamic_range", "int8_weights", "int4_int8_weights", "int8"]
"""How an exported file stores and computes; asc_models.tflite.quantization says what each is."""
EXPORT_MODES: tuple[ExportMode, ...] = get_args(ExportMode)
CALIBRATED_MODES: tuple[ExportMode, ...] = ("int4_int8_weights", "int8")
"""Modes that need training clips to be exported: ranges of activations and the logits' shift are measured on them."""
INT8_MODES: tuple[ExportMode, ...] = ("int8_weights", "int4_int8_weights", "int8")
"""Modes that store every kernel, whatever its size, in 8 bits a value or fewer. `dynamic_range` is none of them: it
leaves kernels of fewer than 1,024 values in float32. Biases and norms have 32 bits in all of them, as TFLite's own int8
specification has it."""

Schedule = Literal["sgdr", "one-cycle", "cosine", "step", "plateau-cosine"]
Optimizer = Literal["sgd", "nesterov", "adamw"]
Balance = Literal["none", "class", "device"]
CheckpointMetric = Literal["macro_accuracy", "log_loss"]
"""What the best epoch of a training is best in."""


class TrainConfig(Config):
    """The seed's recipe: SGD with warm restarts, mixup over adjacent batches, random crops."""

    ADDED = frozenset(
        {
            *("optimizer", "warm_up_epochs", "milestones", "step_factor", "plateau_share"),
            *("epoch_examples", "swa_share", "class_mix_p", "gain_db"),
        }
    )

    epochs: int = Field(600, ge=1)
    """Length of the training; with the default schedule the rate is lowest at 2, 6, 14, 30, 62, 126, 254, 510."""
    schedule: Schedule = "sgdr"
    """Course of the rate: `sgdr` is cosine with warm restarts, `cosine` falls once over all epochs, `one-cycle` rises
    over the first three tenths of them and falls over the rest, `step` falls at `milestones`, `plateau-cosine` is
    constant for `plateau_share` and then falls along a cosine."""
    batch_size: int = Field(16, ge=1)
    """Examples in a step; with mixup each step draws two batches and makes one."""
    learning_rate: float = Field(0.1, gt=0.0)
    """Highest rate: at the start of every cycle."""
    min_learning_rate: float = Field(1e-5, ge=0.0)
    """Lowest rate: at the end of every cycle."""
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    """Momentum of SGD; AdamW's β₁."""
    weight_decay: float = Field(0.0, ge=0.0)
    """L2 penalty on kernels: half of this times the sum of squares is added to the loss. AdamW takes this times the
    rate of each kernel away instead, apart from the gradient."""
    gradient_clip: float = Field(0.0, ge=0.0)
    """Largest norm of a step's gradient over all weights, longer ones are scaled down to it; 0 turns it off."""
    ema_decay: float = Field(0.0, ge=0.0, lt=1.0)
    """Evaluate and export a moving average of the weights: each step keeps this share of it; 0 turns it off."""
    first_cycle: int = Field(2, ge=1)
    """Epochs of the first cosine cycle of `sgdr`; a search compares its trials at the ends of these cycles."""
    cycle_factor: int = Field(2, ge=1)
    """Each cycle is this much longer than the one before."""
    balance: Balance = "none"
    """Draw every class, or every device, equally often in an epoch, whatever their shares of the data."""
    mixup_alpha: float = Field(0.4, ge=0.0)
    """α of mixup's Beta(α, α), drawn per example; 0 turns it off."""
    crop_fraction: float = Field(400 / 423, gt=0.0, le=1.0)
    """Share of the frames that a training example keeps, at a random place; a network that takes one length only (the
    DCASE 2021 baseline) trains on whole clips."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the target that is spread evenly over the classes."""
    time_roll: bool = False
    """Roll every training example by a random number of frames, the end coming back at the start."""
    frequency_shift: int = Field(0, ge=0)
    """Move every training example up or down by at most this many mel bands, as another pitch would; 0 turns it off."""
    time_stretch: float = Field(1.0, ge=1.0, le=4.0)
    """Play every training example at a speed between 1/this and this, on the features; 1 turns it off."""
    frequency_mask: int = Field(0, ge=0)
    """SpecAugment: one frequency mask of fewer than this many bins; 0 turns it off (the recipe's is 13)."""
    time_mask: int = Field(0, ge=0)
    """SpecAugment: one time mask of fewer than this many frames; 0 turns it off (the recipe's is 40)."""
    mask_per_channel: bool = False
    """SpecAugment: each channel gets masks of its own; else log-mel and deltas share them."""
    freq_mixstyle_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that Freq-MixStyle mixes a batch's per-band statistics; 0 turns it off."""
    freq_mixstyle_alpha: float = Field(0.3, gt=0.0)
    """α of Freq-MixStyle's Beta(α, α)."""
    scene_mix_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that an example is mixed with another clip of its scene, on the stored features: every time another
    mix, where `prepare.augmentations: [mix]` stores one copy."""
    spectrum_correction_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that a clip of device a is heard as the other devices hear it on average, on the stored features."""
    device_offset_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that a clip of device a is heard as one other device hears it, drawn each time."""
    class_mix_p: float = Field(0.0, ge=0.0, le=1.0)
    """Between-class mixing (Tokozume et al., arXiv 1711.10282): probability that an example is mixed in mel power with
    a clip of another class, at a random ratio of loudness, which its label follows. Needs `mixup_alpha: 0`."""
    gain_db: float = Field(0.0, ge=0.0, le=40.0)
    """Change the level of every training example by up to this many dB, up or down, after such a mix; 0 turns it off.
    Refused with `reader.scaling: minmax`, which would undo it."""

    optimizer: Optimizer = "sgd"
    """`sgd` has heavy-ball momentum, `nesterov` Nesterov's; `adamw` is Adam with decoupled weight decay (Loshchilov and
    Hutter, ICLR 2019; β₂ 0.999), which wants a `learning_rate` near 0.001."""
    warm_up_epochs: int = Field(0, ge=0)
    """The rate rises linearly from `min_learning_rate` to that of the schedule over these epochs; 0 turns it off."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """`step`: shares of the training at which the rate is multiplied by `step_factor`."""
    step_factor: float = Field(0.1, gt=0.0, le=1.0)
    """`step`: factor of the rate at each milestone."""
    plateau_share: float = Field(0.5, ge=0.0, lt=1.0)
    """`plateau-cosine`: share of the training with the highest rate."""
    epoch_examples: int | None = Field(None, ge=1)
    """Examples in an epoch, where one pass over the clips shows few of their crops; null makes it one pass."""
    swa_share: float = Field(0.0, ge=0.0, le=1.0)
    """Stochastic weight averaging (Izmailov et al., UAI 2018): the mean of the weights at the ends of this last share
    of the epochs, batch norm's statistics estimated for it on training batches; 0 turns it off."""

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        rising = all(low < high for low, high in pairwise((0.0, *self.milestones, 1.0)))
        if not rising:
            raise ValueError(f"milestones must be shares that rise between 0 and 1, got {list(self.milestones)}")
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
                "an example is heard as by one device: spectrum_correction_p + device_offset_p must not exceed 1, got "
                f"{self.spectrum_correction_p} + {self.device_offset_p}"
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
        """Return what in this recipe does not go with a reader; empty where all of it does."""
        if self.gain_db and reader.scaling == "minmax":
            return (
                f"train.gain_db {self.gain_db:g} has no effect with reader.scaling minmax, which scales every clip to "
                "the same range: set reader.scaling to none or standardize, or train.gain_db to 0"
            )
        return ""


INT4_MIN_VALUES = 4_096
"""Smallest kernel stored in int4. A small kernel has little to save and, early in the network, much to spoil: with all
kernels in int4 the report's systems lose up to six points of agreement on ESC-10, with this limit about one."""


DYNAMIC_RANGE_MIN_VALUES = 1_024
"""Smallest kernel that the converter's dynamic range quantizes."""
