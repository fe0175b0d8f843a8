"""An ensemble is one rule: the mean of its members, as a mouse and in the kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import FUSED_KINDS, neural_rule

from agents.neural.ensemble import Ensemble
from agents.neural.registry import NEURAL_RULES
from twin.cohort import Cohort
from twin.inference.card import load_fit
from twin.inference.fit import fit
from twin.inference.neural.fit import build
from twin.inference.neural.trainer import Trainer
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.registry import find_settings
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")
FORMS = [
    {"base_rule": "static"},
    {"base_rule": "reinforce-baseline"},
    {"mirror": False, "gradient_form": False, "inputs": ["side"]},
]


def members(kind: str, **settings) -> list:
    """Three different rules."""
    rules = [neural_rule(kind, FEATURES, seed, hidden=6, initial_scale=0.5, **settings) for seed in range(3)]
    torch.manual_seed(0)
    for member in rules:
        for parameter in member.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return [member.double() for member in rules]


def trials(mice: int = 4, n: int = 30) -> Batch:
    torch.manual_seed(1)
    x = torch.randn(mice, n, 2, dtype=torch.float64)
    return Batch(x, torch.randint(-1, 2, (mice, n, 1)).double(), torch.randint(0, 2, (mice, n, 1)).double())


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_changes_by_the_mean_of_its_members(kind):
    rules, batch = members(kind), trials(5, 1)
    trial = batch.x[:, 0], batch.choice[:, 0], batch.reward[:, 0], torch.zeros(5, 1)
    w = torch.randn(5, 2, dtype=torch.float64)

    def change(rule):
        return (rule.learn(rule.init(5)._replace(weights=w), *trial).weights - w).detach()

    expected = sum(change(rule) for rule in rules) / 3
    torch.testing.assert_close(change(Ensemble(rules)), expected)
    assert float((change(rules[0]) - expected).abs().max()) > 1e-3


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("kind", FUSED_KINDS)
def test_kernels_run_it_as_one_network(kind, form):
    ensemble, batch, w0 = Ensemble(members(kind, **form)), trials(), torch.full((4, 2), 0.2, dtype=torch.float64)
    (_, loop), (_, fused) = (unroll(ensemble, batch, w0, strategy=how) for how in ("loop", "fused"))
    torch.testing.assert_close(fused, loop, rtol=1e-10, atol=1e-11)
    assert float(loop.detach().std()) > 0.05


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_alike_members_are_one(kind):
    rule = members(kind)[0]
    (_, many), (_, one) = (unroll(r, trials()) for r in (Ensemble([rule, rule]), rule))
    torch.testing.assert_close(many, one)


def test_members_and_restarts(small, tmp_path):
    trials = small[2]
    one, two = (fit(trials, "dnnglm", epochs=3, hidden=6, seed=seed) for seed in (0, 1))
    both = fit(trials, "dnnglm", epochs=3, hidden=6, members=2)
    points = np.ones((5, 2)), np.linspace(-1, 1, 10).reshape(5, 2), np.array([0, 1, 0, 1, 1]), np.array([1, 0, 0, 1, 1])
    each = [f.update(0, *points) for f in (one, two)]
    assert both.update(0, *points) == pytest.approx(np.mean(each, axis=0), abs=1e-5)
    assert both.spread(*points) == pytest.approx(np.std(each, axis=0, ddof=1), abs=1e-5)
    assert one.spread(*points) is None
    both.save(tmp_path / "fit")
    again = load_fit(tmp_path / "fit")
    assert (again.log_likelihood(trials) == both.log_likelihood(trials)).all()
    mice = Cohort(mice=2, rule=str(tmp_path / "fit"))
    assert simulate(mice, "ibl-documented", trials=50).choice.shape == (100,)


def test_the_best_restart_is_kept(small):
    trials = small[2]
    many = fit(trials, "dnnglm", epochs=2, hidden=6, base_rule="static", restarts=3).histories[0]
    single = [fit_of(trials, seed) for seed in range(3)]
    assert min(many.held_out) == pytest.approx(min(single), abs=1e-6)
    assert len(set(single)) == 3


def fit_of(trials, seed: int) -> float:
    """Held-out score of the network of a seed, trained in the order and judged on the blocks of seed 0."""
    settings = find_settings("dnnglm")(epochs=2, hidden=6, base_rule="static")
    rule = build("dnnglm", trials.features, settings, seed)
    history = Trainer(rule, trials, settings).run()
    return history.held_out[history.best]
