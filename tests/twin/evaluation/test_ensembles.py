"""Scores of ensembles, by hand, by the closed form of the normal, and under forecasts that are right."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from twin.evaluation.ensembles import censored_pit, covered, crps, pit, pit_counts


def test_crps_by_hand():
    """Futures 0, 1, 3 and what came 2: mean distance 4/3; pairs differ by 1, 3, 2, so a third of each is taken off."""
    assert crps(np.array([0.0, 1.0, 3.0]), np.array(2.0)) == pytest.approx(4 / 3 - 6 / 6)
    assert crps(np.array([[0.2]]), np.array([0.5])) == pytest.approx([0.3])


@pytest.mark.parametrize("came", [-1.5, 0.0, 0.7])
def test_crps_of_a_normal_is_its_closed_form(came):
    """Gneiting & Raftery 2007, equation 21."""
    exact = came * (2 * norm.cdf(came) - 1) + 2 * norm.pdf(came) - 1 / np.sqrt(np.pi)
    futures = norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert crps(futures, np.array(came)) == pytest.approx(exact, abs=1e-3)


def test_crps_is_fair():
    """Right forecasts of 3 futures are worth as much as those of 300."""
    rng = np.random.default_rng(0)
    few, many = (crps(rng.normal(size=(s, 20_000)), rng.normal(size=20_000)).mean() for s in (3, 300))
    assert few == pytest.approx(many, abs=0.02)


def test_places_of_right_forecasts_are_uniform_with_ties():
    rng = np.random.default_rng(1)
    futures, came = rng.integers(0, 4, (50, 5000)), rng.integers(0, 4, 5000)
    places = pit(futures, came, rng)
    assert kstest(places, "uniform").pvalue > 0.01
    assert covered(places, 0.8) == pytest.approx(0.8, abs=0.02)
    assert sum(pit_counts(places)) == 5000


def test_a_time_beyond_the_horizon_is_as_late_as_any():
    rng = np.random.default_rng(2)
    times = np.array([3.0, np.nan, 12.0, np.nan])
    places = [censored_pit(times, came, 10, rng) for came in (np.nan, 11.0, 30.0) for _ in range(40)]
    assert min(places) > 0.2 and max(places) > 0.9
    assert censored_pit(times, 2.0, 10, rng) < 0.2
