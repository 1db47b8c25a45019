"""What the data stage is told: the data set, the stored feature, the reader's view of it, the validation cut."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator

from data_prep.errors import ConfigError
from data_prep.presets import FEATURE_PRESETS
from data_prep.schema import Config

DELTA_LOSS = 4
"""Frames that one order of valid-frames deltas costs: the five-point window loses two at either end."""


def _or_preset(schema: dict[str, Any]) -> None:
    """Let the schema of a feature take a preset's name, alone or among the settings."""
    names = {
        "enum": list(FEATURE_PRESETS),
        "description": "A named feature; settings beside it win over its.",
    }
    schema["properties"]["preset"] = names
    schema.update({"type": ["object", "string"], "if": {"type": "string"}, "then": names})


class FeatureSpec(Config):
    """The stored log-mel: whatever would need the audio again to change. Defaults are the seed's (Hu et al. 2020).

    A preset's name stands for its settings, alone (`features: cpmobile2023`) or under others that win over it
    (`features: {preset: cpmobile2023, n_mels: 128}`).
    """

    model_config = ConfigDict(json_schema_extra=_or_preset)

    sample_rate: int = Field(44_100, ge=8_000, le=192_000)
    """Hz; audio at another rate is resampled."""
    clip_seconds: float = Field(10.0, gt=0.1, le=120.0)
    """Length of every clip in seconds."""
    n_fft: int = Field(2048, ge=64, le=65_536)
    """Points of the Fourier transform; powers of two are fastest by far."""
    win_length: int | None = Field(None, ge=16)
    """Samples of the window, in the middle of n_fft; null means n_fft."""
    window: Literal["hann", "hamming"] = "hann"
    """Shape of the window, periodic."""
    hop_length: int = Field(1024, ge=16)
    """Samples from one frame to the next; frames are centred, and there is silence around a clip."""
    preemphasis: float = Field(0.0, ge=0.0, lt=1.0)
    """Factor of the sample before, which is subtracted from every sample."""
    power: Literal[1, 2] = 2
    """What a mel band sums: 2 the bins' power, 1 their magnitude."""
    n_mels: int = Field(128, ge=8, le=512)
    """Mel bands."""
    fmin_hz: float = Field(0.0, ge=0.0)
    """Lowest mel edge in Hz."""
    fmax_hz: float | None = Field(None, gt=0.0)
    """Highest mel edge in Hz; null means half the sample rate."""
    htk: bool = True
    """HTK's mel formula; false means Slaney's."""
    norm: Literal["slaney"] | None = None
    """Area normalization of the mel filters."""
    log_offset: float = Field(1e-8, gt=0.0)
    """Added to a mel band's sum before the natural logarithm."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        given = {"preset": data} if isinstance(data, str) else data
        if not isinstance(given, dict) or "preset" not in given:
            return data
        name = given["preset"]
        if name not in FEATURE_PRESETS:
            raise ValueError(f"no feature is called {name!r}; there are {', '.join(FEATURE_PRESETS)}")
        return {**FEATURE_PRESETS[name], **{key: value for key, value in given.items() if key != "preset"}}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, or frames have no centre sample: {self.n_fft}")
        if self.window_samples > self.n_fft:
            raise ValueError(f"win_length must not exceed n_fft: {self.win_length} > {self.n_fft}")
        if self.hop_length > self.window_samples:
            raise ValueError(
                f"hop_length must not exceed {'n_fft' if self.win_length is None else 'win_length'}, or samples are "
                f"skipped: {self.hop_length} > {self.window_samples}"
            )
        top = self.fmax_hz if self.fmax_hz is not None else self.sample_rate / 2
        if not self.fmin_hz < top <= self.sample_rate / 2:
            raise ValueError(
                f"0 <= fmin_hz < fmax_hz <= sample_rate / 2 must hold: {self.fmin_hz}, {top}, {self.sample_rate / 2}"
            )
        return self

    @property
    def window_samples(self) -> int:
        """Samples that a frame sees."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def n_samples(self) -> int:
        """Samples in a clip."""
        return round(self.sample_rate * self.clip_seconds)

    @property
    def n_frames(self) -> int:
        """Frames of a stored clip: 431 for 10 s at 44.1 kHz and hop 1024."""
        return 1 + self.n_samples // self.hop_length


class Windows(NamedTuple):
    """Windows of a clip's network input: a network is trained on them, a clip's answer is the mean of theirs."""

    n_frames: int
    """Frames of a window."""
    n_windows: int
    """Windows of a clip that are heard when it is evaluated."""

    def __str__(self) -> str:
        return f"{self.n_windows} windows of {self.n_frames} frames"

    def starts(self, n_frames: int) -> tuple[int, ...]:
        """Return the first frames of the windows of a clip of `n_frames`, evenly placed from its start to its end."""
        last = n_frames - self.n_frames
        gaps = max(1, self.n_windows - 1)
        return tuple(round(last * i / gaps) for i in range(self.n_windows)) if self.n_windows > 1 else (last // 2,)


class ReaderSpec(Config):
    """How stored log-mels become network input: can vary inside a sweep, travels with the model."""

    ADDED = frozenset({"window_seconds", "n_windows", "trim_silence"})

    scaling: Literal["none", "minmax", "standardize"] = "minmax"
    """Before the deltas: `minmax` each clip to [0, 1], or `standardize` each mel band by its mean and deviation over
    the training clips, or none."""
    deltas: Literal[0, 1, 2] = 2
    """Orders of deltas stacked as channels behind the log-mel."""
    edges: Literal["crop", "pad"] = "crop"
    """`crop` keeps the frames where every delta is valid (431 → 423 for two orders); `pad` keeps all of them."""
    window_seconds: float | None = Field(None, gt=0.0)
    """Train on random windows of this length instead of random crops (`train.crop_fraction`), and answer for a clip by
    the mean of the probabilities of `n_windows` windows, in the exported file, too; null takes clips whole. A window
    does not know its clip's extremes, so `scaling` must not be `minmax`."""
    n_windows: int = Field(10, ge=1, le=100)
    """Windows, evenly placed, by which a clip is classified; multiplies the multiply-accumulates, not the bytes."""
    trim_silence: bool = False
    """Cut digital silence (every band at `log_offset`) off both ends of a clip; 0.2 s at least are kept, and repeated
    to fill the clip. Training windows are taken from what is kept and may reach over its ends by half their length."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.window_seconds is not None and self.scaling == "minmax":
            raise ValueError(
                f"window_seconds {self.window_seconds:g} does not go with scaling minmax, since a window does not know "
                "its clip's minimum and maximum: set scaling to none or standardize"
            )
        return self

    @property
    def n_channels(self) -> int:
        """Channels of the network input."""
        return 1 + self.deltas

    def input_shape(self, spec: FeatureSpec) -> tuple[int, int, int]:
        """Return (n_mels, n_frames, n_channels) of a full clip, the exported file's input: (128, 423, 3) by default."""
        lost = DELTA_LOSS * self.deltas if self.edges == "crop" else 0
        return spec.n_mels, spec.n_frames - lost, self.n_channels

    def windows(self, spec: FeatureSpec) -> Windows | None:
        """Return the windows of a clip; None where clips are taken whole.

        Raises:
            ConfigError: if a window is longer than a clip or less than a frame.
        """
        if self.window_seconds is None:
            return None
        n_frames = round(self.window_seconds * spec.sample_rate / spec.hop_length)
        longest = spec.n_frames - DELTA_LOSS * self.deltas
        if not 1 <= n_frames <= longest:
            raise ConfigError(
                f"reader.window_seconds: {self.window_seconds:g} s are {n_frames} frames, and must be 1 to {longest}, "
                f"the frames of a clip of {spec.clip_seconds:g} s at which every delta is valid"
            )
        return Windows(n_frames, self.n_windows)

    def network_shape(self, spec: FeatureSpec) -> tuple[int, int, int]:
        """Return (n_mels, n_frames, n_channels) of the network's input: that of a window, or of a clip without windows.

        Raises:
            ConfigError: as `windows`.
        """
        n_mels, n_frames, n_channels = self.input_shape(spec)
        windows = self.windows(spec)
        return n_mels, n_frames if windows is None else windows.n_frames, n_channels


Layout = Literal["auto", "tau", "tut", "evaluation", "table", "esc50", "folders"]


class CorpusConfig(Config):
    """How a data set is read: by itself, unless it is told otherwise here."""

    ADDED = frozenset({"subset"})

    layout: Layout = "auto"
    """`tau` (meta.csv, evaluation_setup/foldK_*.csv), `tut` (the same without headers, .txt), `evaluation` (0.wav,
    1.wav … without lists), `table` (one table names the files), `esc50` (meta/esc50.csv and audio/) or `folders` (one
    folder per class); `auto` finds out."""
    split: Literal[5, 10, 25, 50, 100] | None = None
    """TAU 2022 Mobile under the rules of DCASE 2024 and 2025: train on `split<N>.csv`, test on `test.csv`."""
    subset: Literal["esc10"] | None = None
    """Of ESC-50, the ten classes of ESC-10 alone."""
    k_folds: int | None = Field(None, ge=2, le=100)
    """Cut the labelled clips into this many folds by location, whatever folds the data set lists; null keeps its own,
    and makes 5 of a table that has none."""
    seed: int = 0
    """Seed of the cut into folds."""
    classes: tuple[str, ...] = ()
    """The scenes in their order; a label outside them is an error. Empty: the labels that occur."""
    names: bool = True
    """File names like TAU's tell city, location, segment and device, and must not contradict the labels; false: file
    names tell nothing."""
    shared_locations: Literal["refuse", "warn"] = "refuse"
    """What to do about a location in a fold's training and in its test list."""
    table: str | None = None
    """CSV, TSV or Parquet file that names the clips, relative to the data set's folder."""
    file_column: str | None = None
    """Column of the table with the audio files, relative to the data set's folder; null: a usual name."""
    label_column: str | None = None
    """Column with the scenes; null: a usual name."""
    device_column: str | None = None
    """Column with the recording devices; null: a usual name."""
    location_column: str | None = None
    """Column with what must not be divided between training and test; null: a usual name."""
    city_column: str | None = None
    """Column with the cities; null: a usual name."""
    segment_column: str | None = None
    """Column with the recorded moment, which several devices may have heard."""
    split_column: str | None = None
    """Column that says train, validation, test or evaluation."""
    fold_column: str | None = None
    """Column with the number of the fold that tests the clip; beside a split column, of the fold the row is about."""


class ValidationSpec(Config):
    """The part of the training list that is kept for validation, cut by location."""

    fraction: float = Field(0.2, gt=0.0, lt=0.9)
    """Share of the training locations, taken scene by scene and city by city."""
    holdout_devices: tuple[str, ...] = ()
    """Devices whose clips of the training list are left out of training; in validation locations they stay."""
    seed: int = 0
    """Seed of the draw."""


OfflineAugmentation = Literal["spectrum_correction", "pitch_shift", "speed_change", "mix", "device_response"]
"""What makes one more copy of the training clips each: the report's four, and devices' impulse responses."""


Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

_LIMITS: dict[str, Range] = {
    "semitones": (-24.0, 24.0),
    "speed": (0.25, 4.0),
    "mix_gain": (0.0, 4.0),
    "threshold_db": (-40.0, 40.0),
    "ratio": (1.0, 20.0),
}
"""What the ranges must stay within. Stretchers are tried to two octaves and to a quarter of the speed."""


class OfflineSpec(Config):
    """Section `prepare.offline`: the ranges that copies draw from. Defaults are the seed's (Hu et al. 2020)."""

    semitones: Range = (-4.0, 4.0)
    """Pitch shift in semitones."""
    speed: Range = (0.5, 2.0)
    """Speed change: 2 plays twice as fast, at the same pitch."""
    mix_gain: Range = (0.5, 1.0)
    """Gain of each of the two clips of a mix, drawn twice."""
    responses: str | None = None
    """Folder of impulse responses (audio files) for `device_response`."""
    threshold_db: Range = (0.0, 10.0)
    """Device response: level in dB over the clip's own at which compression sets in."""
    ratio: Range = (1.0, 3.0)
    """Device response: dB above the threshold that come in for each dB that goes out; 1 compresses nothing."""
    seed: int = Field(0, ge=0)
    """Seed of every copy's draws; a copy's stream depends on it, the clip and the augmentation alone."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, (least, most) in _LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name} must be a range [low, high] with {least:g} <= low <= high <= {most:g}, "
                    f"got [{low:g}, {high:g}]"
                )
        return self


class QuarantineSpec(Config):
    """Which clips are put aside, and how many of them a `prepare` takes."""

    ADDED = frozenset({"max_missing_share"})

    max_share: float = Field(0.01, ge=0.0, le=1.0)
    """More than this share of the clips put aside stops the stage."""
    max_missing_share: float = Field(0.01, ge=0.0, le=1.0)
    """More than this share of the listed files not on disk stops the stage."""
    strict: bool = False
    """Stop at the first that is put aside."""
    length_tolerance: float = Field(0.5, ge=0.0, le=1000.0)
    """Share of `clip_seconds` by which a recording may be shorter or longer and still be padded or cut. More than one
    sample is reported."""
    duplicates: Literal["leave_out", "keep"] = "leave_out"
    """What to do with a recording that is listed under several names."""


class PrepareConfig(Config):
    """Section `prepare`: from audio to shards."""

    corpus: CorpusConfig = CorpusConfig()
    """How the data set is read."""
    features: FeatureSpec = FeatureSpec()
    """The stored log-mel."""
    validation: ValidationSpec = ValidationSpec()
    """The part of the training list that is kept for validation."""
    augmentations: tuple[OfflineAugmentation, ...] = ()
    """Copies of the training clips to make."""
    offline: OfflineSpec = OfflineSpec()
    """What the copies are made like."""
    quarantine: QuarantineSpec = QuarantineSpec()
    """Clips that can't be used."""
    clips_per_shard: int = Field(512, ge=1)
    """Clips in one Parquet file."""


class SynthConfig(Config):
    """The embedded corpus: a synthesized data set in the layout of TAU Urban Acoustic Scenes 2020 Mobile."""

    seed: int = Field(0, ge=0)
    """Seed of everything in it: the same settings give the same bytes."""
    clip_seconds: float = Field(10.0, ge=1.0, le=60.0)
    """Length of a clip in seconds."""
    n_locations: int = Field(12, ge=3)
    """Locations per scene, spread over the cities; about a third of them belong to the evaluate list."""
    n_segments: int = Field(4, ge=1)
    """Recorded moments (segments) per location. Device a hears all of them."""
    train_share: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the train list's moments that each of the devices b, c, s1, s2 and s3 hears beside a (TAU: 0.07)."""
    evaluate_share: float = Field(0.25, gt=0.0, le=1.0)
    """Share of the evaluate list's moments that each of the eight devices but a hears beside a (TAU: 1)."""
    n_cities: int = Field(4, ge=1, le=10)
    """Cities that the locations are spread over."""
