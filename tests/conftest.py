"""Paths and small cohorts shared by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.simulation import simulate

REAL_MOUSE = Path(__file__).parent.parent / "../shared/data/ibl_KS014_learning.csv.gz"


@pytest.fixture(scope="session")
def real_mouse() -> Path:
    if not REAL_MOUSE.is_file():
        pytest.skip("the recorded mouse is not in ../shared/data")
    return REAL_MOUSE.resolve()


@pytest.fixture(scope="session")
def small():
    """A cohort of four mice, 600 trials each, and what an experimenter sees of it."""
    cohort = Cohort(mice=4, rule="reinforce-baseline", parameters={"rate": 0.1, "baseline": 0.2})
    rollout = simulate(cohort, trials=600, seed=5)
    return cohort, rollout, Trials.from_rollout(rollout)
