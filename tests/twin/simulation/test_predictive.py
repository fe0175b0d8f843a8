"""Mice of a fit under the stimuli of a record: the very same mice do the very same, and others are told from the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fits import fit_of_network

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.simulation import simulate
from twin.simulation.predictive import largest_difference, predictive_check, simulate_shown

FEATURES = ("stimulus", "bias", "previous_choice")
VARIED = {"rate": {"distribution": "lognormal", "median": 0.02, "sigma": 0.5}, "initial_weight": {"previous_choice": 0.5}}
NOISY = {"trial_noise": 0.02, "day_noise": 0.2, "lapse_low": 0.05, "lapse_high": 0.02}


def own_rule(cohort: Cohort, rollout) -> RuleFit:
    theta, mice = rollout.theta, rollout.n_mice
    unknown = np.full((*theta.shape, 2), np.nan)
    return RuleFit(cohort.layout, theta, unknown, np.zeros(mice), np.ones(mice, bool), rollout.ids, cohort.rule)


@pytest.fixture(scope="module")
def learners():
    cohort = Cohort(mice=8, rule="reinforce", features=FEATURES, parameters=VARIED)
    rollout = simulate(cohort, "ibl-2019", trials=1500, seed=3)
    return cohort, rollout


def test_the_same_mice_with_the_same_keys_do_the_same_again():
    cohort = Cohort(mice=3, rule="full-mouse", features=FEATURES, parameters=NOISY)
    rollout = simulate(cohort, "ibl-2019", sessions=2, seed=7)
    (again,) = simulate_shown(own_rule(cohort, rollout), rollout, seed=7)
    assert np.array_equal(again.choice, rollout.choice) and np.array_equal(again.reward, rollout.reward)
    (other,) = simulate_shown(own_rule(cohort, rollout), rollout, seed=8)
    assert 0.02 < np.mean(other.choice != rollout.choice) < 0.6


def test_what_is_not_known_is_not_done(learners):
    cohort, rollout = learners
    reward, side, choice = rollout.reward.copy(), rollout.side.copy(), rollout.choice.copy()
    reward[::5], choice[1::5], side[2::5] = -1, -1, 0
    told = replace(rollout, columns={**rollout.columns, "reward": reward, "choice": choice, "side": side})
    (found,) = simulate_shown(own_rule(cohort, rollout), told)
    assert (found.choice[::5] == -1).all() and (found.choice[1::5] == -1).all()
    assert np.array_equal(found.choice[2::5] >= 0, rollout.choice[2::5] >= 0)  # there choice and reward tell the side
    made = found.choice >= 0
    assert np.array_equal(found.reward[made] == 1, 2 * found.choice[made] - 1 == rollout.side[made])


def test_own_rule_is_like_the_data_and_a_mouse_that_follows_is_not(learners):
    cohort, rollout = learners
    trials = Trials.from_rollout(rollout)
    own = predictive_check(own_rule(cohort, rollout), rollout)
    assert largest_difference(own) == 0.0
    assert sum(len(found["at"]) for found in own.values()) > 15
    walk = predictive_check(fit(trials, "random-walk"), rollout)
    assert largest_difference(walk) >= walk["learning curve"]["far"] > 0.2  # weights that go nowhere by themselves
    made_by = [rollout.reward[rollout.of_mouse(m)][rollout.choice[rollout.of_mouse(m)] >= 0] for m in range(8)]
    correct = [np.mean(made[: -(-len(made) // 10)]) for made in made_by]
    assert own["learning curve"]["data"][0] == pytest.approx(np.mean(correct), abs=1e-3)


def test_networks_are_simulated_too(learners):
    rollout = replace(learners[1].select([0, 1]), ids=("a", "b"))
    for kind in ("dnnglm", "rnnglm"):
        cohorts = simulate_shown(fit_of_network(kind), rollout, copies=2)
        assert len(cohorts) == 2 and not np.array_equal(cohorts[0].choice, cohorts[1].choice)
