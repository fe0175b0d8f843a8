"""Features of one side: their values by hand, what they mean beside the signed stimulus, and who cannot use them."""

from __future__ import annotations

import numpy as np
import pytest
from networks import neural_rule

from agents import RULES
from agents.features import design_matrix, feature_codes
from agents.neural.registry import NEURAL_RULES
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.fit import fit
from twin.simulation import simulate

SIDES = ("stimulus_left", "stimulus_right", "bias")
CONTRASTS = np.array([-1.0, -0.25, -0.0625, 0.0, 0.0625, 0.125, 0.5, 1.0])


def matrix(*features: str) -> np.ndarray:
    nothing = np.zeros(len(CONTRASTS), np.int8)
    return design_matrix(feature_codes(features), CONTRASTS, nothing, nothing, nothing > 0)


def test_a_side_is_its_scaled_contrast_and_zero_beside():
    left, right, bias = matrix(*SIDES).T
    scaled = np.tanh(5 * np.abs(CONTRASTS)) / np.tanh(5)
    assert left == pytest.approx(np.where(CONTRASTS < 0, scaled, 0.0), abs=1e-15)
    assert right == pytest.approx(np.where(CONTRASTS > 0, scaled, 0.0), abs=1e-15)
    assert (bias == 1).all()
    assert (right - left == matrix("stimulus")[:, 0]).all()


def test_static_weights_of_either_side_are_found():
    """20,000 trials of a mouse that sees the right side better; 95 % intervals of the three weights cover them."""
    true = {"stimulus_left": -1.5, "stimulus_right": 3.0, "bias": 0.3}
    cohort = Cohort(mice=1, rule="static", features=SIDES, parameters={"initial_weight": true})
    found = fit(Trials.from_rollout(simulate(cohort, "liu-2025", trials=20_000)), "static-glm")
    for column, value in zip(found.layout.index("initial_weight"), true.values(), strict=True):
        assert found.ci95[0, column, 0] < value < found.ci95[0, column, 1]
        assert found.theta[0, column] == pytest.approx(value, abs=0.25)


@pytest.mark.parametrize("rule", [name for name in RULES if name != "static"])
def test_mice_learn_either_side(rule):
    cohort = Cohort(mice=10, rule=rule, features=SIDES)
    rollout = simulate(cohort, "ibl-documented", trials=4000)
    assert rollout.reward.reshape(10, -1)[:, -500:].mean() > 0.65
    left, right, _ = rollout.weights.reshape(10, -1, 3)[:, -1].T
    assert (left < 0).all() and (right > 0).all()


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_mirror_symmetry_refuses_a_side(kind):
    with pytest.raises(ValueError, match=r"\['bias', 'stimulus_left'\]: .* set mirror = false or use 'stimulus'"):
        neural_rule(kind, ("bias", "stimulus_left"))
    assert neural_rule(kind, SIDES, mirror=False).features == SIDES


def test_network_without_the_symmetry_is_fitted(small):
    trials = Trials.from_rollout(small[1], SIDES)
    with pytest.raises(ValueError, match="set mirror = false"):
        fit(trials, "dnnglm")
    network = fit(trials, "dnnglm", mirror=False, epochs=20, hidden=8)
    static = fit(trials, "static-glm")
    assert network.log_likelihood(trials).sum() > static.log_likelihood(trials).sum() + 20


def test_a_network_at_random_takes_them_without_the_symmetry():
    network = {"mirror": False, "hidden": 8, "seed": 1}
    cohort = Cohort(mice=4, rule="rnn", features=SIDES, network=network)
    assert simulate(cohort, "ibl-documented", trials=2500).reward.reshape(4, -1)[:, -500:].mean() > 0.65
    with pytest.raises(ValueError, match="set mirror = false"):
        Cohort(rule="rnn", features=SIDES)
