"""Parts of the training side: cut by location, the same for all trainings, each left out once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from asc_models_support import feature_set

from data_prep.config import ReaderSpec
from data_prep.errors import DataError
from data_prep.reader.parts import leave_out
from data_prep.reader.reader import FeatureSet
from data_prep.reader.statistics import fit_statistics

KEY = "some.key"


def training_side(n_clips: int = 48, *, located: bool = True) -> FeatureSet:
    """Clips of three scenes, two scenes' neighbours at a place, each with a copy that is stretched and one mixed."""
    plain = feature_set(n_clips)
    clips = plain.clips if located else plain.clips.assign(location=None)
    copies = [
        clips.assign(clip_id=clips["clip_id"] + f"+{kind}", augmentation=kind) for kind in ("time_stretch", "mix")
    ]
    rows = np.tile(np.arange(n_clips), 3)
    return replace(plain.take(rows), clips=pd.concat([clips, *copies], ignore_index=True))


def sources(clips: pd.DataFrame) -> set[str]:
    return {str(clip_id).partition("+")[0] for clip_id in clips["clip_id"]}


@pytest.mark.parametrize("located", [True, False])
@pytest.mark.parametrize("n_parts", [2, 4, 5])
def test_parts_cover_every_clip_once_and_share_no_location(n_parts, located):
    """Each recorded clip is left out once; what is trained on has neither its location nor a copy of it."""
    side = training_side(located=located)
    held_ids: list[str] = []
    for part in range(1, n_parts + 1):
        train, held = leave_out(side, n_parts, part, key=KEY)
        held_ids += held.clips["clip_id"].tolist()
        assert set(held.clips["augmentation"]) == {"none"}
        assert set(train.clips["augmentation"]) == {"none", "time_stretch"}
        assert not sources(train.clips) & sources(held.clips)
        known = set(held.clips["location"].dropna())
        assert bool(known) is located
        assert not known & set(train.clips["location"].dropna())
        assert train.n_clips == 2 * (48 - held.n_clips)
        assert len(set(train.labels)) == 3
    assert sorted(held_ids) == sorted(f"clip{i}" for i in range(48))


def test_parts_are_the_same_whatever_the_copies_and_the_order():
    """The cut depends on the recorded clips alone, so that every candidate's scores are of the same parts."""
    side = training_side()
    recorded = side.take(np.arange(48)[::-1])
    for part in (1, 2, 3):
        one, other = (leave_out(features, 3, part, key=KEY)[1].clips["clip_id"] for features in (side, recorded))
        assert set(one) == set(other)


def test_a_parts_statistics_are_those_of_what_it_trains_on():
    """A standardizing reader is fitted without the clips that are left out."""
    side = training_side()
    side = replace(side, reader=ReaderSpec(scaling="standardize", deltas=0), statistics=fit_statistics(side.log_mel))
    train, held = leave_out(side, 4, 1, key=KEY)
    assert train.statistics == held.statistics == fit_statistics(train.log_mel)
    assert train.statistics != side.statistics


def test_what_cannot_be_cut_is_refused():
    """Fewer locations than parts, or a scene with a single location, whichever part that is in: named with the key."""
    side = training_side(6)
    with pytest.raises(DataError, match=r"some.key: 4 parts need at least 4 locations, the training side has 3"):
        leave_out(side, 4, 1, key=KEY)
    alone = side.clips.assign(location=[f"at {scene}" for scene in side.clips["scene"]])
    for part in (1, 2, 3):
        with pytest.raises(DataError, match=r"some.key: scene0, scene1, scene2 has a single location on the training"):
            leave_out(replace(side, clips=alone), 3, part, key=KEY)
