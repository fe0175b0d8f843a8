"""A network at random as the true rule: mice learn by it, it remembers, and its seed is what it depends on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from agents import RULES
from agents.neural.random_network import random_rule, reference
from agents.neural.settings import RandomNetwork
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.recovery import recovery
from twin.inference.fit import fit
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History
from twin.simulation import simulate
from twin.studies.run import run
from twin.studies.scenario import ScenarioError, load, parse, to_toml

SEEN = ("stimulus", "bias")
FAST = {"seed": 2, "hidden": 12}


@pytest.fixture(scope="module")
def rules():
    return {seed: random_rule(RandomNetwork(seed=seed, base_rule="reinforce"), SEEN) for seed in (0, 1, 3)}


def added(rule, history: list[tuple[float, int, int]]) -> np.ndarray:
    """The network's part of the last change after trials (stimulus, choice, reward), the weights held at (1, 0)."""
    state = rule.init(1)
    for stimulus, choice, reward in history:
        x = torch.tensor([[stimulus, 1.0]])
        p = 1 / (1 + np.exp(-stimulus))
        columns = [torch.tensor([[float(v)]]) for v in (choice, reward, p)]
        with torch.no_grad():
            state = rule.learn(state._replace(weights=torch.tensor([[1.0, 0.0]])), x, *columns)
    base = 0.03 * reward * (choice - p) * np.array([stimulus, 1.0])  # REINFORCE by hand
    return state.weights[0].numpy() - [1.0, 0.0] - base


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_mice_learn(seed, rules):
    """From chance to well above it, every one of 12 mice, where a static mouse stays at chance."""
    cohort = Cohort(mice=12, rule="rnn", network={"seed": seed})
    rollout = simulate(cohort, "ibl-documented", trials=3000, seed=1)
    reward = rollout.reward.reshape(12, -1).astype(float)
    assert abs(reward[:, :50].mean() - 0.5) < 0.15
    assert reward[:, -500:].mean() > 0.7
    assert reward[:, -500:].mean(axis=1).min() > 0.6
    with pytest.raises(ValueError, match="is neural"):
        simulate(cohort, trials=5, driver="fused")


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_change_depends_on_trials_long_past(seed, rules):
    """The same last trial, after histories that differ: in the trial before it, or only in those five and more before."""
    draw = np.random.default_rng(0)

    def history(n: int) -> list[tuple[float, int, int]]:
        return [(float(draw.choice([-1.0, -0.5, 0.5, 1.0])), int(draw.integers(2)), int(draw.integers(2))) for _ in range(n)]

    recent, last = history(4), (0.5, 1, 1)
    any_before = np.array([added(rules[seed], [*history(10), last]) for _ in range(60)])
    far_before = np.array([added(rules[seed], [*history(10), *recent, last]) for _ in range(60)])
    base = 0.03 * (1 - 1 / (1 + np.exp(-0.5))) * np.array([0.5, 1.0])
    assert (any_before.std(axis=0) > 0.1 * base).all()
    assert (far_before.std(axis=0) > 0.01 * base).all()
    again = added(rules[seed], [*recent, last])
    assert (again == added(rules[seed], [*recent, last])).all()


def test_size_is_the_strength_times_that_of_the_base_rule(rules):
    for seed, strength in ((0, 0.5), (1, 0.5), (6, 0.2)):
        rule = rules.get(seed) or random_rule(RandomNetwork(seed=seed, strength=strength, base_rule="reward-max"), SEEN)
        found = reference(rule.double(), 300, network=False)
        rms = [np.sqrt(np.mean(part**2, axis=(0, 1))) for part in (found.network, found.base_rule)]
        assert rms[0] / rms[1] == pytest.approx(strength, rel=1e-3)
        rule.float()


def test_base_rule_is_the_rule_that_is_named():
    """Without the network's part it is the closed-form rule, with the parameters given."""
    parameters = {"rate_left": 0.1, "rate_right.bias": 0.02, "baseline": -0.2}
    network = RandomNetwork(hidden=8, base_rule="full-mouse", parameters=parameters)
    rule = random_rule(network, SEEN)
    with torch.no_grad():
        rule.scale.fill_(0.0)
    draw = np.random.default_rng(0)
    w, x = draw.normal(size=(2, 30, 2))
    choice, reward = draw.integers(0, 2, (2, 30, 1))
    p = 1 / (1 + np.exp(-(w * x).sum(1, keepdims=True)))
    theta = np.array([[0.1, 0.1], [0.03, 0.02], [-0.2, -0.2], [0.001, 0.001]])
    expected = RULES["full-mouse"].update(w, 0.0, 0.0, x, choice, reward, p, *theta)[0]
    mice = rule.as_mice(w)
    assert mice.learn(mice.init(30), x, choice, reward, p).weights.numpy() == pytest.approx(expected, abs=1e-5)


def test_seed_is_the_rule(rules):
    trials = [(0.5, 1, 1), (-1.0, 0, 1), (0.5, 0, 0), (1.0, 1, 1)]
    parts = {seed: added(rule, trials) for seed, rule in rules.items()}
    assert (parts[3] == added(random_rule(RandomNetwork(seed=3, base_rule="reinforce"), SEEN), trials)).all()
    for a, b in ((0, 1), (0, 3), (1, 3)):
        assert np.abs(parts[a] - parts[b]).max() > 1e-4
        one, other = (reference(rules[s].double(), 200, network=False).network.ravel() for s in (a, b))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.8
    for rule in rules.values():
        rule.float()


def test_given_parameters_are_the_folder_of_a_network(rules, tmp_path):
    """The rule saved and put back by its folder gives the same trials, bit for bit."""
    NeuralFit(rules[3], np.zeros((1, 2)), ("a",), "rnnglm", (History([0.7], [0.7]),), {}).save(tmp_path)
    drawn = simulate(Cohort(mice=3, rule="rnn", network={"seed": 3, "base_rule": "reinforce"}), "ibl-documented", trials=800)
    given = simulate(Cohort(mice=3, rule=str(tmp_path)), "ibl-documented", trials=800)
    assert (drawn.choice == given.choice).all()
    assert (drawn.weights == given.weights).all()


def test_errors_of_a_fit_to_it():
    """Its change is its own: recovered by itself without error, by no learning with one."""
    cohort = Cohort(mice=3, rule="rnn", network=FAST | {"base_rule": "reinforce"})
    rollout = simulate(cohort, "ibl-documented", trials=600, seed=2)
    trials = Trials.from_rollout(rollout)
    static = recovery(fit(trials, "static-glm"), cohort, rollout, trials)
    assert static["relative_rmse"] == pytest.approx(1.0)
    closed = recovery(fit(trials, "reinforce", fixed={"rate": 0.03}), cohort, rollout, trials)
    assert 0.05 < closed["relative_rmse_visited"] < 0.95


SCENARIO = """
kind = "recovery"
name = "rnn"
[cohort]
mice = 2
rule = "rnn"
[cohort.network]
seed = 2
hidden = 12
base_rule = "reinforce"
parameters = { rate = 0.05 }
[protocol]
base = "ibl-documented"
[run]
trials = 300
[inference]
models = ["static-glm"]
"""


def test_scenario_of_it(tmp_path):
    (tmp_path / "rnn.toml").write_text(SCENARIO)
    study = load(tmp_path / "rnn.toml")
    assert study.cohort.network == RandomNetwork(seed=2, hidden=12, base_rule="reinforce", parameters={"rate": 0.05})
    (tmp_path / "again.toml").write_text(to_toml(study))
    assert load(tmp_path / "again.toml") == study
    results = run(study, tmp_path / "run")
    assert results.models["static-glm"].relative_rmse == pytest.approx(1.0)
    origin = simulate(study.cohort, trials=3).origin
    assert json.loads(json.dumps(origin))["cohort"]["network"]["seed"] == 2
    assert load(tmp_path / "rnn.toml", ["cohort.network.seed=4"]).cohort.network.seed == 4


@pytest.mark.parametrize(
    ("cohort", "message"),
    [
        ({"rule": "reinforce", "network": {"seed": 1}}, "network: describes rule = 'rnn', .*; rule = 'reinforce' takes none"),
        ({"rule": "rnn", "network": {"sead": 1}}, r"unknown key in \[cohort.network\]: 'sead'; did you mean 'seed'"),
        ({"rule": "rnn", "network": {"base_rule": "static"}}, "base_rule = 'static' does not learn"),
        ({"rule": "rnn", "network": {"base_rule": "window"}}, "unknown base rule 'window'"),
        (
            {"rule": "rnn", "network": {"parameters": {"rat": 0.1}}},
            "network.parameters: unknown parameter of base rule 'full-mouse': 'rat'",
        ),
        ({"rule": "rnn", "network": {"parameters": {"rate_left": 2.0}}}, r"rate_left = 2 is outside \[0, 1\]"),
        ({"rule": "rnn", "network": {"strength": 0}}, "network.strength: .*greater than 0"),
        ({"rule": "rnn", "network": FAST, "parameters": {"rate": 0.1}}, "unknown parameter of rule 'rnn': 'rate'"),
        ({"rule": "rnnn"}, "unknown rule 'rnnn'; did you mean 'rnn'"),
    ],
)
def test_wrong_network_is_refused_by_key(cohort, message):
    table = {
        "kind": "cohort",
        "name": "q",
        "cohort": {"mice": 2} | cohort,
        "protocol": {"base": "constant"},
        "run": {"trials": 5},
    }
    with pytest.raises(ScenarioError, match=message):
        parse(table, "x.toml")
