"""Which mice are reported to have a negative baseline, and errors of a fit that does not see every feature."""

from __future__ import annotations

import numpy as np
import pytest

from agents.rules import RULES
from agents.theta import Layout
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.baselines import baseline_of, beyond_chance, relative_rmse_visited
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.posterior.draws import Draws
from twin.simulation import simulate

FEATURES = ("stimulus", "bias", "previous_choice")


@pytest.fixture(scope="module")
def known():
    """Four mice with a baseline of -.2, and what they did."""
    parameters = {"rate": 0.02, "baseline": -0.2, "initial_weight": {"previous_choice": 1.0}}
    cohort = Cohort(mice=4, features=FEATURES, parameters=parameters)
    rollout = simulate(cohort, "ibl-2019", trials=100, seed=1)
    return cohort, rollout, Trials.from_rollout(rollout)


def fitted(rollout, features, baselines, ends=None, draws=None):
    """A fit that has the rate right, these baselines (M,), and 95 % intervals (M, 2)."""
    layout = Layout(RULES["reinforce-baseline"], features)
    theta = np.tile(layout.defaults(), (rollout.n_mice, 1))
    theta[:, layout.index("rate")[0]] = 0.02
    theta[:, layout.index("baseline")[0]] = baselines
    ci95 = np.full((*theta.shape, 2), np.nan)
    ci95[:, layout.index("baseline")[0]] = [-1.0, 1.0] if ends is None else ends
    ones = np.ones(rollout.n_mice)
    return RuleFit(layout, theta, ci95, ones, ones > 0, rollout.ids, "reinforce-baseline", {"noise": False}, draws=draws)


def test_intervals_below_zero_are_counted(known):
    rollout = known[1]
    ends = [[-1.0, -0.1], [-1.0, -0.3], [-0.5, 0.1], [-0.1, 0.2]]
    found = baseline_of(fitted(rollout, FEATURES, [-0.5, -0.6, -0.1, 0.1], ends), rollout)
    assert (found["below_zero"], found["covered"], found["converged"]) == (0.5, 0.5, 1.0)
    assert found["estimate"] == pytest.approx(-0.3)
    assert found["population"] is None
    assert found["negative"]


@pytest.mark.parametrize(("below", "mice", "more"), [(0, 4, False), (1, 4, False), (2, 4, True), (2, 16, False), (3, 16, True)])
def test_what_chance_leaves(below, mice, more):
    assert beyond_chance(below, mice) is more


def test_population_is_that_of_mice_not_yet_seen(known):
    rollout = known[1]
    layout = Layout(RULES["reinforce-baseline"], FEATURES)
    new_mice = np.tile(layout.defaults(), (101, 1))
    new_mice[:, layout.index("baseline")[0]] = np.linspace(-1.0, 1.0, 101)
    draws = Draws(np.zeros((4, 101, new_mice.shape[1])), np.zeros((4, 101, 3)), new_mice)
    found = baseline_of(fitted(rollout, FEATURES, [0.0] * 4, draws=draws), rollout)
    assert found["population"] == pytest.approx({"low": -0.95, "median": 0.0, "high": 0.95}, abs=1e-6)


def test_the_truth_has_no_error_and_a_fit_may_see_fewer_features(known):
    cohort, rollout, trials = known
    assert relative_rmse_visited(fitted(rollout, FEATURES, -0.2), cohort, rollout, trials) == pytest.approx(0.0, abs=1e-6)
    assert relative_rmse_visited(fitted(rollout, FEATURES, 0.5), cohort, rollout, trials) > 0.1
    assert relative_rmse_visited(fitted(rollout, ("stimulus", "bias"), -0.2), cohort, rollout, trials) > 0.01
