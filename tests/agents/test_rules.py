"""Every rule on hand-worked trials: w = (1, 0), x = (.5, 1), so the logit is .5 and p = .622459."""

from __future__ import annotations

import numpy as np
import pytest

from agents import RULES, Layout
from agents.closed_form import BatchRule

P = 1 / (1 + np.exp(-0.5))
X, W = np.array([[0.5, 1.0]]), np.array([[1.0, 0.0]])


def after(rule: str, trials: list[tuple[int, int]], **parameters: float) -> np.ndarray:
    """Weights after trials (choice, reward) at a P(right) held at P; the rule alone is under test."""
    layout = Layout(RULES[rule], ("stimulus", "bias"))
    theta = layout.defaults()
    for name, value in parameters.items():
        theta[layout.index(name)] = value
    mice = BatchRule(RULES[rule], layout.unpack(theta[None]).rule_parameters, W)
    state = mice.init(1)
    for choice, reward in trials:
        state = mice.learn(state, X, *(np.array([[float(v)]]) for v in (choice, reward)), np.array([[P]]))
    return state.weights[0]


@pytest.mark.parametrize(
    ("rule", "parameters", "trials", "change"),
    [
        ("static", {}, [(1, 1)], 0.0),
        ("reinforce", {"rate": 0.1}, [(1, 1)], 0.1 * (1 - P)),
        ("reinforce", {"rate": 0.1}, [(0, 1)], -0.1 * P),
        ("reinforce", {"rate": 0.1}, [(1, 0)], 0.0),
        ("reinforce-baseline", {"rate": 0.1, "baseline": -0.5}, [(1, 0)], 0.1 * 0.5 * (1 - P)),
        ("reinforce-baseline", {"rate": 0.1, "baseline": 0.4}, [(0, 1)], -0.1 * 0.6 * P),
        ("reward-max", {"rate": 0.1}, [(1, 1)], 0.1 * P * (1 - P) / 0.5),
        ("reward-max", {"rate": 0.1}, [(1, 0)], -0.1 * P * (1 - P) / 0.5),
        ("reward-max", {"rate": 0.1}, [(0, 0)], 0.1 * P * (1 - P) / 0.5),
        ("predict-max", {"rate": 0.1}, [(1, 1)], 0.1 * (1 - P)),
        ("predict-max", {"rate": 0.1}, [(1, 0)], -0.1 * P),
        ("predict-max", {"rate": 0.1}, [(0, 0)], 0.1 * (1 - P)),
        ("window", {"rate": 0.1}, [(1, 1), (0, 1)], 0.1 * (1 - P) + 0.1 * (1 - P - P)),
        ("window", {"rate": 0.1}, [(1, 0), (0, 0)], 0.0),
        ("window", {"rate": 0.1}, [(1, 0), (0, 1)], 0.1 * (1 - P - P)),  # one of two rewarded is at least half
        ("eligibility", {"rate": 0.1, "decay": 0.5}, [(1, 0), (1, 1)], 0.1 * 1.5 * (1 - P)),
        ("learned-critic", {"rate": 0.1, "critic_rate": 0.2}, [(1, 1), (1, 1)], 0.1 * (1 + 0.8) * (1 - P)),
    ],
)
def test_hand_worked(rule, parameters, trials, change):
    assert after(rule, trials, **parameters) == pytest.approx(W[0] + change * X[0], rel=1e-12)


def test_full_mouse_has_its_own_rate_per_weight_and_side_and_forgets():
    parameters = {"rate_left.stimulus": 0.1, "rate_right.stimulus": 0.2, "rate_left.bias": 0.3, "rate_right.bias": 0.4}
    parameters |= {"baseline.stimulus": 0.25, "baseline.bias": -0.5, "forgetting.stimulus": 0.01, "forgetting.bias": 0.02}
    right = after("full-mouse", [(1, 1)], **parameters)
    left = after("full-mouse", [(0, 0)], **parameters)
    assert right == pytest.approx([1 + 0.2 * 0.75 * (1 - P) * 0.5 - 0.01, 0.4 * 1.5 * (1 - P)])
    assert left == pytest.approx([1 + 0.1 * -0.25 * -P * 0.5 - 0.01, 0.3 * 0.5 * -P])


def test_window_forgets_what_left_it():
    trials = [(1, 1)] + [(0, 1)] * 10
    expected = sum(0.1 * ((1 - P) * (t < 10) - P * min(t, 10)) for t in range(11))
    assert after("window", trials, rate=0.1) == pytest.approx(W[0] + expected * X[0])


@pytest.mark.parametrize("rule", RULES)
def test_a_trial_without_a_choice_changes_nothing(rule):
    layout = Layout(RULES[rule], ("stimulus", "bias"))
    mice = BatchRule(RULES[rule], layout.unpack(layout.defaults()[None]).rule_parameters, W)
    column = [np.array([[v]]) for v in (1.0, 1.0, P)]
    before = mice.learn(mice.init(1), X, *column)
    nothing = mice.learn(before, X, np.array([[-1.0]]), np.array([[0.0]]), np.array([[P]]))
    once, twice = mice.learn(before, X, *column), mice.learn(nothing, X, *column)
    assert (once.weights == twice.weights).all()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_documented(rule):
    assert RULES[rule].reference
    for p in RULES[rule].parameters:
        assert p.doc
        assert p.unit
        assert p.low <= p.default <= p.high
        assert float(p.natural(p.free(p.default + 1e-3 * (p.low == p.default)))) == pytest.approx(p.default, abs=2e-3)
