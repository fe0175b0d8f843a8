"""The closed-form base rule of a neural rule: what it is, where its training begins, and that it is never left for worse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from agents.closed_form import BatchRule
from agents.neural.base_rule import base_rule_change, base_rule_coefficients
from agents.neural.models.dnnglm import DNNRule
from agents.neural.settings import NetworkSettings, base_rules
from agents.rules import RULES
from twin.data.trials import Trials
from twin.inference.fit import fit
from twin.inference.neural.trainer import Trainer, held_out_mice
from twin.inference.neural.unroll import Batch
from twin.inference.neural.warm_start import warm_start
from twin.inference.settings import TrainSettings

FEATURES = ("stimulus", "bias")


def test_a_rule_with_memory_cannot_be_a_base_rule():
    assert set(RULES) - set(base_rules()) == {"window", "eligibility", "learned-critic"}
    with pytest.raises(ValueError, match="unknown base rule 'eligibility'"):
        NetworkSettings(base_rule="eligibility")


@pytest.mark.parametrize("name", [name for name in base_rules() if RULES[name].parameters])
def test_untrained_rule_is_its_base_rule(name):
    draw, rule = np.random.default_rng(1), DNNRule(FEATURES, NetworkSettings(base_rule=name)).double()
    w, x = draw.normal(size=(2, 50, 2))
    choice, reward = draw.integers(0, 2, (2, 50, 1)).astype(float)
    p = 1 / (1 + np.exp(-(w * x).sum(1, keepdims=True)))
    theta = rule.base_parameters.detach().numpy().T
    expected = BatchRule(RULES[name], np.repeat(theta[None], 50, axis=0), w)
    expected = expected.learn(expected.init(50), x, choice, reward, p).weights
    mice = rule.as_mice(w)
    assert mice.learn(mice.init(50), x, choice, reward, p).weights.numpy() == pytest.approx(expected, abs=1e-12)
    assert np.abs(expected - w).max() > 1e-3


@pytest.mark.parametrize("name", base_rules())
def test_coefficients_are_the_update(name):
    rule, draw = RULES[name], torch.Generator().manual_seed(0)
    theta, w, x = (torch.rand(n, 2, generator=draw, dtype=torch.float64) for n in (len(rule.parameters), 40, 40))
    choice, reward, p = (torch.rand(40, 1, generator=draw, dtype=torch.float64) for _ in range(3))
    constant, linear, square, own = base_rule_coefficients(rule, theta, x, choice, reward).unbind(-2)
    change = base_rule_change(rule, theta, w, x, choice, reward, p) + torch.zeros_like(w)
    torch.testing.assert_close(constant + linear * p + square * p**2 + own * w, change)
    remembering = rule.update(w, 7.0, -3.0, x, choice, reward, p, *theta)  # a memory neither matters nor is made
    torch.testing.assert_close(remembering[0] - w + torch.zeros_like(w), change)
    assert remembering[1:] == (7.0, -3.0)


def test_training_begins_at_the_maximum_likelihood_of_the_base_rule(small):
    """One mouse, one feature: the base rule is then the closed-form rule itself."""
    trials = Trials.from_rollout(small[1], ("stimulus",))
    names = [f.name for f in dataclasses.fields(trials) if f.name != "features"]
    one = dataclasses.replace(trials, **{name: getattr(trials, name)[:1] for name in names})
    rule, weights = DNNRule(("stimulus",), NetworkSettings(base_rule="reinforce")), torch.zeros(1, 1, requires_grad=True)
    warm_start(rule, Batch.of(one), weights, torch.as_tensor(one.mask))
    alone = fit(one, "reinforce")
    assert rule.base_parameters.item() == pytest.approx(alone.theta[0, alone.layout.index("rate")[0]], rel=1e-3)
    assert weights.item() == pytest.approx(alone.theta[0, alone.layout.index("initial_weight")[0]], abs=2e-3)


def test_a_fit_is_not_worse_than_its_base_rule(small):
    """A learning rate that ruins the network leaves the base rule."""
    ruined = fit(small[2], "dnnglm", epochs=3, learning_rate=0.8, hidden=8)
    history = ruined.histories[0]
    assert history.best == 0
    assert max(history.held_out[1:]) > history.held_out[0]
    base = BatchRule(
        RULES["reinforce-baseline"], np.repeat(ruined.rule.base_parameters.detach().numpy().T[None], 5, 0), np.ones((5, 2))
    )
    trial = np.ones((5, 2)), np.ones((5, 1)), np.ones((5, 1))
    expected = base.learn(base.init(5), *trial, np.full((5, 1), 1 / (1 + np.exp(-2)))).weights - 1
    assert ruined.update(0, np.ones((5, 2)), trial[0], trial[1][:, 0], trial[2][:, 0]) == pytest.approx(expected, abs=1e-6)


def with_other_choices(trials: Trials, mice: np.ndarray) -> Trials:
    """The same trials, but some mice chose the other side."""
    choice = trials.choice.copy()
    choice[mice] = np.where(choice[mice] < 0, -1, 1 - choice[mice])
    return dataclasses.replace(trials, choice=choice)


def after_last_epoch(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """The rule and the initial weights when training ended, whichever were kept."""
    seen = []

    def note(train: float, held_out: float) -> None:
        rule = torch.cat([p.detach().ravel() for p in trainer.model.parameters()])
        seen.append((rule, trainer.weights.detach().clone()))

    trainer.run(note)
    return seen[-1]


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_learned_from_held_out_mice_but_their_own_weights(known, small):
    trials, settings = small[2], TrainSettings(epochs=3, hold_out="mice", batch_size=4)
    apart = held_out_mice(trials.mask, 0).any(axis=1)
    assert apart.sum() == 1
    fits = []
    for data in (trials, with_other_choices(trials, apart), with_other_choices(trials, ~apart)):
        rule = DNNRule(FEATURES, NetworkSettings(hidden=8, base_rule="static"))
        trainer = Trainer(rule, data, settings, np.full((4, 2), 0.5) if known else None)
        fits.append(after_last_epoch(trainer))
    (rule, weights), (same, own), (other, _) = fits
    assert torch.allclose(rule, same, atol=1e-6)
    assert not torch.allclose(rule, other, atol=1e-3)
    assert torch.allclose(weights[~apart], own[~apart], atol=1e-6)
    assert torch.equal(weights[apart], own[apart]) == known


def test_one_mouse_cannot_be_held_out(small):
    with pytest.raises(ValueError, match="there is only one mouse"):
        held_out_mice(small[2].mask[:1], 0)
