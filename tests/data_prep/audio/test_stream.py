"""Streams: the samples of a pipe are those of the file with the same bytes, whatever arrives at once."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile

from data_prep.audio.decode import decode
from data_prep.audio.pcm import ENCODINGS, decode_pcm, sample_format
from data_prep.audio.stream import file_stream, pipe_stream, raw_stream
from data_prep.errors import ConfigError, DataError

NAME = "standard input"
SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")


class Trickle(io.BytesIO):
    """A pipe in which 1,001 bytes arrive at once, so that blocks end within samples; it cannot be rewound."""

    def read1(self, size=-1):
        return super().read1(min(size, 1001))

    def seek(self, *_):
        raise io.UnsupportedOperation


def joined(stream):
    with stream as opened:
        return np.concatenate(list(opened.blocks)), opened.rate


@pytest.fixture(scope="module")
def sound():
    """Two channels of 20,001 samples."""
    return np.random.default_rng(0).uniform(-1, 1, (20_001, 2))


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [*(("wav", subtype) for subtype in SUBTYPES), ("flac", "PCM_16"), ("flac", "PCM_24")],
)
def test_pipes_and_blocks_have_the_samples_of_the_file(tmp_path, sound, suffix, subtype):
    """To the bit, channels averaged; WAV and FLAC from a pipe, and the file in blocks."""
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sound, 22_050, subtype=subtype)
    whole = decode(path)
    for y, rate in (joined(pipe_stream(Trickle(path.read_bytes()), NAME)), joined(file_stream(path))):
        assert rate == whole.rate == 22_050
        np.testing.assert_array_equal(y, whole.y)


@pytest.mark.parametrize(("name", "subtype"), [*zip(ENCODINGS, SUBTYPES, strict=True)])
def test_raw_samples_are_those_of_libsndfile(tmp_path, sound, name, subtype):
    """Every sample format, by its bytes without a header."""
    how = {"samplerate": 8000, "format": "RAW", "subtype": subtype, "endian": "LITTLE"}
    soundfile.write(tmp_path / "a", sound, **how)
    expected, _ = soundfile.read(tmp_path / "a", dtype="float32", channels=2, **how)
    data = (tmp_path / "a").read_bytes()
    assert len(data) == sound.size * ENCODINGS[name].n_bytes
    np.testing.assert_array_equal(decode_pcm(data, name).reshape(-1, 2), expected)
    y, _ = joined(raw_stream(Trickle(data), NAME, 8000, 2, name))
    np.testing.assert_array_equal(y, expected.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize("size", [0, 0x7FFF_F024, 0xFFFF_FFFF])
def test_a_wav_stream_of_unknown_length_is_read_to_its_end(tmp_path, sound, size):
    """Programs that write to a pipe state 0 or almost 4 GiB."""
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    y, _ = joined(pipe_stream(Trickle(data), NAME))
    np.testing.assert_array_equal(y, decode(tmp_path / "a.wav").y)


def test_formats_are_named_as_ffmpeg_and_alsa_do():
    """With and without the order of bytes; others are an error that lists what is known."""
    names = ("s16", "S16_LE", "s16le", "S24_3LE", "FLOAT_LE", "f32", "U8")
    assert [sample_format(name) for name in names[:4]] == ["s16le", "s16le", "s16le", "s24le"]
    assert [sample_format(name) for name in names[4:]] == ["f32le", "f32le", "u8"]
    with pytest.raises(ConfigError, match="--format s16be: unknown sample format; known: u8, s16le"):
        sample_format("s16be")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda wav, flac: b"", "contains no samples. Pipe WAV, FLAC or raw samples"),
        (lambda wav, flac: wav[:7], "ends within its header"),
        (lambda wav, flac: wav[:30], "ends within its header"),
        (lambda wav, flac: wav[:44], "is cut off: 0 of 80,004 bytes"),
        (lambda wav, flac: wav[:20_000], "is cut off: 19,956 of 80,004 bytes of audio are present"),
        (lambda wav, flac: wav[:20] + b"\x11" + wav[21:], "has samples of 16 bits in format 17"),
        (lambda wav, flac: wav[:24] + b"\x07\0\0\0" + wav[28:], "contradicts itself: 7 Hz"),
        (lambda wav, flac: wav[:12] + b"LIST\xff\xff\xff\x7f", "has a damaged header: 2,147,483,647 bytes before"),
        (lambda wav, flac: b"ID3 and more than that", "is neither WAV nor FLAC. For raw samples give --rate"),
        (lambda wav, flac: flac[:20], "cannot be decoded as FLAC"),
        (lambda wav, flac: flac[: len(flac) // 2], r"ends after [\d,]+ of 20,001 samples"),
    ],
)
def test_damaged_streams_are_named_with_the_reason(tmp_path, sound, change, message):
    """Nothing, a cut or contradictory header, another format, and fewer samples than stated."""
    for suffix in ("wav", "flac"):
        soundfile.write(tmp_path / f"a.{suffix}", sound, 8000)
    data = change((tmp_path / "a.wav").read_bytes(), (tmp_path / "a.flac").read_bytes())
    with pytest.raises(DataError, match=f"^{NAME}: {message}" if "\\" in message else f"^{NAME}: {re.escape(message)}"):
        joined(pipe_stream(Trickle(data), NAME))


@pytest.mark.parametrize(
    ("data", "rate", "encoding", "message"),
    [
        (b"", 8000, "s16le", "contains no samples"),
        (b"abc", 8000, "s16le", "ends after 3 of 4 bytes of a sample (2 × s16le)"),
        (b"\0" * 8, 7, "s16le", "has a sample rate of 7 Hz, which is out of range. Check --rate."),
        (np.full(2, np.nan, "<f4").tobytes(), 8000, "f32le", "contains values that are not finite. Check --format"),
        (
            np.full(2, 1e30, "<f8").tobytes(),
            8000,
            "f64le",
            "contains a sample of 1e+30; full scale is 1. Check --format",
        ),
    ],
)
def test_raw_samples_that_are_none_are_refused(data, rate, encoding, message):
    """No bytes, part of a sample, an absurd rate, NaN, and values far beyond full scale."""
    with pytest.raises(DataError, match=f"^{NAME}: {re.escape(message)}"):
        joined(raw_stream(io.BytesIO(data), NAME, rate, 2, encoding))


def test_an_interrupt_passes_through_the_decoder(tmp_path, sound):
    """libsndfile's callbacks lose exceptions; Ctrl-C while waiting for FLAC must not."""

    class Interrupted(Trickle):
        def read1(self, size=-1):
            if self.tell() > 30_000:
                raise KeyboardInterrupt
            return super().read1(size)

    soundfile.write(tmp_path / "a.flac", sound, 8000)
    with pytest.raises(KeyboardInterrupt):
        joined(pipe_stream(Interrupted((tmp_path / "a.flac").read_bytes()), NAME))
