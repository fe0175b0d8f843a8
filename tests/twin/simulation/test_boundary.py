"""What a user gives to a simulation: taken or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.engine import map_jobs
from twin.simulation import simulate
from twin.simulation.designs import train_design
from twin.simulation.until import simulate_until

COHORT = Cohort(mice=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"driver": "fast"}, "unknown driver 'fast'; did you mean 'fused'"),
        ({"engine": "thread"}, "unknown engine 'thread'; did you mean 'threads'"),
        ({"engine": "thread", "driver": "stepped"}, "unknown engine 'thread'"),
        ({"workers": 0}, "workers = 0: expected at least 1"),
        ({"workers": 1.5}, "workers = 1.5: expected a whole number"),
        ({"workers": True, "driver": "stepped"}, "workers = True: expected a whole number"),
        ({"seed": 1.5}, "seed = 1.5: expected a whole number"),
        ({"seed": -1}, "seed = -1: expected 0 to"),
        ({"seed": None}, "seed = None: expected a whole number"),
        ({"seed": 2**64}, "seed = 18446744073709551616: expected 0 to"),
        ({"trials": 0}, "trials = 0: expected at least 1"),
        ({"trials": -3}, "trials = -3: expected at least 1"),
        ({"trials": 10.0}, "trials = 10.0: expected a whole number"),
        ({"trials": True}, "trials = True: expected a whole number"),
        ({"trials": None, "sessions": 0}, "sessions = 0: expected at least 1"),
        ({"trials": None, "sessions": 1.5}, "sessions = 1.5: expected a whole number"),
        (
            {"trials": 10**12},
            r"trials = 1000000000000 of 2 mice: .* about 7\d,\d{3} GiB of memory or more, of [\d.]+ there are",
        ),
        ({"trials": None, "sessions": 10**15}, "sessions = 1000000000000000 of 2 mice: that takes about"),
        ({"protocol": 3}, "protocol = 3: expected a Protocol, the name of one, or a table"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        simulate(COHORT, **{"trials": 5, **given})


def test_numbers_of_numpy_are_taken():
    plain = simulate(COHORT, trials=5, seed=3)
    same = simulate(COHORT, trials=np.int64(5), seed=np.uint64(3), workers=np.int32(1))
    assert np.array_equal(plain.contrast, same.contrast)
    assert same.origin["seed"] == 3 and type(same.origin["seed"]) is int
    assert len(simulate(COHORT, trials=5, seed=2**64 - 1)) == 10


@pytest.mark.parametrize("horizon", [-1, 1.5, True, None])
def test_what_is_no_horizon(horizon):
    with pytest.raises(ValueError, match="horizon = "):
        simulate_until(COHORT, until="trained_1a", horizon=horizon)


def test_more_than_memory_holds():
    """A sentence before anything is allocated, however long or large."""
    many = Cohort(mice=10**12)
    with pytest.raises(ValueError, match=r"trials = 1 of 1000000000000 mice: that takes about 3\d,\d{3} GiB"):
        simulate(many, trials=1)
    with pytest.raises(ValueError, match="horizon = 1000000000000 of 2 mice"):
        simulate_until(COHORT, until="trained_1a", horizon=10**12)
    with pytest.raises(ValueError, match="horizon = 5 of 1000000000000 mice"):
        train_design(many, "ibl-2019", until="trained_1a", horizon=5)


@pytest.mark.parametrize("workers", [0, 1.5, True, None])
def test_what_is_no_number_of_workers(workers):
    with pytest.raises(ValueError, match="workers = "):
        map_jobs(abs, [1, -2], workers=workers)
