"""Targets: which are refused, and how far off a cohort is."""

from __future__ import annotations

import numpy as np
import pytest

from twin.evaluation.statistics.mice import describe_mice
from twin.evaluation.statistics.targets import (
    FAR,
    Target,
    check_targets,
    loss,
    named_targets,
    shipped_targets,
    targets_of,
)


def targets(**values):
    return {name: Target(mean=mean, sd=sd) for name, (mean, sd) in values.items()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there are none"),
        (targets(reech=(0.5, 0.1)), "unknown statistic 'reech'; did you mean 'reach'"),
        (targets(reach=(1.5, 0.1)), r"targets.reach.mean = 1.5: expected 0 to 1 \(fraction\)"),
        (targets(sessions_to_proficiency=(70, 1)), "expected 1 to 60"),
        (targets(easy_error_at_proficiency=(0.4, 0.1)), "expected 0 to 0.2"),
        (
            targets(sessions_to_proficiency=(18, 1), trials_per_session=(570, 30), trials_to_proficiency=(30000, 1000)),
            "contradict each other: trials_to_proficiency = 30000, but 18 sessions of 570 trials are 10260",
        ),
        (targets(accuracy_100=(0.8, 0.01), accuracy_25=(0.95, 0.01)), "accuracy_25 = 0.95 is above accuracy_100 = 0.8"),
        (targets(accuracy_100=(0.8, 0.01), accuracy_0=(0.95, 0.01)), "accuracy_0 = 0.95 is above accuracy_100"),
    ],
)
def test_wrong_targets_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_targets(given, 60)


@pytest.mark.parametrize("table", [{"mean": 1, "sd": 0}, {"mean": 1, "sd": -1}, {"mean": 1}, {"mean": 1, "sd": 1, "weight": 0}])
def test_wrong_target_is_refused(table):
    with pytest.raises(ValueError, match=r"sd|weight"):
        Target.checked(table)


def test_published_targets_are_none_that_contradict():
    check_targets(
        targets(sessions_to_proficiency=(18.4, 1.1), trials_per_session=(571, 20), trials_to_proficiency=(10800, 700)), 60
    )


@pytest.mark.parametrize("name", shipped_targets())
def test_shipped_targets_are_whole(name):
    check_targets({key: Target(**table) for key, table in named_targets(name).items()}, 60)
    assert named_targets("mice.h5") == "mice.h5"


def test_loss_is_the_weighted_sum_of_squared_deviations():
    wanted = {"reach": Target(mean=0.5, sd=0.1, weight=2), "no_go": Target(mean=0.01, sd=0.01)}
    assert loss({"reach": 0.7, "no_go": 0.02}, wanted) == pytest.approx(2 * 4 + 1)
    assert loss({"reach": 0.5, "no_go": np.nan}, wanted) == FAR**2


def test_targets_of_recorded_mice(small):
    mice = describe_mice(small[1])
    found = targets_of(mice)
    assert found["no_go"].mean == pytest.approx(mice.totals[:, 2].sum() / mice.totals[:, 1].sum())
    assert "trials_per_session" not in found  # the same of all mice
    assert "sessions_to_proficiency" not in found  # none got there
    with pytest.raises(ValueError, match="1 recorded mice tell no statistic"):
        targets_of(mice.take([0]))
