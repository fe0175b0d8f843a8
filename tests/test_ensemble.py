"""An ensemble is one rule: the mean of its members, as a mouse and in the kernels."""

from __future__ import annotations

import pytest
import torch
from networks import FUSED_KINDS, neural_rule

from agents.ensemble import Ensemble
from agents.neural_rules import NEURAL_RULES
from twin.inference.unroll import Batch, unroll

FEATURES = ("stimulus", "bias")
FORMS = [{"core": "static"}, {"core": "reinforce-baseline"}, {"mirror": False, "gradient_form": False, "inputs": ["side"]}]


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
