"""Recording from a microphone, without one: what arrives faster than it is answered."""

from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.audio.microphone import BLOCK_SECONDS, MAX_HELD_S, HeldBlocks
from data_prep.errors import DataError

FINE = SimpleNamespace(input_overflow=False)
ROOM = round(MAX_HELD_S / BLOCK_SECONDS)


def kept(n_blocks: int) -> HeldBlocks:
    held = HeldBlocks()
    for number in range(n_blocks):
        held.keep(np.full((4, 1), number, np.float32), 4, None, FINE)
    return held


def test_blocks_arrive_in_order_while_there_is_room():
    """As many as there is room for, none twice, and a loss before one of them is a warning, said once."""
    held, warnings = kept(ROOM - 2), []
    for _ in range(2):
        held.keep(np.zeros((4, 1), np.float32), 4, None, SimpleNamespace(input_overflow=True))
    blocks = held.blocks(warnings.append)
    assert [next(blocks)[0] for _ in range(ROOM)] == [*range(ROOM - 2), 0, 0]
    assert len(warnings) == 1


def test_a_block_without_room_ends_the_stream():
    """Nothing is left out in silence: answers that come too late are an error, however few blocks are held by then."""
    held = kept(ROOM + 1)
    with pytest.raises(DataError, match=r"60 s of audio wait to be answered: .* too slow for this --every"):
        next(held.blocks(print))
