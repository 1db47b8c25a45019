"""The published tables are copied rightly."""

import pytest

from data_prep.corpora.corpus import TAU_SCENES
from results.published import CLASS_WISE, CLASS_WISE_AVERAGE, COLUMNS, DEVICE_WISE, has_published


def test_each_column_averages_to_the_published_average() -> None:
    """The mean of a system's class-wise accuracies is the average that the report prints in the same column.

    Independent of the copying: a wrong digit would move the mean. Every average holds within rounding.
    """
    for column in COLUMNS:
        mean = sum(CLASS_WISE[scene][column] for scene in TAU_SCENES) / len(TAU_SCENES)
        assert mean == pytest.approx(CLASS_WISE_AVERAGE[column], abs=0.06)


def test_device_wise_accuracies_agree_with_the_overall_ones() -> None:
    """Devices have about the same number of clips, so that their mean is close to the overall accuracy."""
    for column in COLUMNS[1:]:
        mean = sum(row[column] for row in DEVICE_WISE.values()) / len(DEVICE_WISE)
        assert mean == pytest.approx(CLASS_WISE_AVERAGE[column], abs=1.5)


def test_published_numbers_belong_to_tau_alone() -> None:
    """Any other class list, even the same scenes in another order, gets no published numbers beside it."""
    assert has_published(TAU_SCENES)
    assert not has_published(TAU_SCENES[::-1])
    assert not has_published(("dog", "rain"))
