"""What the scores of a system are, and the probabilities that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from data_prep.errors import ConfigError, DataError
from results.outputs.clips import some

Values = Literal["probabilities", "logits", "sums"]
"""`probabilities` sum to 1 per clip; of `logits`, or log probabilities, the softmax is taken; `sums` are probabilities
added over members or windows, or percentages: they are divided by their total."""
VALUES: tuple[Values, ...] = get_args(Values)
SUM_TOLERANCE = 0.05
"""Maximum relative deviation of a row's total; allows for ten probabilities rounded to two digits."""

_STATE = (
    " State what the scores are, if not probabilities: `asc score --values logits` (or sums), or FILE:BYTES:logits of "
    "`asc ensemble --member`."
)
_Scores = npt.NDArray[np.float64]


def parse_values(text: str, option: str) -> Values | None:
    """Return what a user states that scores are, None for an empty text.

    Raises:
        ConfigError: if it is none of `VALUES`.
    """
    if not text:
        return None
    for values in VALUES:
        if text == values:
            return values
    raise ConfigError(f"{option} {text}: must be one of {', '.join(VALUES)}")


def to_probabilities(
    scores: _Scores, names: Sequence[str], path: Path, stated: Values | None = None
) -> tuple[_Scores, Values]:
    """Return scores as probabilities, and what they are.

    Recognised are probabilities (no negative score, all rows sum to 1), sums (the same, but to another whole number),
    and logits (negative scores, and most rows are no probabilities).

    Args:
        scores: finite, shape (n_clips, n_scenes).
        names: clips, for messages.
        path: file, for messages.
        stated: what the scores are; None recognises it.

    Raises:
        DataError: if the scores are not what is stated, or it can't be recognised.
    """
    values = stated or _recognised(scores)
    if values == "logits":
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True), values
    negative = scores.min(axis=1) < 0
    if negative.any():
        raise DataError(f"{path}: {values} of {some(_where(names, negative))} must be numbers of at least 0.{_STATE}")
    totals = scores.sum(axis=1)
    if values == "sums" and stated is not None:
        off, total = totals <= 0, "above 0"
    else:
        expected = 1.0 if stated is not None else _total(totals)
        off, total = np.abs(totals - expected) > SUM_TOLERANCE * expected, f"to {expected:g}"
    if off.any():
        raise DataError(
            f"{path}: {values} of {some(_where(names, off))} sum to {totals[off][0]:.3f}, not {total}.{_STATE}"
        )
    if values == "sums":
        scores = scores / totals[:, np.newaxis]
    return scores, values


def _recognised(scores: _Scores) -> Values:
    """Return what the scores look like; `to_probabilities` then checks each row."""
    totals = scores.sum(axis=1)
    is_negative = scores.min(axis=1) < 0
    if is_negative.any():
        is_distribution = ~is_negative & (np.abs(totals - 1) <= SUM_TOLERANCE)
        return "probabilities" if is_distribution.mean() > 0.5 else "logits"
    return "probabilities" if _total(totals) == 1 else "sums"


def _total(totals: _Scores) -> float:
    """Return the whole number that most rows sum to; 1, with which probabilities are compared, if there is none."""
    middle = float(np.median(totals))
    whole = round(middle)
    return float(whole) if whole > 1 and abs(middle - whole) <= SUM_TOLERANCE else 1.0


def _where(names: Sequence[str], rows: npt.NDArray[np.bool_]) -> list[str]:
    return [name for name, is_meant in zip(names, rows, strict=True) if is_meant]
