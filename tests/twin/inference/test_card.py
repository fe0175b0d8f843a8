"""Fitted rules of every kind put back into a cohort: the mice of the fit, and their trials by a loop of one's own."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from fuzz import fuzz_cards
from networks import neural_rule

import envs  # noqa: F401  registers the environments
from agents import RULES, Layout, Mouse
from agents.neural.ensemble import Ensemble
from agents.neural.registry import NEURAL_RULES
from agents.neural.rule import policy
from agents.policy import with_lapses
from envs.draws import CHOICE, DAY_NOISE, TRIAL_NOISE, normal, uniform
from twin.cohort import Cohort
from twin.data.files import DiskFull
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History
from twin.inference.noise.levels import Noise
from twin.simulation import simulate

SEEN = ("stimulus", "bias", "previous_choice")
FITTED, MICE, TRIALS, SEED = 2, 3, 1100, 4  # more than one session, and a third mouse that is the first again
NOISE = Noise(np.array([0.02, 0.03, 0.0]), np.array([0.2, 0.1, 0.0]))
CLOSED_FORM = [*[(rule, rule) for rule in RULES if rule != "static"], ("static-glm", "static"), ("random-walk", "static")]


def fit_of_rule(model: str, rule: str) -> RuleFit:
    """A fit whose numbers are at random, with every trait in use."""
    draw, layout = np.random.default_rng(1), Layout(RULES[rule], SEEN)
    theta = np.tile(layout.defaults(), (FITTED, 1))
    for name in (*(p.name for p in layout.rule.parameters), "initial_weight", "day_noise", "lapse_high"):
        columns = layout.index(name)
        theta[:, columns] += draw.uniform(0.01, 0.1, (FITTED, len(columns)))
    theta[:, layout.index("trial_noise")] = 0.02
    unknown, ids = np.full((*theta.shape, 2), np.nan), tuple("ab")
    return RuleFit(layout, theta, unknown, np.zeros(FITTED), np.ones(FITTED, bool), ids, model, {"noise": True})


def fit_of_network(kind: str, noise: Noise | None = None, members: int = 1, **settings) -> NeuralFit:
    """A network at random whose updates are large enough to matter, or an ensemble of them, as if it had been fitted."""
    rules = [neural_rule(kind, SEEN, seed, hidden=8, initial_scale=0.3, **settings) for seed in range(members)]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for rule in rules:
            torch.nn.init.normal_(rule.readout.weight, std=0.3)
    first, histories = np.random.default_rng(1).normal(size=(FITTED, 3)), (History([0.6], [0.6], 0),) * members
    rule = rules[0] if members == 1 else Ensemble(rules)
    return NeuralFit(rule.eval(), first, tuple("ab"), kind, histories, {}, noise)


def cohort_of(done: RuleFit | NeuralFit, folder, **settings) -> Cohort:
    done.save(folder, {"seconds": 1.0})
    return Cohort(mice=MICE, rule=str(folder), **settings)


@pytest.mark.parametrize(("model", "rule"), CLOSED_FORM)
def test_closed_form_fit_is_its_mice_in_a_gymnasium_loop(model, rule, tmp_path):
    done = fit_of_rule(model, rule)
    cohort = cohort_of(done, tmp_path / "fit")
    assert cohort.learning_rule is RULES[rule]
    rollout = simulate(cohort, "ibl-documented", trials=TRIALS, seed=SEED, driver="fused")
    assert (rollout.theta == done.theta[[0, 1, 0]]).all()
    for m in range(MICE):
        env = gym.make("IBL/TrainingChoiceWorld-v0", protocol="ibl-documented", mouse=m)
        observation, info = env.reset(seed=SEED)
        mouse = Mouse(RULES[rule], SEEN, key=info["key"], theta=done.theta[m % FITTED])
        mouse.start_session()
        choices, weights = [], []
        for _ in range(TRIALS):
            weights.append(mouse.weights)
            action = mouse.act(observation)
            observation, reward, _, truncated, info = env.unwrapped.respond(action, mouse.response_time)
            choices.append(info["choice"])
            mouse.learn(reward, info["choice"])
            if truncated:
                observation, info = env.reset()
                mouse.start_session()
        assert (rollout.choice[rollout.of_mouse(m)] == choices).all()
        assert (rollout.weights[rollout.of_mouse(m)] == np.array(weights, np.float32)).all()


def assert_is_played_by(done: NeuralFit, rollout, lapses: tuple[float, float]) -> None:
    """Fail unless weights and choices are, bit for bit, what the network that was never saved makes of the same stimuli."""
    trials, noise = Trials.from_rollout(rollout, SEEN), done.noise or Noise(np.zeros(3), np.zeros(3))
    state = done.rule.init(MICE)
    w = done.initial_weights[[0, 1, 0]].astype(np.float32).astype(float)
    for t in range(TRIALS):
        recorded = rollout.weights.reshape(MICE, TRIALS, 3)[:, t]
        x, choice, reward = trials.x[:, t], trials.choice[:, t], trials.reward[:, t]
        for m, key in enumerate(rollout.keys):
            if t and trials.new_session[m, t]:
                w[m] += [noise.day[k] * normal(key, t, DAY_NOISE + k) for k in range(3)]
            p = with_lapses(1 / (1 + np.exp(-w[m] @ x[m])), *lapses)
            assert choice[m] < 0 or choice[m] == (uniform(key, t, CHOICE) < p)
        assert (recorded == w.astype(np.float32)).all()
        columns = [torch.as_tensor(a).float() for a in (x, choice[:, None], reward[:, None])]
        weights = torch.as_tensor(w).float()
        with torch.no_grad():
            state = done.rule.learn(state._replace(weights=weights), *columns, policy(weights, columns[0]))
        w = state.weights.numpy().astype(float)
        w += [[noise.trial[k] * normal(key, t, TRIAL_NOISE + k) for k in range(3)] for key in rollout.keys]


FORMS = [{"base_rule": "static"}, {"noise": NOISE}, {"members": 2, "noise": NOISE}]


@pytest.mark.parametrize("form", FORMS, ids=["alone", "noise", "ensemble"])
@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_neural_fit_is_played_by_the_network_that_was_not_saved(kind, form, tmp_path):
    done = fit_of_network(kind, **form)
    cohort = cohort_of(done, tmp_path / "fit", parameters={"lapse_low": 0.02})
    rollout = simulate(cohort, "ibl-documented", trials=TRIALS, seed=SEED)
    assert len(set(rollout.columns["session"])) > 1
    assert np.abs(np.diff(rollout.weights[rollout.of_mouse(0)], axis=0)).max() > 1e-3
    assert_is_played_by(done, rollout, (0.02, 0.0))


def test_simulated_fitted_and_simulated_again(small, tmp_path):
    """Mice of a fitted rule are those mice, one after the other and again, but for what the cohort says of them."""
    done = fit(small[2], "reinforce-baseline", free=("lapse_low",), fixed={"lapse_high": 0.03, "day_noise": 0.1})
    done.save(tmp_path / "fit")
    cohort = Cohort(mice=10, rule=str(tmp_path / "fit"))
    assert cohort.features == done.layout.features
    assert (cohort.theta(seed=7) == done.theta[np.arange(10) % 4]).all()
    assert (done.theta.std(axis=0) > 0).sum() == 5  # rate, baseline, initial weights and lapse
    changed = Cohort(mice=10, rule=str(tmp_path / "fit"), parameters={"lapse_low": 0.25})
    lapse, others = done.layout.index("lapse_low"), [c for c, n in enumerate(done.layout.names) if n != "lapse_low"]
    assert (changed.theta(seed=7)[:, lapse] == 0.25).all()
    assert (changed.theta(seed=7)[:, others] == cohort.theta(seed=7)[:, others]).all()
    rollout = simulate(cohort, "ibl-documented", sessions=2, seed=3)
    assert rollout.origin["cohort"]["rule"] == str(tmp_path / "fit")
    assert rollout.reward[rollout.of_mouse(9)][-200:].mean() > 0.55
    with pytest.raises(ValueError, match=r"parameters.lapse_low: lapse_low = 0.7 is outside \[0, 0.5\]"):
        Cohort(rule=str(tmp_path / "fit"), parameters={"lapse_low": 0.7})


@pytest.mark.parametrize("done", [fit_of_rule("window", "window"), fit_of_network("dnnglm")], ids=["rule", "network"])
def test_features_are_those_of_the_fit(done, tmp_path):
    assert cohort_of(done, tmp_path / "fit").features == SEEN
    assert cohort_of(done, tmp_path / "fit", features=SEEN) == cohort_of(done, tmp_path / "fit")
    with pytest.raises(ValueError, match=r"features \['bias', 'stimulus'\]: the rule .* was fitted on \['stimulus', 'bias', "):
        cohort_of(done, tmp_path / "fit", features=("bias", "stimulus"))
    with pytest.raises(ValueError, match="was fitted on"):
        cohort_of(done, tmp_path / "fit", features=("stimulus", "bias"))


def altered(done: RuleFit | NeuralFit, folder, **changes) -> None:
    """Save a fit, and change keys of its card; None leaves one out."""
    done.save(folder)
    card = json.loads((folder / "card.json").read_text()) | changes
    kept = {key: v for key, v in card.items() if v is not None or key not in changes}
    (folder / "card.json").write_text(json.dumps(kept))


WRONG = [
    ({"theta": None}, r"key 'theta' is missing; expected the card of a fit"),
    ({"kind": None}, r"key 'kind' is missing; expected the card of a fit"),
    ({"colour": 1}, r"unknown key 'colour'"),
    ({"rule": "reinforc"}, r"rule: unknown rule 'reinforc'; did you mean 'reinforce'"),
    ({"model": "reinforc"}, r"model: unknown model 'reinforc'; did you mean 'reinforce'"),
    ({"features": ["stimulus", "bias", "smell"]}, r"features: .*'smell'"),
    ({"features": ["stimulus", "bias"]}, r"parameters are .* the rule has"),
    ({"nll": [0.0]}, r"nll has the shape \(1,\); expected \(2,\)"),
    ({"nll": ["a", 0.0]}, r"nll: expected numbers"),
    ({"nll": [[0.0], 0.0]}, r"nll: expected numbers, as many in each row"),
    ({"mice": "ab"}, r"mice: .*array"),
    ({"data_hash": 3}, r"data_hash: .*string"),
    ({"data_hash": "abc"}, r"data_hash: .*match pattern"),
    ({"kind": "neutral"}, r"kind is 'neutral'; expected 'closed-form', 'neural'"),
    ({"kind": "neural"}, r"key 'members' is missing"),
    ({"model": "window"}, r"rule is 'reinforce'; expected 'window', that of the model 'window'"),
    ({"model": "dnnglm"}, r"model 'dnnglm' is a network; expected a closed-form one"),
    ({"model": None}, r"key 'model' is missing"),
    ({"features": []}, r"features: .*at least one"),
    ({"features": ["stimulus", "bias", "bias"]}, r"features: .*each once"),
    ({"features": "stimulus"}, r"features: .*array"),
    ({"mice": []}, r"mice: .*at least 1"),
    ({"mice": ["a"]}, r"theta has the shape \(2, .*\); expected \(1, "),
    ({"mice": ["a", "a"]}, r"mice: 'a' is there 2 times; expected every mouse once"),
    ({"mice": ["a", "b", "c"]}, r"theta has the shape \(2, .*\); expected \(3, "),
    ({"theta": []}, r"theta has the shape \(0,\)"),
    ({"theta": {"a": 1}}, r"theta: expected numbers"),
    ({"theta": [[10**400], [0.0]]}, r"theta: expected numbers"),
    ({"theta": [[True], [False]]}, r"theta: expected numbers"),
    ({"ci95": [[0.0, 1.0], [0.0, 1.0]]}, r"ci95 has the shape \(2, 2\)"),
    ({"nll": "none"}, r"nll has the shape \(\)|nll: expected numbers"),
    ({"converged": [True]}, r"converged has 1 entries; expected 2"),
    ({"converged": [1, 0]}, r"converged.0: .*boolean"),
    ({"parameters": ["rate"]}, r"parameters are \['rate'\]; the rule has"),
    ({"settings": []}, r"settings: .*(object|dictionary)"),
    ({"settings": {"epochs": 3}}, r"unknown key in \[settings\]: 'epochs'"),
    ({"seconds": -1.0}, r"seconds: .*greater than or equal to 0"),
    ({"seconds": float("nan")}, r"seconds: .*finite"),
    ({"trials": 1.5}, r"trials: .*integer"),
    ({"versions": {"numpy": 2}}, r"versions.numpy: .*string"),
]
NOT_CARDS = ["", "{", "[]", "null", "3", '"card"', "\xff", "[" * 3000, "{}"]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[" ".join(changes) for changes, _ in WRONG])
def test_wrong_card_is_refused_by_file_and_key(changes, message, tmp_path):
    altered(fit_of_rule("reinforce", "reinforce"), tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'card.json'}: {message}") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", NOT_CARDS, ids=range(len(NOT_CARDS)))
def test_file_that_is_no_card_is_named(text, tmp_path):
    (tmp_path / "card.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'card.json'}: ") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


def test_impossible_estimates_are_refused_but_for_fits_that_failed(tmp_path):
    done = fit_of_rule("reinforce", "reinforce")
    for value, message in ((7.0, "is 7; expected 0 to 1"), (np.nan, "is nan; expected a finite number")):
        theta = done.theta.copy()
        theta[1, 0] = value
        dataclasses.replace(done, theta=theta).save(tmp_path)
        with pytest.raises(ValueError, match=rf"card\.json: rate of fitted mouse 1 {message}"):
            load_fit(tmp_path)
        dataclasses.replace(done, theta=theta, converged=np.array([True, False])).save(tmp_path)
        load_fit(tmp_path)


WRONG_NETWORKS = [
    ({"members": 0}, r"card.json: members: .*greater than or equal to 1"),
    ({"members": 10**9}, r"card.json: training has 1 entries; expected 1000000000"),
    ({"members": 2, "training": [{"train": [0.6], "held_out": [0.6], "best": 0}] * 2}, r"model.safetensors: .*of 2 members"),
    ({"training": [{"train": [0.6], "held_out": [], "best": 0}]}, r"card.json: training.0: held_out has the shape \(0,\)"),
    ({"training": [{"train": [0.6], "held_out": [0.6], "best": 1}]}, r"card.json: training.0: best is 1; expected one of 1"),
    ({"model": "rnnglm"}, r"model.safetensors: not the weights of the network"),
    ({"model": "reinforce"}, r"card.json: model 'reinforce' is a closed-form one"),
    ({"network": {}}, r"model.safetensors: not the weights of the network"),
    ({"network": []}, r"card.json: network: "),
    ({"network": {"depth": 3}}, r"card.json: unknown key in \[network\]: 'depth'"),
    ({"network": {"hidden": 10**6}}, r"model.safetensors: not the weights of the network"),
    ({"network": {"hidden": 10**12}}, r"model.safetensors: not the weights of the network"),
    ({"network": {"hidden": "many"}}, r"card.json: network.hidden: "),
    ({"initial_weights": [[None, 0.0, 0.0]] * 2}, r"card.json: initial_weights holds nan; expected finite numbers"),
    ({"noise": {"trial": [-1.0, 0.0, 0.0], "day": [0.0] * 3}}, r"card.json: trial holds -1.0; expected .* at least 0"),
    ({"noise": {"trial": [0.0], "day": [0.0] * 3}}, r"card.json: trial has the shape \(1,\); expected \(3,\)"),
    ({"weights_hash": "0" * 64}, r"model.safetensors: .*it is of another fit, or was changed"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_NETWORKS, ids=[str(changes)[:40] for changes, _ in WRONG_NETWORKS])
def test_wrong_card_of_a_network_is_one_sentence_of_its_file(changes, message, tmp_path):
    """Sizes are compared before a network is built: a million units would need 4 TB."""
    altered(fit_of_network("dnnglm"), tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/{message}") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


def test_network_that_was_changed_is_found_out(tmp_path):
    fit_of_network("dnnglm").save(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: .*was changed"):
        load_fit(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: not the weights of the network"):
        load_fit(tmp_path)


def test_fit_of_a_rule_that_is_not_registered_is_said_so(tmp_path, monkeypatch):
    fit_of_rule("reinforce", "reinforce").save(str(tmp_path))
    monkeypatch.delitem(RULES, "reinforce")
    with pytest.raises(ValueError, match=r"card\.json: rule: unknown rule 'reinforce'.*a rule of your own must be registered"):
        load_fit(str(tmp_path))


def test_rule_may_be_a_path(tmp_path):
    done = fit_of_rule("reinforce", "reinforce")
    done.save(tmp_path)
    assert Cohort(rule=tmp_path, mice=2).theta(1).tolist() == done.theta.tolist()
    assert Cohort(rule=tmp_path) == Cohort(rule=str(tmp_path))


def test_damaged_cards_are_read_or_refused_in_one_sentence(tmp_path):
    """A few of the cases of `tests/fuzz/fuzz_cards.py`."""
    outcomes, wrong = fuzz_cards.run(40, 7, tmp_path)
    assert not wrong
    assert outcomes["refused"] > 20


def test_wrong_card_of_a_network_is_refused_by_file_and_key(tmp_path):
    done = fit_of_network("dnnglm")
    altered(done, tmp_path, network=done.rule.settings.model_dump() | {"hidden": 0})
    with pytest.raises(ValueError, match=r"card.json: network.hidden: .*greater than or equal to 1"):
        load_fit(tmp_path)
    altered(done, tmp_path, network=done.rule.settings.model_dump() | {"hidden": 9})
    with pytest.raises(ValueError, match=r"model.safetensors: not the weights of the network of card.json"):
        load_fit(tmp_path)
    altered(done, tmp_path, initial_weights=[[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"card.json: initial_weights has the shape \(1, 2\); expected \(2, 3\)"):
        load_fit(tmp_path)
    done.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model.safetensors: not the weights"):
        load_fit(tmp_path)


def test_numbers_that_json_does_not_have_come_back(tmp_path):
    """Unknown and infinite ends of intervals, and a training that failed."""
    done = fit_of_rule("reinforce", "reinforce")
    done.ci95[0, 0] = [0.1, np.inf]
    done.ci95[1, 0] = [-np.inf, 0.2]
    done.save(tmp_path / "rule")
    assert np.array_equal(load_fit(tmp_path / "rule").ci95, done.ci95, equal_nan=True)
    network = dataclasses.replace(fit_of_network("dnnglm"), histories=(History([0.7, np.nan], [0.6, np.inf], 0),))
    network.save(tmp_path / "network")
    (history,) = load_fit(tmp_path / "network").histories
    assert np.array_equal(history.train, [0.7, np.nan], equal_nan=True)
    assert (history.held_out, history.best) == ([0.6, np.inf], 0)
    for name in ("rule", "network"):
        text = (tmp_path / name / "card.json").read_text()
        assert not {"NaN", "Infinity", "-Infinity"} & set(text.replace(",", " ").split())


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_failed_save_leaves_the_old_fit(name, tmp_path, monkeypatch):
    """Whichever of the two files finds no room."""

    def write(path, content):
        with open(path, "wb") as file:
            file.write(content if name not in path.name else b"half")
        if name in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    done = fit_of_network("dnnglm")
    done.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(DiskFull, match=rf"^{tmp_path / name}: no space left for this file, which needs .* MB") as caught:
        fit_of_network("dnnglm", members=2).save(tmp_path)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    load_fit(tmp_path)


def test_folder_that_holds_no_fit_is_refused_by_file(tmp_path):
    with pytest.raises(ValueError, match=r"unknown rule .*\(or the folder of a fit: no card.json in"):
        Cohort(rule=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"card.json: no such file; expected the folder of a fit"):
        load_fit(tmp_path)
    done = fit_of_rule("reinforce", "reinforce")
    altered(done, tmp_path, theta=None)
    with pytest.raises(ValueError, match=r"card.json: key 'theta' is missing; expected the card of a fit"):
        Cohort(rule=str(tmp_path))
    theta = done.theta.tolist()
    altered(done, tmp_path, theta=[theta[0], [None, *theta[1][1:]]])
    with pytest.raises(ValueError, match=r"card.json: rate of fitted mouse 1 is nan; expected a finite number"):
        Cohort(rule=str(tmp_path))
