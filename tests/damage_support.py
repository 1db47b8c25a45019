"""Damaged TFLite files, reproducible by seed."""

from __future__ import annotations

import random

KILLER = 559
"""Seed by which the file of `write_dense_tflite` becomes one that kills its process in the interpreter of 2026."""
EXTREMES = (b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 4, b"\0" * 4)


def mutated(source: bytes, seed: int) -> bytes:
    """Return a TFLite file with bytes changed, cut, or replaced by extreme numbers."""
    chance, data = random.Random(seed), bytearray(source)
    kind = seed % 4
    if kind == 0:
        del data[chance.randrange(len(data)) :]
    for _ in range((0, 12, 2, 1)[kind]):
        place = chance.randrange(len(data) - 4)
        if kind == 1:
            data[place] = chance.randrange(256)
        elif kind == 2:
            data[place] ^= 1 << chance.randrange(8)
        else:
            data[place : place + 4] = chance.choice(EXTREMES)
    return bytes(data)
