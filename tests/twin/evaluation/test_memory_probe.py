"""What rules remember, on records whose gap is known beforehand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from networks import neural_rule

from agents import RULES, Layout
from agents.closed_form import BatchRule
from agents.neural.registry import NEURAL_RULES
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.memory_probe import history_gap, recent_rewards
from twin.evaluation.recovery import recovery
from twin.inference.fit import fit
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")
REMEMBERING = {"window", "eligibility", "learned-critic"}


def record(reward, choice, stimulus):
    """Trials of one mouse, and its weights, all zero."""
    reward, choice = (np.array([a], np.int8) for a in (reward, choice))
    x = np.stack([np.array([stimulus], float), np.ones(choice.shape)], axis=-1)
    new = np.arange(choice.shape[1])[None] == 0
    trials = Trials(x, choice, reward, new, choice >= 0, np.array([choice.shape[1]]), FEATURES, ("m",))
    return trials, np.zeros(x.shape)


def agents(rule, weights, **parameters):
    layout = Layout(RULES[rule], FEATURES)
    theta = np.tile(layout.defaults(), (len(weights), 1))
    for name, value in parameters.items():
        theta[:, layout.index(name)] = np.reshape(value, (-1, 1))
    return lambda mice: BatchRule(RULES[rule], layout.unpack(theta[mice]).rule_parameters, weights[mice, 0])


@pytest.fixture(scope="module")
def mixed():
    """Six mice that learn fast or slowly, their trials and their weights; histories of both kinds are frequent."""
    parameters = {"rate": {"distribution": "choice", "values": [0.02, 0.2]}, "initial_weight.stimulus": -2}
    rollout = simulate(Cohort(mice=6, rule="reinforce", parameters=parameters), trials=400, seed=3)
    trials = Trials.from_rollout(rollout)
    return trials, rollout.weights.reshape(trials.x.shape).astype(float)


def test_gap_of_the_window_by_hand():
    """30 correct choices of the right, then 20 of the left in error, all at p = .5 and a stimulus of 1: gradients +.5, -.5.

    A probe follows the last 9 of them. Rewarded histories: 21 with a sum of 4.5, then 3.5, 2.5 and 1.5. Of five spread over
    these 24 the last has 1.5, the others 4.5; their mean is 3.9. The probe itself adds .5. After an unrewarded history nothing
    is learned.
    """
    trials, weights = record([1] * 30 + [0] * 20, [1] * 30 + [0] * 20, [1.0] * 50)
    found = history_gap(agents("window", weights, rate=0.1), agents("reinforce", weights, rate=0.1), trials, weights, 0)
    assert found["true"] == pytest.approx(0.1 * (3.9 + 0.5))
    assert found["updates"]["true"] == {"rewarded": [pytest.approx(0.44)], "unrewarded": [0.0]}
    assert found["updates"]["estimate"] == {kind: [pytest.approx(0.05)] for kind in ("rewarded", "unrewarded")}
    assert (found["estimate"], found["recovered"], found["slope"]) == (0.0, 0.0, 0.0)
    assert found["histories"] == {"rewarded": 5, "unrewarded": 5}
    assert found["stimulus"] == [1.0]


def test_gap_does_not_cancel_between_sides():
    """The same record with every other trial mirrored."""
    side = np.where(np.arange(50) % 2, 1, -1)
    right = (side > 0) == (np.arange(50) < 30)
    trials, weights = record([1] * 30 + [0] * 20, right.astype(int), 1.0 * side)
    true = agents("window", weights, rate=0.1)
    found = history_gap(true, true, trials, weights, 0)
    assert found["stimulus"] == [-1.0, 1.0]
    assert found["true"] == pytest.approx(0.44)
    assert (found["recovered"], found["slope"]) == (1.0, 1.0)


class Sum:
    """An agent whose update is a weighted sum of those of two others."""

    def __init__(self, a, b, share):
        self.a, self.b, self.share = a, b, share

    def init(self, n_mice):
        return State(self.a.initial_weights, self.a.init(n_mice), self.b.init(n_mice))

    def learn(self, state, *trial):
        w = state.weights
        a, b = (agent.learn(part._replace(weights=w), *trial) for agent, part in ((self.a, state.a), (self.b, state.b)))
        return State(w + self.share * (a.weights - w) + (b.weights - w), a, b)


class State(NamedTuple):
    weights: Any
    a: Any
    b: Any


def test_half_of_the_effect_reads_half(mixed):
    trials, weights = mixed
    true = agents("window", weights, rate=0.1)
    markov = agents("reinforce-baseline", weights, rate=0.3, baseline=-0.2)
    half = lambda mice: Sum(true(mice), markov(mice), 0.5)  # noqa: E731
    found = history_gap(true, half, trials, weights, 0)
    assert found["true"] > 0.05
    assert found["recovered"] == pytest.approx(0.5)
    assert found["slope"] == pytest.approx(0.5)


@pytest.mark.parametrize("rule", RULES)
def test_only_what_remembers_has_a_gap(rule, mixed):
    """Even though fast learners are rewarded more often than slow ones."""
    trials, weights = mixed
    rates = [p.name for p in RULES[rule].parameters if "rate" in p.name]
    mice = agents(rule, weights, **{name: np.linspace(0.02, 0.2, len(weights)) for name in rates})
    found = history_gap(mice, mice, trials, weights, 0)
    assert (found["true"] != 0) == (rule in REMEMBERING)
    assert found["estimate"] == found["true"]
    assert min(found["histories"].values()) > 10


@pytest.mark.parametrize("name", NEURAL_RULES)
def test_a_network_without_a_memory_shows_no_gap(name, mixed):
    trials, weights = mixed
    network = neural_rule(name, FEATURES, base_rule="static")  # beside a base rule it would begin by adding nothing
    found = history_gap(agents("window", weights), lambda mice: network.as_mice(weights[mice, 0]), trials, weights, 0)
    assert (found["estimate"] == 0) == (name == "dnnglm")


def test_recent_rewards_count_choices_alone():
    reward = np.random.default_rng(0).integers(0, 2, 40)
    choice = np.where(np.arange(40) % 7 == 3, -1, 1)
    trials, _ = record(reward * (choice >= 0), choice, [1.0] * 40)
    for t in range(40):
        before = [reward[i] for i in range(t) if choice[i] >= 0]
        expected = sum(before[-10:]) if len(before) >= 10 and choice[t] >= 0 else -1
        assert recent_rewards(trials)[0, t] == expected


def test_no_histories_no_gap():
    trials, weights = record([1] * 30, [1] * 30, [1.0] * 30)
    assert history_gap(agents("window", weights), agents("window", weights), trials, weights, 0) == {}
    trials, weights = record([1] * 5, [1] * 5, [1.0] * 5)
    assert history_gap(agents("window", weights), agents("window", weights), trials, weights, 0) == {}


def test_the_rule_itself_recovers_its_gap():
    cohort = Cohort(mice=4, rule="window", parameters={"rate": 0.02, "initial_weight.stimulus": -1})
    rollout = simulate(cohort, trials=600, seed=2)
    trials = Trials.from_rollout(rollout)
    found = recovery(fit(trials, "window", population=True), cohort, rollout, trials)["history_gap"]
    assert found["true"] > 0
    assert found["recovered"] == pytest.approx(1, abs=0.3)
