"""Configuration of the data stage: data set, stored feature, network input, validation split, augmented copies."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from data_prep.errors import ConfigError
from data_prep.presets import FEATURE_PRESETS
from data_prep.schema import Config

DELTA_LOSS = 4
"""Frames lost per order of deltas: the five-point window is not valid in the first two and the last two frames."""


def _or_preset(schema: dict[str, Any]) -> None:
    """Let the schema of a feature accept a preset's name, alone or as the key `preset`."""
    names = {
        "enum": list(FEATURE_PRESETS),
        "description": "A named feature; settings next to it override its settings.",
    }
    schema["properties"]["preset"] = names
    schema.update({"type": ["object", "string"], "if": {"type": "string"}, "then": names})


class FeatureSpec(Config):
    """The stored log-mel. Changing any of these settings requires the audio. Defaults are the preset
    cao2021, which follows Hu et al. (2020, arXiv 2007.08389).

    Give a preset by its name (`features: cpmobile2023`), or override some of its settings
    (`features: {preset: cpmobile2023, n_mels: 128}`).
    """

    model_config = ConfigDict(json_schema_extra=_or_preset)

    sample_rate: int = Field(44_100, ge=8_000, le=192_000)
    """Sample rate in Hz. Audio at another rate is resampled."""
    clip_seconds: float = Field(10.0, gt=0.1, le=120.0)
    """Length of every clip in seconds."""
    n_fft: int = Field(2048, ge=64, le=65_536)
    """Length of the Fourier transform in samples; must be even. Powers of two are by far the fastest."""
    win_length: int | None = Field(None, ge=16)
    """Length of the window in samples, centred within n_fft; null means n_fft."""
    window: Literal["hann", "hamming"] = "hann"
    """Window function (periodic)."""
    hop_length: int = Field(1024, ge=16)
    """Samples between frames. Frames are centred; clips are padded with zeros at both ends."""
    preemphasis: float = Field(0.0, ge=0.0, lt=1.0)
    """Coefficient c of the pre-emphasis filter y[t] − c·y[t−1]; 0 means no pre-emphasis."""
    power: Literal[1, 2] = 2
    """Exponent of the magnitude spectrogram: 1 for magnitude, 2 for power."""
    n_mels: int = Field(128, ge=8, le=512)
    """Number of mel bands."""
    fmin_hz: float = Field(0.0, ge=0.0)
    """Lower edge of the lowest mel band in Hz."""
    fmax_hz: float | None = Field(None, gt=0.0)
    """Upper edge of the highest mel band in Hz; null means half the sample rate."""
    htk: bool = True
    """Use HTK's mel formula; false means Slaney's."""
    norm: Literal["slaney"] | None = None
    """`slaney` scales the mel filters to equal area; null leaves their peaks at 1."""
    log_offset: float = Field(1e-8, gt=0.0)
    """Added to the output of each mel filter before the natural logarithm; at least 1e-30."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        given = {"preset": data} if isinstance(data, str) else data
        if not isinstance(given, dict) or "preset" not in given:
            return data
        name = given["preset"]
        if not isinstance(name, str) or name not in FEATURE_PRESETS:
            raise ValueError(f"unknown feature {name!r}; known: {', '.join(FEATURE_PRESETS)}")
        return {**FEATURE_PRESETS[name], **{key: value for key, value in given.items() if key != "preset"}}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.log_offset < 1e-30:
            raise ValueError(
                "log_offset must be at least 1e-30, since float32 rounds much smaller ones to 0 and silence would have "
                f"no logarithm: {self.log_offset}"
            )
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, so that frames have a centre sample: {self.n_fft}")
        if self.window_samples > self.n_fft:
            raise ValueError(f"win_length must not exceed n_fft: {self.win_length} > {self.n_fft}")
        if self.hop_length > self.window_samples:
            raise ValueError(
                f"hop_length must not exceed {'n_fft' if self.win_length is None else 'win_length'}, so that no "
                f"samples are skipped: {self.hop_length} > {self.window_samples}"
            )
        top = self.fmax_hz if self.fmax_hz is not None else self.sample_rate / 2
        if not self.fmin_hz < top <= self.sample_rate / 2:
            raise ValueError(
                f"0 <= fmin_hz < fmax_hz <= sample_rate / 2 must hold: {self.fmin_hz}, {top}, {self.sample_rate / 2}"
            )
        return self

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
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
    """Windows of a clip. A network is trained on windows; a clip's probabilities are the mean over its windows."""

    n_frames: int
    """Frames in a window."""
    n_windows: int
    """Windows per clip in evaluation."""

    def __str__(self) -> str:
        return f"{self.n_windows} windows of {self.n_frames} frames"

    def starts(self, n_frames: int) -> tuple[int, ...]:
        """Return the first frame of each window of a clip of `n_frames`, evenly spaced from its start to its end."""
        last = n_frames - self.n_frames
        gaps = max(1, self.n_windows - 1)
        return tuple(round(last * i / gaps) for i in range(self.n_windows)) if self.n_windows > 1 else (last // 2,)


class ReaderSpec(Config):
    """How stored log-mels become network input. May vary within a search; saved with the model."""

    ADDED = frozenset({"window_seconds", "n_windows", "trim_silence", "frequency_channel"})

    scaling: Literal["none", "minmax", "standardize", "center"] = "minmax"
    """Applied before the deltas. `minmax` scales each clip to [0, 1]; `standardize` scales each mel band to zero mean
    and unit variance over the training clips; `center` subtracts from each mel band its mean over the clip, as cepstral
    mean subtraction does (Furui 1981), and with it the frequency response of the recording device."""
    deltas: Literal[0, 1, 2] = 2
    """Orders of deltas, stacked after the log-mel as channels."""
    edges: Literal["crop", "pad"] = "crop"
    """`crop` keeps the frames where every delta is valid (423 of 431 for two orders); `pad` repeats the first and the
    last frame and keeps all frames."""
    frequency_channel: bool = False
    """Add a channel with the position of each mel band, from −1 for the lowest to 1 for the highest, so that
    convolutions can tell bands apart (Liu et al. 2018, "CoordConv", arXiv 1807.03247). Augmentations do not change
    it."""
    window_seconds: float | None = Field(None, gt=0.0)
    """Train on random windows of this length in seconds, instead of random crops (`train.crop_fraction`). A clip is
    classified by the mean of the probabilities of `n_windows` windows, also in the exported file. null uses whole
    clips. Requires `scaling` none or standardize, as the others need the whole clip."""
    n_windows: int = Field(10, ge=1, le=100)
    """Evenly spaced windows that classify a clip. Multiplies the MACs, not the bytes; used with `window_seconds`."""
    trim_silence: bool = False
    """Trim digital silence (every band at `log_offset`) from both ends of a clip. At least 0.2 s remain, repeated to
    fill the clip. Training windows are drawn from the rest and may extend past its ends by half their length."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = {"minmax": "minimum and maximum", "center": "means"}.get(self.scaling)
        if self.window_seconds is not None and needed is not None:
            raise ValueError(
                f"window_seconds {self.window_seconds:g} cannot be combined with scaling {self.scaling}, since a "
                f"window lacks its clip's {needed}: set scaling to none or standardize"
            )
        return self

    @property
    def n_channels(self) -> int:
        """Channels of the network input."""
        return 1 + self.deltas + self.frequency_channel

    def input_shape(self, spec: FeatureSpec) -> tuple[int, int, int]:
        """Return (n_mels, n_frames, n_channels) of a clip, the input of the exported file: (128, 423, 3) by default."""
        lost = DELTA_LOSS * self.deltas if self.edges == "crop" else 0
        return spec.n_mels, spec.n_frames - lost, self.n_channels

    def windows(self, spec: FeatureSpec) -> Windows | None:
        """Return the windows of a clip; None if whole clips are used.

        Raises:
            ConfigError: if a window is longer than a clip or shorter than a frame.
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
        """Return (n_mels, n_frames, n_channels) of the network's input: of a window, or of a clip without windows.

        Raises:
            ConfigError: as `windows`.
        """
        n_mels, n_frames, n_channels = self.input_shape(spec)
        windows = self.windows(spec)
        return n_mels, n_frames if windows is None else windows.n_frames, n_channels


Layout = Literal["auto", "tau", "tut", "evaluation", "table", "esc50", "folders"]


class CorpusConfig(Config):
    """How a data set is read. Detected automatically; override it here."""

    ADDED = frozenset({"subset"})

    layout: Layout = "auto"
    """`tau` (meta.csv, evaluation_setup/foldK_*.csv), `tut` (the same as .txt without headers), `evaluation` (0.wav,
    1.wav … without lists), `table` (one table lists the files), `esc50` (meta/esc50.csv and audio/) or `folders` (one
    folder per class). `auto` detects it."""
    split: Literal[5, 10, 25, 50, 100] | None = None
    """Percentage of the training clips of TAU 2022 Mobile, as in DCASE 2024 and 2025: train on `split<N>.csv`, test on
    `test.csv`."""
    subset: Literal["esc10"] | None = None
    """`esc10` uses only the ten classes of ESC-10; for ESC-50."""
    k_folds: int | None = Field(None, ge=2, le=100)
    """Split the labelled clips into this many folds by location and ignore the folds of the data set. null uses the
    folds of the data set, or 5 new folds if it has none."""
    seed: int = 0
    """Random seed of the split into folds."""
    classes: tuple[str, ...] = ()
    """Scenes in the order of the classes; any other label is an error. Empty: all labels that occur."""
    names: bool = True
    """Parse city, location, segment and device from file names like those of TAU; they must agree with the labels.
    false ignores file names."""
    shared_locations: Literal["refuse", "warn"] = "refuse"
    """Whether a location in both the training list and the test list of a fold is an error or a warning."""
    table: str | None = None
    """CSV, TSV or Parquet file that lists the clips, relative to the data set's folder."""
    file_column: str | None = None
    """Column of the audio files, relative to the data set's folder; null looks for common names."""
    label_column: str | None = None
    """Column of the scenes; null looks for common names."""
    device_column: str | None = None
    """Column of the recording devices; null looks for common names."""
    location_column: str | None = None
    """Column of the locations, which are never divided between training and test; null looks for common names."""
    city_column: str | None = None
    """Column of the cities; null looks for common names."""
    segment_column: str | None = None
    """Column of the segment, a moment that several devices may have recorded."""
    split_column: str | None = None
    """Column of the split: train, validation, test or evaluation."""
    fold_column: str | None = None
    """Column of the fold that tests the clip; with a split column, of the fold that the row belongs to."""

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for number, name in enumerate(classes) if name in classes[:number]]
        if twice:
            raise ValueError(f"each class must be listed once; {twice[0]!r} is listed twice. Remove one")
        return classes


class ValidationSpec(Config):
    """The validation split: whole locations held out of the training list."""

    fraction: float = Field(0.2, gt=0.0, lt=0.9)
    """Share of the training locations held out, stratified by scene and city."""
    holdout_devices: tuple[str, ...] = ()
    """Devices that are never trained on; their clips remain in validation and test."""
    seed: int = 0
    """Random seed of the choice of locations."""


OfflineAugmentation = Literal["spectrum_correction", "pitch_shift", "speed_change", "mix", "device_response"]
"""Augmentations stored as copies of the training clips: four of the paper, and impulse responses of devices."""


Range = tuple[float, float]
"""Bounds of a uniform distribution."""

_LIMITS: dict[str, Range] = {
    "semitones": (-24.0, 24.0),
    "speed": (0.25, 4.0),
    "mix_gain": (0.0, 4.0),
    "threshold_db": (-40.0, 40.0),
    "ratio": (1.0, 20.0),
}
"""Widest allowed ranges. The stretchers are tested up to two octaves and down to a quarter of the speed."""


class OfflineSpec(Config):
    """Section `prepare.offline`: parameters of the augmented copies. Defaults follow Hu et al. (2020,
    arXiv 2007.08389)."""

    semitones: Range = (-4.0, 4.0)
    """Range of the pitch shift in semitones."""
    speed: Range = (0.5, 2.0)
    """Range of the speed factor; 2 plays twice as fast at the same pitch."""
    mix_gain: Range = (0.5, 1.0)
    """Range of the gain of the two clips of a mix; each gain is drawn separately."""
    responses: str | None = None
    """Folder of impulse responses (audio files) for `device_response`."""
    threshold_db: Range = (0.0, 10.0)
    """Range of the compression threshold of `device_response`, in dB relative to the level of the clip."""
    ratio: Range = (1.0, 3.0)
    """Range of the compression ratio of `device_response`, input dB per output dB above the threshold; 1 means no
    compression."""
    seed: int = Field(0, ge=0)
    """Random seed of the copies. The draws of a copy depend only on this seed, the clip and the augmentation."""

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
    """Which clips are quarantined (left out of every split), and how many `asc prepare` tolerates."""

    ADDED = frozenset({"max_missing_share"})

    max_share: float = Field(0.01, ge=0.0, le=1.0)
    """Largest share of quarantined clips; the stage stops above it."""
    max_missing_share: float = Field(0.01, ge=0.0, le=1.0)
    """Largest share of listed files that are not on disk; the stage stops above it."""
    strict: bool = False
    """Stop at the first quarantined clip."""
    length_tolerance: float = Field(0.5, ge=0.0, le=1000.0)
    """Largest deviation from `clip_seconds`, as a share of it; up to this, recordings are padded or cut. Deviations of
    more than one sample are reported."""
    duplicates: Literal["leave_out", "keep"] = "leave_out"
    """Whether to leave out or keep recordings that are listed under several names."""


class PrepareConfig(Config):
    """Section `prepare`: from audio to shards."""

    corpus: CorpusConfig = CorpusConfig()
    """How the data set is read."""
    features: FeatureSpec = FeatureSpec()
    """The stored log-mel."""
    validation: ValidationSpec = ValidationSpec()
    """The validation split."""
    augmentations: tuple[OfflineAugmentation, ...] = ()
    """Augmentations to compute from the audio and store; each adds copies of the training clips."""
    offline: OfflineSpec = OfflineSpec()
    """Parameters of the augmented copies."""
    quarantine: QuarantineSpec = QuarantineSpec()
    """Clips that can't be used."""
    clips_per_shard: int = Field(512, ge=1)
    """Clips per Parquet file."""


class SynthConfig(Config):
    """The synthetic data set, in the layout of TAU Urban Acoustic Scenes 2020 Mobile."""

    seed: int = Field(0, ge=0)
    """Random seed; the same settings give the same bytes."""
    clip_seconds: float = Field(10.0, ge=1.0, le=60.0)
    """Length of a clip in seconds."""
    n_locations: int = Field(12, ge=3)
    """Locations per scene, distributed over the cities; about a third are in the evaluate list."""
    n_segments: int = Field(4, ge=1)
    """Segments (recorded moments) per location. Device a records all of them."""
    train_share: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the segments in the train list that devices b, c, s1, s2 and s3 each record (TAU: 0.07)."""
    evaluate_share: float = Field(0.25, gt=0.0, le=1.0)
    """Share of the segments in the evaluate list that each device other than a records (TAU: 1)."""
    n_cities: int = Field(4, ge=1, le=10)
    """Number of cities."""
