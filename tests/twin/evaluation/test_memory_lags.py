"""How long rules remember rewards, and when trials cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.memory_lags import LAGS, RUN, effect_by_lag, standard_error
from twin.inference.closed_form.rule_fit import RuleFit
from twin.simulation import simulate


def known(rule: str, mice: int, trials: int, **parameters: float) -> tuple[RuleFit, Trials]:
    """Mice's own rule as if it had been fitted, and their trials."""
    cohort = Cohort(mice=mice, rule=rule, parameters=parameters)
    rollout = simulate(cohort, "constant", trials=trials, seed=2)
    unknown = np.full((*rollout.theta.shape, 2), np.nan)
    fitted = RuleFit(cohort.layout, rollout.theta, unknown, np.zeros(mice), np.ones(mice, bool), rollout.ids, rule)
    return fitted, Trials.from_rollout(rollout)


def effects(rule: str, mice: int = 4, trials: int = 300, **parameters: float) -> dict:
    fitted, seen = known(rule, mice, trials, **parameters)
    return effect_by_lag(fitted, seen, fitted.weights(seen), 0)


def test_a_critic_forgets_a_run_of_rewards_exponentially():
    """Four rewards raise the expected reward by 1 - (1 - a)^4, of which (1 - a)^lag is left, and lower the update by it."""
    found = effects("learned-critic", rate=0.05, critic_rate=0.1)
    effect = np.array(found["effect"])
    assert effect[0] < 0
    assert effect / effect[0] == pytest.approx(0.9 ** np.array(LAGS), rel=0.01)
    assert np.all(np.array(found["low"]) <= effect) and np.all(effect <= np.array(found["high"]))
    assert found["mice"] == 4


def test_a_window_forgets_all_at_once():
    """Within the last ten trials four rewards may decide whether half of them were rewarded; beyond them nothing is left."""
    effect = np.array(effects("window", rate=0.05)["effect"])
    assert abs(effect[0]) > 0.01 and np.all(effect[np.array(LAGS) + 1 > 10 - RUN + 4] == 0)


@pytest.mark.parametrize("rule", ["reinforce", "full-mouse"])
def test_rules_without_a_memory_have_no_effect_at_any_lag(rule):
    assert set(effects(rule)["effect"]) == {0.0}


def test_short_records_have_no_lags():
    assert effects("reinforce", trials=20) == {}


def test_standard_error_falls_as_the_root_of_the_mice():
    few, many = (
        standard_error(fit, trials, fit.weights(trials), fit.log_likelihood(trials))
        for fit, trials in (known("reinforce", mice, 800, rate=0.05) for mice in (20, 80))
    )
    assert many == pytest.approx(few / 2, rel=0.2)
    fit, trials = known("reinforce", 2, 8)
    assert standard_error(fit, trials, fit.weights(trials), fit.log_likelihood(trials)) == np.inf
