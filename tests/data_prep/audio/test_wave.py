"""WAV headers as recorders write them: slips that leave the sound in no doubt, and damage that doesn't."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep.audio import wave
from data_prep.audio.decode import decode
from data_prep.errors import DataError

NOTE = b"LIST" + struct.pack("<I", 4) + b"INFO"
ODD_NOTE = b"LIST" + struct.pack("<I", 5) + b"INFOx"


def written(
    path: Path,
    *,
    bits=16,
    channels=1,
    rate=8000,
    n=1001,
    riff=None,
    size=None,
    bps=None,
    frame=None,
    pad=True,
    before=b"",
    tail=b"",
) -> np.ndarray:
    """Write a WAV file whose header says what is asked for; return the samples (n,) float32 that it holds."""
    width = bits // 8
    samples = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), n * channels)
    sound = b"".join(int(value).to_bytes(width, "little", signed=True) for value in samples)
    right = width * channels
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, rate * right if bps is None else bps, right if frame is None else frame, bits
    )
    data = b"data" + struct.pack("<I", len(sound) if size is None else size) + sound
    data += b"\0" if pad and len(sound) % 2 else b""
    rest = b"WAVE" + before + b"fmt " + struct.pack("<I", 16) + form + data + tail
    path.write_bytes(b"RIFF" + struct.pack("<I", len(rest) if riff is None else riff) + rest)
    return (samples.reshape(n, channels) / 2 ** (bits - 1)).astype(np.float32).mean(axis=1, dtype=np.float32)


@pytest.mark.parametrize(
    ("header", "slip"),
    [
        ({"bits": 24, "pad": False, "tail": NOTE}, wave.NO_PAD),
        ({"bits": 24, "before": ODD_NOTE}, wave.NO_PAD),
        ({"size": 2002 + 44}, wave.SIZE_WITH_HEADER),
        ({"size": 2002 + 36}, wave.SIZE_WITH_HEADER),
        ({"size": 2002 + 44, "riff": 2002 + 80}, wave.SIZE_WITH_HEADER),
        ({"bits": 24, "size": 3003 + 36, "pad": False}, wave.SIZE_WITH_HEADER),
        ({"bps": 0}, wave.BYTES_PER_SECOND),
        ({"bps": 8000}, wave.BYTES_PER_SECOND),
        ({"rate": 44_100, "bps": 44_100}, wave.BYTES_PER_SECOND),
        ({"rate": 48_000, "channels": 2, "bps": 48_000 * 16}, wave.BYTES_PER_SECOND),
        ({"bps": 123_456}, wave.BYTES_PER_SECOND),
        ({"frame": 0}, wave.BYTES_PER_FRAME),
        ({"bits": 24, "channels": 2, "frame": 3}, wave.BYTES_PER_FRAME),
    ],
)
def test_a_slip_that_leaves_the_sound_in_no_doubt_is_read_and_said(tmp_path, header, slip):
    """Missing pad bytes, the header's size added to the sound's, wrong redundant fields: every sample, and the slip."""
    expected = written(tmp_path / "a.wav", **header)
    found = decode(tmp_path / "a.wav")
    assert (found.rate, found.slip) == (header.get("rate", 8000), slip)
    np.testing.assert_array_equal(found.y, expected)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"riff": 0, "size": 0}, r"unfinished header: it declares no audio, but 2,002 bytes of audio follow"),
        ({"size": 0}, r"unfinished header.* 2,002 bytes"),
        ({"size": 2002 + 50}, r"is cut off: 2,002 of 2,052 bytes"),
        ({"size": 1902}, r"100 bytes after its audio belong to no chunk"),
        ({"rate": 22_050, "bps": 88_200}, r"22,050 Hz × 2 bytes, but 88,200 bytes per second"),
        ({"rate": 44_101, "bps": 88_200}, r"contradicts itself: 44,101 Hz"),
        ({"frame": 4, "bps": 32_000}, r"1 channels of 16 bits in 4 bytes per frame"),
    ],
)
def test_a_header_that_leaves_two_readings_is_refused_in_words(tmp_path, header, message):
    """Sizes of zero before sound, a cut, two possible rates or widths: refused, and the message says what is wrong."""
    written(tmp_path / "a.wav", **header)
    with pytest.raises(DataError, match=rf"a\.wav: .*{message}"):
        decode(tmp_path / "a.wav")


def test_a_right_header_has_no_slip_and_an_empty_one_no_sound(tmp_path):
    """A right file has no slip, whatever its chunks; notes behind no sound are no sound."""
    expected = written(tmp_path / "a.wav", bits=24, before=ODD_NOTE + b"\0", tail=NOTE)
    found = decode(tmp_path / "a.wav")
    assert found.slip == ""
    np.testing.assert_array_equal(found.y, expected)
    written(tmp_path / "b.wav", n=0, tail=NOTE)
    with pytest.raises(DataError, match="contains no samples"):
        decode(tmp_path / "b.wav")


def test_what_is_no_file_is_never_opened(tmp_path):
    """A named pipe and a device behind a link are refused at once, as are files of impossible size."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name, message in (
        ("pipe.wav", "is a named pipe, not a recording"),
        ("zero.wav", "is a device or socket, not a recording"),
        ("huge.wav", "has 1,099,511,627,776 bytes; at most"),
        ("loop.wav", "cannot be read"),
        ("a\0b.wav", "cannot be read"),
        (f"{'x' * 300}.wav", "cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            decode(tmp_path / name)


def test_samples_beyond_any_scale_are_refused(tmp_path):
    """A float sample of 1e20 is no sound; one of 32,767, as unscaled recordings have, is."""
    soundfile.write(tmp_path / "a.wav", np.array([0.1, 1e20], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: contains a sample of 1e\+20; full scale is 1"):
        decode(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.array([0.1, 32_767], np.float32), 8000, subtype="FLOAT")
    assert decode(tmp_path / "b.wav").y[1] == 32_767


def test_a_recording_that_decodes_to_gigabytes_is_not_kept_in_memory(tmp_path, monkeypatch):
    """A small file of hours of silence is given up once it has more bytes than any clip."""
    monkeypatch.setattr("data_prep.audio.decode.MAX_BYTES", 100_000)
    monkeypatch.setattr("data_prep.audio.decode.BLOCK_SAMPLES", 10_000)
    soundfile.write(tmp_path / "long.flac", np.zeros(1_000_000), 8000)
    with pytest.raises(DataError, match=r"long\.flac: is longer than 100,000 bytes once decoded"):
        decode(tmp_path / "long.flac")
