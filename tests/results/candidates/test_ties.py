"""Groups of systems that a split does not tell apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from results_support import clips, predictions

from results.candidates.differences import difference_to
from results.candidates.predictions import Predictions
from results.candidates.ties import tie_groups

CLASSES = ("airport", "bus", "park")


def made(**skills: float) -> dict[str, Predictions]:
    """Return systems on the same 300 clips, each with its own skill and its own errors."""
    table = clips(300, CLASSES)
    return {name: predictions(table, CLASSES, skill, seed) for seed, (name, skill) in enumerate(skills.items())}


def test_groups_follow_the_paired_intervals() -> None:
    """Two good systems are one group, two poor ones another; each difference is the one to the group's first."""
    systems = made(poor=1.0, good=4.0, better=4.1, worse=0.95)
    groups = tie_groups(systems)
    assert [set(group.names) for group in groups] == [{"good", "better"}, {"poor", "worse"}]
    for group in groups:
        for other in group.others:
            expected = difference_to((other.system, systems[other.system]), (group.best, systems[group.best]))
            assert other == expected
            assert other.loss >= 0.0
            assert other.loss_interval[0] <= 0.0 <= other.loss_interval[1]
    between = difference_to(("poor", systems["poor"]), (groups[0].best, systems[groups[0].best]))
    assert between is not None
    assert between.loss_interval[0] > 0.0


def test_equal_systems_are_one_group_in_the_order_of_their_names() -> None:
    """A copy has a difference of exactly 0."""
    (system,) = made(one=2.0).values()
    (group,) = tie_groups({"b": system, "a": system})
    assert group.names == ("a", "b")
    assert group.others[0].loss_interval == (0.0, 0.0)


def test_a_system_without_labels_is_in_no_group() -> None:
    """What has no log loss is not ranked; systems of different clips are never in one group."""
    systems = made(one=2.0)
    blank = Predictions(systems["one"].clips.assign(scene=pd.NA), systems["one"].probabilities, systems["one"].classes)
    elsewhere = Predictions(
        systems["one"].clips.assign(clip_id=np.arange(300).astype(str)), systems["one"].probabilities, CLASSES
    )
    assert [group.names for group in tie_groups({**systems, "blank": blank})] == [("one",)]
    assert [group.names for group in tie_groups({**systems, "elsewhere": elsewhere})] == [("elsewhere",), ("one",)]
