"""Measures of recovery, on fits whose errors are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.closed_form import as_mice
from twin.cohort import Cohort
from twin.evaluation.recovery import errors, paper_grid, recovery, true_update
from twin.evaluation.scores import compare, difference
from twin.inference.fit import Fit, fit


class Faster:
    """Mice of a rule whose updates are larger by a factor."""

    def __init__(self, mice, factor):
        self.mice, self.factor = mice, factor

    def init(self, n_mice):
        return self.mice.init(n_mice)

    def learn(self, state, *trial):
        after = self.mice.learn(state, *trial)
        return after._replace(weights=state.weights + self.factor * (after.weights - state.weights))


class Exact(Fit):
    """The truth, with the update wrong by a factor; a kind of fit that nothing else knows of."""

    features = ("stimulus", "bias")

    def __init__(self, cohort, rollout, trials, factor=1.0):
        self.cohort, self.rollout, self.factor, self.ids = cohort, rollout, factor, trials.ids

    def agents(self, mice, initial_weights):
        of_rule = self.cohort.layout.unpack(self.rollout.theta[mice]).rule_parameters
        return Faster(as_mice(self.cohort.learning_rule, of_rule, initial_weights), self.factor)

    def known_rule(self): ...

    def adapted(self, trials): ...

    def card(self, about): ...

    def _of_mice(self, rows): ...

    def _weights(self, trials):
        return self.rollout.weights.reshape(trials.x.shape).astype(float) + (self.factor - 1)

    def _log_likelihood(self, trials):
        p = self.rollout.p_right.reshape(trials.choice.shape)
        return np.where(trials.mask, np.log(np.where(trials.choice == 1, p, 1 - p)), 0.0)


def test_grid_is_the_papers():
    """Liu, Geadah & Pillow: the true update at a = 2^-4 has an rms of .0324 on the grid."""
    grid = paper_grid(("scaled_contrast", "bias"))
    assert len(grid.w) == 17 * 17 * 3 * 2
    cohort = Cohort(mice=1, rule="reinforce", features=("scaled_contrast", "bias"), parameters={"rate": 2**-4})
    update = true_update(cohort, cohort.theta(1)[0], grid)[:, 0]
    assert np.sqrt(np.mean(update**2)) == pytest.approx(0.0324, abs=0.0004)


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_known_errors(factor, small):
    cohort, rollout, trials = small
    found = recovery(Exact(*small, factor), cohort, rollout, trials)
    assert found["relative_rmse"] == pytest.approx(factor - 1, abs=1e-12)
    assert found["relative_rmse_visited"] == pytest.approx(factor - 1, abs=1e-12)
    assert found["weights_rmse"] == pytest.approx(factor - 1, abs=1e-7)
    assert found["nll_per_trial"] == pytest.approx(found["true_nll_per_trial"], abs=1e-6)
    assert (found["r2"] == 1) == (factor == 1)


def test_errors_by_hand():
    found = errors(np.array([1.0, -1.0, 2.0]), np.array([1.0, 0.0, 2.0]))
    assert found["rmse"] == pytest.approx(np.sqrt(1 / 3))
    assert found["relative_rmse"] == pytest.approx(np.sqrt(1 / 6))
    assert found["r2"] == pytest.approx(1 - 1 / (6 - 4 / 3))


def test_spread_of_an_ensemble(small):
    cohort, rollout, trials = small
    many, alone = (fit(trials, "dnnglm", epochs=3, hidden=6, base_rule="static", members=n) for n in (3, 1))
    found = recovery(many, cohort, rollout, trials)["relative_spread"]
    grid = paper_grid(trials.features)
    each = [member.as_mice(grid.w) for member in many.rule.members]
    columns = grid.x, grid.choice[:, None], grid.reward[:, None], np.zeros((len(grid.w), 1))
    updates = [mice.learn(mice.init(len(grid.w)), *columns).weights.numpy()[:, 0] - grid.w[:, 0] for mice in each]
    by_hand = np.sqrt(np.var(updates, axis=0, ddof=1).mean() / np.mean(np.mean(updates, axis=0) ** 2))
    assert found == pytest.approx(by_hand, rel=1e-4)
    assert "relative_spread" not in recovery(alone, cohort, rollout, trials)


def test_parameters_come_with_their_truth(small):
    cohort, rollout, trials = small
    found = recovery(fit(trials, "reinforce-baseline"), cohort, rollout, trials)["parameters"]
    assert found["rate"]["true"] == [0.1] * 4
    assert len(found["rate"]["ci95"]) == 4
    assert 0 <= found["baseline"]["covered"] <= 1
    assert "lapse_low" not in found


def test_scores_stand_beside_chance_and_a_static_glm(small):
    train, future = small[2].split(100)
    found = compare({"reinforce": (fit(train, "reinforce"), 0.5)}, train, future)
    models = found["models"]
    assert models["chance"]["future_ll_per_trial"] == pytest.approx(np.log(0.5))
    assert models["reinforce"]["future_ll_per_trial"] > models["static-glm"]["future_ll_per_trial"]
    pair = found["comparisons"][0]
    assert {pair["a"], pair["b"]} == {"static-glm", "reinforce"}
    by_hand = models[pair["a"]]["future_ll_per_trial"] - models[pair["b"]]["future_ll_per_trial"]
    assert pair["difference"] == pytest.approx(by_hand)


def test_difference_of_nothing_is_nothing():
    ll = np.log(np.random.default_rng(0).uniform(0.2, 0.9, (2, 500)))
    mask = np.ones((2, 500), bool)
    assert difference("a", "b", ll, ll, mask)["difference"] == 0
    noise = np.random.default_rng(1).normal(0, 0.1, ll.shape)
    assert difference("a", "b", ll, ll + noise - 0.1, mask)["p"] < 1e-6
    assert difference("a", "b", ll, ll + noise - noise.mean(), mask)["p"] > 0.05
