"""Twins go on from where the mouse was: with its own parameters, weights and key a twin is the mouse itself."""

from dataclasses import replace

import numpy as np
import pytest

from envs import load_protocol
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.simulation import Simulation, simulate
from twin.twins.model import TwinModel, fit_others, fit_twins
from twin.twins.posterior import LEAST_ENGAGED, Twins, evening_state, goes_on, session_traits, twins_of
from twin.twins.record import recorded_mouse

KNOWN, ALL = 4, 7


@pytest.fixture(scope="module")
def whole():
    return simulate(Cohort(population="ibl", mice=2), "ibl-2019", sessions=ALL, seed=12)


def cohort_of(rule: str) -> Cohort:
    rates = {"window": 0.005}.get(rule, 0.02)
    return Cohort(mice=1, rule=rule, parameters={"rate": rates, "day_noise": 0.1, "trial_noise": 0.005})


@pytest.mark.parametrize("rule", ["reinforce-baseline", "eligibility", "learned-critic", "window"])
def test_a_twin_that_is_the_mouse_goes_on_as_the_mouse(rule):
    """Its rule's memory, its rig and its night are those that the record leaves, whatever the rule remembers."""
    cohort = cohort_of(rule)
    rollout = simulate(cohort, "ibl-2019", sessions=ALL, seed=3)
    mouse = recorded_mouse(rollout).until(KNOWN)
    first, last = rollout.sessions.start[KNOWN], rollout.sessions.stop[ALL - 1]
    state = evening_state(mouse, cohort, rollout.theta, None).with_keys(rollout.keys)
    state = replace(state, rig=_with_key(state.rig, rollout.keys))
    run = Simulation(cohort, "ibl-2019", state=Twins(cohort, mouse, state).morning())
    run.train(run.sessions + ALL - KNOWN)
    again = run.rollout()
    for name in ("contrast", "side", "session", "stage"):
        assert np.array_equal(again.columns[name], rollout.columns[name][first:last]), name
    assert np.array_equal(again.choice, rollout.choice[first:last])


def _with_key(rig, keys):
    rig = rig.copy()
    rig["key"] = keys
    return rig


def test_twins_are_draws_of_the_posterior_and_sessions_are_like_the_mouse_s(whole):
    model = TwinModel()
    mouse = recorded_mouse(whole, "mouse-0001").until(KNOWN)
    found = fit_twins(Trials.from_rollout(mouse.rollout, model.cohort.features), model)
    twins = twins_of(found, mouse, model.cohort, n=40, seed=2)
    rate = found.layout.names.index("rate_left.stimulus")
    assert np.array_equal(twins.evening.theta[:, rate], found.draws.theta[0, :40, rate])
    assert np.array_equal(twins.evening.weights, found.draws.weights[0, :40])
    assert len(set(twins.evening.keys.tolist())) == 40
    morning = twins.morning()
    assert set(morning.rig["session"]) == {KNOWN} and set(morning.rig["trial"]) == {len(mouse.rollout)}
    assert set(morning.rig["stage"]) == set(mouse.rig["kept_stage"])
    traits = session_traits(twins)
    assert 300 < traits.engaged < 800 and 0 < traits.spread <= 1 and traits.slower == pytest.approx(1, abs=0.2)
    with pytest.raises(ValueError, match="500 twins: expected 1 to 208"):
        twins_of(found, mouse, model.cohort, n=500)


def test_a_mouse_of_short_sessions_has_twins_of_short_sessions(whole):
    cohort = Cohort(population="ibl", mice=1, parameters={"engaged_trials": 120.0, "engaged_spread": 0.1})
    mouse = recorded_mouse(simulate(cohort, "ibl-2019", sessions=12, seed=4))
    theta = np.tile(cohort.theta(4), (16, 1))
    usual = Cohort(population="ibl")
    state = evening_state(mouse, usual, theta, np.zeros((16, 4)))
    traits = session_traits(Twins(usual, mouse, state))
    assert LEAST_ENGAGED <= traits.engaged < 300
    assert traits.engaged_sd < 30 and traits.spread < 0.5


def test_another_protocol_keeps_the_rig_only_where_contrasts_are_the_same():
    protocol = load_protocol("ibl-2019")
    assert goes_on(protocol, protocol.model_copy(update={"session_trials": 300}))
    assert not goes_on(protocol, load_protocol("biased"))


def test_a_population_is_found_with_the_other_mice(whole):
    model = TwinModel(population="estimated", rule="reinforce-baseline", features=("stimulus", "bias"))
    assert fit_others(whole, "mouse-0000", TwinModel()) is None
    assert fit_others(whole.select([0]), "mouse-0000", model) is None
    first = whole.of_sessions(np.array([0, ALL]))
    others = fit_others(first, "mouse-0000", model)
    assert others.ids == ("mouse-0001",)
    one = fit_twins(Trials.from_rollout(first.select([0]), model.features), model, others)
    assert one.ids == ("mouse-0000",)
    assert np.array_equal(one.draws.new_mice, others.draws.new_mice)
