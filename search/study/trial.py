"""One candidate with one seed, as far as it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from results.ledger.events import EndState
from search.halving import Decision
from search.objectives import Value
from search.space.space import Params


@dataclass(slots=True)
class Trial:
    """A trial from proposal to end."""

    trial_id: str
    key: str
    params: Params | None
    """Its point; None where an earlier session searched a space that this point has left since."""
    macs: int = 0
    """Multiply–accumulates of one inference."""
    values: dict[int, Value] = field(default_factory=dict)
    """{rung: what it came to there}."""
    state: EndState | None = None
    """How it ended; None while it has not."""
    reason: str | None = None
    """Why it ended so, where there is more to say."""
    decision: Decision = "continue"
    """What its last rung decided; `continue` again once it is promoted."""
    is_handed_out: bool = False
    """Whether this session has begun to train it."""

    @property
    def next_rung(self) -> int:
        """The rung it trains to next."""
        return max(self.values, default=-1) + 1

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a promotion."""
        return self.state is None and self.decision == "pause"

    @property
    def is_training(self) -> bool:
        """Whether this session trains it."""
        return self.state is None and self.is_handed_out and self.decision == "continue"
