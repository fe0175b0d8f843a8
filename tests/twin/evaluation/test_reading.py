"""What rules are read to do, of mice whose rule is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.data.controls import shuffle_rewards
from twin.data.trials import Trials
from twin.evaluation.reading import read_rule
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.simulation import simulate

RULE = {"rate_left": 0.03, "rate_right": 0.03, "baseline": -0.5, "forgetting": 0.001}


def simulated(mice: int = 40, **changes: float):
    cohort = Cohort(mice=mice, rule="full-mouse", parameters=RULE | changes)
    rollout = simulate(cohort, "ibl-2019", trials=2500, seed=3)
    return cohort, rollout, Trials.from_rollout(rollout)


def known(cohort: Cohort, rollout, **changes: float) -> RuleFit:
    """The mice's own rule, or one with other parameters, as if it had been fitted."""
    theta = rollout.theta.copy()
    for name, value in changes.items():
        theta[:, cohort.layout.index(name)] = value
    unknown, mice = np.full((*theta.shape, 2), np.nan), len(theta)
    return RuleFit(cohort.layout, theta, unknown, np.zeros(mice), np.ones(mice, bool), rollout.ids, "full-mouse")


def read(fitted, trials: Trials, step: bool = True):
    if not step:
        fitted = replace(fitted, settings={"noise": True})  # whose numbers are the fit's own
    weights = replace(fitted, settings={}).weights(trials) if isinstance(fitted, RuleFit) else fitted.weights(trials)
    return read_rule(fitted, trials, weights, fitted.log_likelihood(trials), 0)


@pytest.fixture(scope="module")
def alike():
    return simulated()


def test_a_rule_of_the_family_is_read_as_it_is(alike):
    cohort, rollout, trials = alike
    found = read(known(cohort, rollout), trials, step=False)
    expected = {"reward_effect": 0.03, "baseline": -0.5, "forgetting": 0.001, "side_asymmetry": 0.0}
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6)
        assert found[name]["low"] - 1e-6 <= value <= found[name]["high"] + 1e-6
    assert found["after_error"]["high"] < 0


def test_sides_differ_by_hand(alike):
    """Rates .04 and .02 without a baseline: (.04 - .02) / .06."""
    cohort, rollout, trials = alike
    found = read(known(cohort, rollout, rate_right=0.04, rate_left=0.02, baseline=0.0), trials, step=False)
    assert found["side_asymmetry"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["reward_effect"]["value"] == pytest.approx(0.03, abs=1e-6)


def test_numbers_are_the_rules_own_and_other_mice_would_have_led_elsewhere(alike):
    """Mice shrink their weights after errors; a rule that does not is read as it is, with an interval that choices give."""
    cohort, rollout, trials = alike
    as_fitted, sure = (read(known(cohort, rollout, baseline=0.0), trials, step=step) for step in (True, False))
    assert as_fitted["baseline"]["value"] == pytest.approx(0.0, abs=1e-6)
    for name in ("reward_effect", "baseline", "forgetting"):
        assert as_fitted[name]["low"] < as_fitted[name]["value"] < as_fitted[name]["high"]
        width, too_sure = (found[name]["high"] - found[name]["low"] for found in (as_fitted, sure))
        assert width > 100 * too_sure  # the same rule in every mouse


def test_baselines_of_fast_mice_do_not_run_away():
    """Slopes of a rugged likelihood put the baseline of such mice at .5; it is .1."""
    rate = {"distribution": "lognormal", "median": 0.06, "sigma": 0.3}
    rollout = simulate(Cohort(mice=16, parameters={"rate": rate, "baseline": 0.1}), "ibl-documented", trials=3000, seed=1)
    trials = Trials.from_rollout(rollout)
    found = read(fit(trials, "reinforce-baseline", population=True), trials)["baseline"]
    assert found["low"] < 0.1 < found["high"]


def test_shuffled_rewards_have_no_effect():
    rate = {"distribution": "lognormal", "median": 0.03, "sigma": 0.3}
    rollout = simulate(Cohort(mice=20, parameters={"rate": rate, "baseline": -0.2}), "ibl-2019", trials=1500, seed=1)
    every = Trials.from_rollout(rollout), Trials.from_rollout(shuffle_rewards(rollout, 1))
    true, none = (read(fit(of, "reinforce-baseline", population=True), of)["reward_effect"] for of in every)
    assert true["low"] > 0.01
    assert none["low"] < 0 < none["high"]


def test_one_mouse_has_no_interval(alike):
    cohort, rollout, trials = alike
    found = read(known(cohort, rollout), trials.of_mice([0]))
    assert np.isfinite(found["baseline"]["value"]) and np.isnan(found["baseline"]["low"])
