"""State in and out: a simulation that is stopped and goes on elsewhere does what it would have done without the stop."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from networks import neural_rule
from parity import assert_same, columns_of
from parity import cohort as parity_cohort

from agents import RULES
from envs import load_protocol
from envs.draws import mouse_keys
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.evaluation.designs import DesignSessions
from twin.evaluation.status import Status
from twin.inference.known_rule import KnownRule
from twin.simulation import CohortState, Simulation, begin_session, designs, move_mice, simulate
from twin.simulation import simulation as simulation_module
from twin.simulation.designs import train_design

PROTOCOL = "ibl-2019"  # the rig that carries most over a night
ENGINE_COHORT = Cohort(mice=30, parameters={"rate": 0.03, "day_noise": 0.1})  # more than one job
NEURAL = ("dnnglm", "rnnglm", "tinyrnn")
FEATURES = ("stimulus", "bias", "previous_choice")


def cohort_of(rule: str) -> Cohort:
    """Mice of a closed-form or a neural rule, with noise, lapses and history features."""
    if rule in RULES:
        return parity_cohort(rule)
    parameters = {"trial_noise": 0.01, "day_noise": 0.1, "initial_weight.stimulus": 1.0, "engaged_trials": 350.0}
    cohort = Cohort(mice=3, rule="static", features=FEATURES, parameters=parameters)
    network = neural_rule(rule, FEATURES, hidden=6, initial_scale=0.05).eval()
    cohort.__dict__["known_rule"] = KnownRule(network, FEATURES)
    return cohort


def one_after_the_other(first: Rollout, second: Rollout) -> dict[str, np.ndarray]:
    """The columns of two rollouts of the same mice, mouse by mouse."""
    pairs = [(first.of_mouse(m), second.of_mouse(m)) for m in range(first.n_mice)]
    a, b = columns_of(first), columns_of(second)
    return {name: np.concatenate([part for x, y in pairs for part in (a[name][x], b[name][y])]) for name in a}


def assert_equal(a: CohortState, b: CohortState) -> None:
    for name, values in a.arrays.items():
        assert np.array_equal(values, b.arrays[name]), name


CASES = [(rule, driver) for rule in RULES for driver in ("fused", "stepped")] + [(rule, "stepped") for rule in NEURAL]


@pytest.mark.parametrize(("rule", "driver"), CASES)
def test_stopped_in_a_session_and_going_on_is_one_run(rule, driver):
    cohort = cohort_of(rule)
    whole, first = (Simulation(cohort, PROTOCOL, seed=4, driver=driver) for _ in range(2))
    whole.train_trials(1100)
    first.train_trials(600)
    left = pickle.loads(pickle.dumps(first.state))
    assert (left.rig["session_trial"] > 0).all()
    second = Simulation(cohort, PROTOCOL, state=left, driver=driver)
    second.train_trials(500)
    assert_same(columns_of(whole.rollout()), one_after_the_other(first.rollout(), second.rollout()))
    assert_equal(whole.state, second.state)
    assert whole.sessions.tolist() == second.sessions.tolist()


@pytest.mark.parametrize(("rule", "driver"), CASES)
def test_stopped_between_sessions_and_going_on_is_one_run(rule, driver):
    cohort = cohort_of(rule)
    protocol = load_protocol(PROTOCOL, session_trials=200)
    whole, first = (Simulation(cohort, protocol, seed=4, driver=driver) for _ in range(2))
    whole.train(np.full(cohort.mice, 3))
    first.train(np.arange(cohort.mice) % 2 + 1)  # mice stop on different days
    second = Simulation(cohort, protocol, state=first.state, driver=driver)
    assert second.sessions.tolist() == first.sessions.tolist()
    second.train(np.full(cohort.mice, 3))
    assert_same(columns_of(whole.rollout()), one_after_the_other(first.rollout(), second.rollout()))
    assert_equal(whole.state, second.state)


def test_one_simulation_called_twice_is_one_run():
    cohort = cohort_of("window")
    once, twice = (Simulation(cohort, PROTOCOL) for _ in range(2))
    once.train_trials(900)
    twice.train_trials(500)
    twice.train_trials(400)
    assert_same(columns_of(once.rollout()), columns_of(twice.rollout()))


@pytest.mark.parametrize("rule", ["window", "full-mouse", "learned-critic"])
def test_either_driver_goes_on_from_the_other(rule):
    cohort = cohort_of(rule)
    states = []
    for driver in ("fused", "stepped"):
        simulation = Simulation(cohort, PROTOCOL, driver=driver)
        simulation.train_trials(600)
        states.append(simulation.state)
    assert_equal(*states)
    stepped = simulate(cohort, PROTOCOL, trials=400, start=states[0], driver="stepped")
    assert_same(columns_of(simulate(cohort, PROTOCOL, trials=400, start=states[1], driver="fused")), columns_of(stepped))


def test_a_run_of_sessions_ends_the_one_that_was_begun_first():
    cohort = cohort_of("reinforce")
    simulation = Simulation(cohort, PROTOCOL)
    simulation.train_trials(600)
    session = simulation.state.rig["session"]
    rollout = simulate(cohort, PROTOCOL, sessions=2, start=simulation.state)
    for m in range(cohort.mice):
        assert np.unique(rollout.session[rollout.of_mouse(m)]).tolist() == [session[m], session[m] + 1]
    assert rollout.origin["begun"] == {"trials": [600] * cohort.mice, "sessions": session.tolist()}


def test_a_state_is_never_shared():
    cohort = cohort_of("window")
    simulation = Simulation(cohort, PROTOCOL)
    simulation.train_trials(300)
    left, kept = simulation.state, simulation.state
    Simulation(cohort, PROTOCOL, state=left).train_trials(100)
    simulation.train_trials(100)
    assert_equal(left, kept)
    for name, values in simulation.state.arrays.items():
        assert not np.shares_memory(values, simulation.state.arrays[name])


def test_copies_of_a_mouse_have_futures_of_their_own_keys():
    cohort = cohort_of("window")
    simulation = Simulation(cohort, PROTOCOL)
    simulation.train_trials(700)
    state = simulation.state
    keys = np.concatenate([[state.keys[0]], mouse_keys(77, 4), [state.keys[1]]])
    copies = state.repeat(3, keys)
    assert copies.ids == tuple(f"mouse-000{m}-000{c}" for m in range(2) for c in range(3))
    futures = simulate(cohort, PROTOCOL, trials=300, start=copies)
    original = simulate(cohort, PROTOCOL, trials=300, start=state)
    for copy, mouse in ((0, 0), (5, 1)):
        for name, values in columns_of(futures).items():
            assert (values[futures.of_mouse(copy)] == columns_of(original)[name][original.of_mouse(mouse)]).all()
    contrasts = futures.contrast.reshape(6, 300)
    assert ((contrasts[:, None] == contrasts[None]).all(axis=-1) == np.eye(6, dtype=bool)).all()
    first = futures.weights[futures.starts[:-1]]
    assert (first == np.repeat(original.weights[original.starts[:-1]], 3, axis=0)).all()


def test_other_weights_and_parameters_take_effect():
    cohort = Cohort(mice=2, rule="static")
    simulation = Simulation(cohort, "constant")
    simulation.train_trials(50)
    state = simulation.state
    theta = state.theta.copy()
    theta[:, state.theta_names.index("lapse_low")] = [0.0, 0.2]
    changed = replace(state, theta=theta, weights=np.array([[0.0, 50.0], [0.0, -50.0]]))
    rollout = simulate(cohort, "constant", trials=20, start=changed)
    assert rollout.p_right.reshape(2, 20) == pytest.approx(np.repeat([[1.0], [0.2]], 20, axis=1))


def test_another_protocol_begins_the_morning_after():
    cohort = cohort_of("window")
    until_then, moved = (Simulation(cohort, PROTOCOL) for _ in range(2))
    for simulation in (until_then, moved):
        simulation.train(np.full(cohort.mice, 2))
    biased = load_protocol("biased")
    everyone = np.arange(cohort.mice)
    moved.change_protocol(biased, everyone)
    moved.train(np.full(cohort.mice, 3))
    start = move_mice(until_then.state, cohort.layout, biased)
    assert (start.rig["session"], start.rig["stage"]) == (pytest.approx(2), pytest.approx(0))
    alone = simulate(cohort, biased, sessions=1, start=start)
    both = moved.rollout()
    for m in everyone:
        last = slice(both.starts[m + 1] - (alone.starts[m + 1] - alone.starts[m]), both.starts[m + 1])
        for name, values in columns_of(alone).items():
            assert (values[alone.of_mouse(m)] == columns_of(both)[name][last]).all()


def test_a_session_can_be_ended_early():
    cohort = cohort_of("window")
    simulation = Simulation(cohort, PROTOCOL)
    simulation.train_trials(600)
    before = simulation.state
    morning = begin_session(before, cohort.layout, load_protocol(PROTOCOL))
    assert (morning.rig["session"] == before.rig["session"] + 1).all()
    assert (morning.rig["session_trial"] == 0).all()
    assert (morning.previous == 0).all()
    assert np.abs(morning.weights - before.weights).min() > 0  # the night's noise


@pytest.fixture(scope="module")
def serial() -> Rollout:
    return simulate(ENGINE_COHORT, PROTOCOL, trials=300, engine="serial")


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_engines_change_nothing(serial, engine):
    simulation = Simulation(ENGINE_COHORT, PROTOCOL, engine=engine, workers=2)
    simulation.train_trials(300)
    assert_same(columns_of(serial), columns_of(simulation.rollout()))
    expected = Simulation(ENGINE_COHORT, PROTOCOL, engine="serial")
    expected.train_trials(300)
    assert_equal(expected.state, simulation.state)


def test_a_job_in_another_process_changes_nothing(monkeypatch):
    """Sessions and designs, with jobs and results pickled as a process would have them."""

    def elsewhere(job, items, **_):
        copied = pickle.loads(pickle.dumps(job))
        return [pickle.loads(pickle.dumps(copied(pickle.loads(pickle.dumps(item))))) for item in items]

    def run() -> tuple[Rollout, DesignSessions]:
        design = train_design(ENGINE_COHORT, load_protocol(PROTOCOL), until=Status.TRAINED_1A, horizon=3)
        return simulate(ENGINE_COHORT, PROTOCOL, sessions=2), design

    here, here_design = run()
    monkeypatch.setattr(simulation_module, "map_jobs", elsewhere)
    monkeypatch.setattr(designs, "map_jobs", elsewhere)
    there, there_design = run()
    assert_same(columns_of(here), columns_of(there))
    for a, b in zip(here_design, there_design, strict=True):
        assert np.array_equal(a, b)


def test_wrong_state_is_refused_by_what_does_not_fit():
    state = Simulation(cohort_of("window"), PROTOCOL).state
    with pytest.raises(ValueError, match="state of mice with parameters rate"):
        Simulation(cohort_of("full-mouse"), PROTOCOL, state=state)
    static = Simulation(cohort_of("dnnglm"), PROTOCOL).state
    with pytest.raises(ValueError, match=r"remembers \{'hidden': "):
        Simulation(cohort_of("rnnglm"), PROTOCOL, state=static)
    late = state.copy()
    late.rig["stage"] = 4
    with pytest.raises(ValueError, match="stage 4: protocol 'biased' has 1 stages"):
        Simulation(cohort_of("window"), "biased", state=late)
    with pytest.raises(ValueError, match="give one of them"):
        Simulation(cohort_of("window"), PROTOCOL, state=state, mice=range(1))
    with pytest.raises(ValueError, match="weights: 1 rows for 2 mice"):
        replace(state, weights=state.weights[:1])
    with pytest.raises(ValueError, match="one for each of 3 copies of 2 mice"):
        state.repeat(3, mouse_keys(1, 5))
