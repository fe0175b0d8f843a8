"""Fitted rules of every kind put back into a cohort: the mice of the fit, and their trials by a loop of one's own."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from fits import FITTED, SEEN, altered, fit_of_network, fit_of_rule

import envs  # noqa: F401  registers the environments
from agents import RULES, Mouse
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

MICE, TRIALS, SEED = 3, 1100, 4  # more than one session, and a third mouse that is the first again
NOISE = Noise(np.array([0.02, 0.03, 0.0]), np.array([0.2, 0.1, 0.0]))
CLOSED_FORM = [*[(rule, rule) for rule in RULES if rule != "static"], ("static-glm", "static"), ("random-walk", "static")]


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
