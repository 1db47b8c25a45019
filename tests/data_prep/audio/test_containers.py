"""Damaged recordings: cut off or with flipped bits, in every container."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep.audio.containers import find_damage
from data_prep.audio.decode import decode_mono
from data_prep.errors import DataError

CONTAINERS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "ALAW"),
    ("wav", "IMA_ADPCM"),
    ("rf64", "PCM_16"),
    ("w64", "PCM_16"),
    ("aiff", "PCM_16"),
    ("au", "PCM_16"),
    ("caf", "PCM_16"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("ogg", "OPUS"),
    ("mp3", "MPEG_LAYER_III"),
]


def written(folder: Path, suffix: str, subtype: str, n_samples=12_000) -> Path:
    path = folder / f"whole.{suffix}"
    y = np.random.default_rng(0).uniform(-0.3, 0.3, (n_samples, 2))
    soundfile.write(path, y, 48_000, subtype=subtype)
    return path


def decoded(path: Path) -> tuple[np.ndarray, int] | None:
    try:
        return decode_mono(path)
    except DataError:
        return None


@pytest.mark.parametrize(("suffix", "subtype"), CONTAINERS)
def test_a_cut_off_file_is_noticed_wherever_it_was_cut(tmp_path, suffix, subtype):
    """Forty cuts from the header to the last byte but one: none is taken for a whole recording."""
    whole = written(tmp_path, suffix, subtype)
    assert decoded(whole) is not None
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    lengths = sorted({int(length) for length in np.linspace(0, len(data) * 0.9999 - 9, 40)})
    unnoticed = []
    for length in lengths:
        cut.write_bytes(data[:length])
        if decoded(cut) is not None:
            unnoticed.append(length)
    assert unnoticed == []


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("ogg", "OPUS")])
def test_any_flipped_bit_of_an_ogg_file_is_noticed(tmp_path, suffix, subtype):
    """Ogg's checksums cover every byte: 400 random flips are all refused."""
    data = written(tmp_path, suffix, subtype, 4000).read_bytes()
    rng = np.random.default_rng(1)
    flipped = tmp_path / f"flipped.{suffix}"
    for at in rng.choice(len(data), 400, replace=False):
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(changed)
        assert decoded(flipped) is None, at


@pytest.mark.parametrize(("suffix", "subtype", "n_header"), [("wav", "PCM_16", 44), ("wav", "PCM_24", 44)])
def test_a_flipped_bit_in_a_wav_header_changes_nothing_silently(tmp_path, suffix, subtype, n_header):
    """Each of the header's 352 bits flipped: refused, or the same rate and samples (two may be lost at the end)."""
    whole = written(tmp_path, suffix, subtype, 2000)
    reference, rate = decode_mono(whole)
    data = whole.read_bytes()
    flipped = tmp_path / f"flipped.{suffix}"
    read = {}
    for bit in range(8 * n_header):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.write_bytes(changed)
        read[bit] = decoded(flipped)
    heard = {bit: got for bit, got in read.items() if got is not None}
    assert heard
    for bit, (y, got_rate) in heard.items():
        assert (got_rate, bit) == (rate, bit)
        assert len(y) >= len(reference) - 22, bit  # of the last 64 bytes, which may pass for a chunk's name
        np.testing.assert_array_equal(y, reference[: len(y)], str(bit))


def test_flipped_bits_of_a_flac_file_change_no_sound_silently(tmp_path):
    """600 flips behind the header: refused, or the very same sound; a changed rate in the header is refused."""
    whole = written(tmp_path, "flac", "PCM_16", 4000)
    reference, rate = decode_mono(whole)
    data = whole.read_bytes()
    rng = np.random.default_rng(2)
    flipped = tmp_path / "flipped.flac"
    in_rate = [(18, bit) for bit in range(8)] + [(19, bit) for bit in range(8)]
    anywhere = [(int(at), int(rng.integers(8))) for at in rng.integers(42, len(data), 600)]
    heard = []
    for at, bit in in_rate + anywhere:
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        flipped.write_bytes(changed)
        heard.append((at, decoded(flipped)))
    refused = [at for at, got in heard if got is None]
    assert set(refused) >= {18, 19}
    for at, (y, got_rate) in [(at, got) for at, got in heard if got is not None]:
        assert got_rate == rate
        np.testing.assert_array_equal(y, reference, f"byte {at}")


@pytest.mark.parametrize(("suffix", "subtype"), CONTAINERS)
def test_random_damage_never_crashes(tmp_path, suffix, subtype):
    """Sixty files with one to thirty bytes overwritten: each is refused in words or decoded to finite numbers."""
    data = written(tmp_path, suffix, subtype, 3000).read_bytes()
    rng = np.random.default_rng(3)
    broken = tmp_path / f"broken.{suffix}"
    sounds = []
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 31)):
            changed[at] = int(rng.integers(256))
        broken.write_bytes(changed)
        sounds += [y for y, _ in filter(None, [decoded(broken)])]
    assert all(np.isfinite(y).all() for y in sounds)


def test_sizes_that_mean_unknown_are_let_pass(tmp_path):
    """A WAV written to a pipe, with 0xFFFFFFFF for its size, is whole; so is one with a chunk behind the sound."""
    path = written(tmp_path, "wav", "PCM_16", 1000)
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:])
    assert len(decode_mono(path)[0]) == 1000
    path.write_bytes(data + b"LIST\x04\x00\x00\x00INFO")
    assert len(decode_mono(path)[0]) == 1000
    path.write_bytes(data + bytes(16))
    assert find_damage(path) is None


def test_tags_before_and_behind_mp3_frames_are_no_damage(tmp_path):
    """ID3v2 in front, ID3v1 behind: the frames between are found whole; junk between frames is damage."""
    path = written(tmp_path, "mp3", "MPEG_LAYER_III")
    data = path.read_bytes()
    tagged = b"ID3\x04\x00\x00" + bytes((0, 0, 1, 0)) + bytes(128) + data + b"TAG" + bytes(125)
    path.write_bytes(tagged)
    assert find_damage(path) is None
    assert decoded(path) is not None
    path.write_bytes(tagged[:2000] + b"junk" * 10 + tagged[2000:])
    assert "where a frame should begin" in str(find_damage(path))


@pytest.mark.parametrize(
    ("suffix", "at", "n_bytes", "message"),
    [
        ("au", 8, 4, r"unfinished header: it declares no audio, but 4,000 bytes of audio follow"),
        ("flac", 22, 4, r"states no length, as FLAC does that was written to a pipe"),
    ],
)
def test_headers_that_a_recorder_left_open_are_told_from_damage(tmp_path, suffix, at, n_bytes, message):
    """A length of zero before sound, in other containers than WAV: the message says so, and how to mend it."""
    path = written(tmp_path, suffix, "PCM_16", 1000)
    data = bytearray(path.read_bytes())
    data[at : at + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        decode_mono(path)
