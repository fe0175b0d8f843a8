"""The compiled likelihood against autograd through the same rule, and maximum likelihood against the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents import RULES, Layout
from agents.closed_form import BatchRule
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.engine import job_pool
from twin.inference.closed_form.fit import _as_population, _start, fit_rule
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.closed_form.optimum import Problem
from twin.inference.neural.unroll import Batch, unroll
from twin.simulation import simulate

FEATURES = ("stimulus", "bias", "previous_choice")


def theta_of(layout: Layout, seed: int = 3) -> np.ndarray:
    """Parameters in the middle of things, different in every column."""
    draws = np.random.default_rng(seed).uniform(0.5, 1.0, len(layout.names))
    names = {"baseline": -0.3, "decay": 0.8, "forgetting": 0.01, "initial_weight": 0.7, "lapse_low": 0.05, "lapse_high": 0.08}
    return draws * [names.get(n.split(".")[0], 0.1 if "rate" in n else 0.0) for n in layout.names]


def torch_nll(layout: Layout, theta: torch.Tensor, trials: Trials) -> torch.Tensor:
    """The likelihood by a route of its own: the loop of `unroll` in torch, lapses added by hand."""
    names = list(layout.names)

    def column(name: str, feature: str) -> torch.Tensor:
        return theta[names.index(f"{name}.{feature}" if f"{name}.{feature}" in names else name)]

    nothing = torch.zeros(0, dtype=torch.float64)
    rows = [[column(p.name, f) for p in layout.rule.parameters] for f in FEATURES]
    rule = torch.stack([torch.stack(row) if row else nothing for row in rows])[None]
    w0 = torch.stack([column("initial_weight", f) for f in FEATURES])[None]
    batch = Batch.of(trials, torch.float64)
    logits, _ = unroll(BatchRule(layout.rule, rule, w0), batch)
    low, high = theta[names.index("lapse_low")], theta[names.index("lapse_high")]
    p = low + (1 - low - high) * torch.sigmoid(logits)
    right = batch.choice[..., 0]
    return -(torch.log(torch.where(right == 1, p, 1 - p)) * torch.as_tensor(trials.mask)).sum()


@pytest.mark.parametrize("rule", RULES)
def test_complex_step_is_autograd(rule):
    cohort = Cohort(mice=1, rule=rule, features=FEATURES)
    rollout = simulate(cohort, trials=250, seed=2)
    rollout.columns["choice"][::17] = -1  # trials without a choice teach nothing and count for nothing
    trials = Trials.from_rollout(rollout)
    layout = Layout(RULES[rule], FEATURES)
    theta = theta_of(layout)
    free = [i for i, n in enumerate(layout.names) if "noise" not in n]
    ours = MouseLikelihood(trials, 0, layout).evaluate(theta, free)
    variable = torch.tensor(theta, requires_grad=True)
    oracle = torch_nll(layout, variable, trials)
    oracle.backward()
    gradient = variable.grad.numpy()[free]
    assert ours.nll == pytest.approx(oracle.item(), rel=1e-12)
    assert np.abs(ours.gradient - gradient).max() <= 1e-10 * np.abs(gradient).max()


@pytest.mark.parametrize("rule", RULES)
def test_value_with_derivatives_is_the_value_along_the_path(rule, small):
    """Two compiled runs, one in complex and one in real numbers, and the derivatives one by one as all at once."""
    layout = Layout(RULES[rule], small[2].features)
    likelihood = MouseLikelihood(small[2], 1, layout)
    theta = theta_of(layout)
    free = list(range(len(layout.names)))
    every = likelihood.evaluate(theta, free)
    assert every.nll == pytest.approx(-likelihood.log_likelihood(theta).sum(), rel=1e-12)
    assert likelihood.evaluate(theta, []).nll == pytest.approx(every.nll, rel=1e-12)
    for column in (0, layout.index("initial_weight")[1], layout.index("lapse_high")[0]):
        one = likelihood.evaluate(theta, [column])
        assert one.gradient[0] == pytest.approx(every.gradient[column], rel=1e-10, abs=1e-12)
        assert one.information[0, 0] == pytest.approx(every.information[column, column], rel=1e-10, abs=1e-12)
    assert np.array_equal(every.information, every.information.T)


def test_impossible_choices_have_no_likelihood(small):
    """Weights so strong that a choice against them has probability 0: infinite, and an error in no number."""
    layout = Layout(RULES["static"], small[2].features)
    theta = layout.defaults()
    theta[layout.index("initial_weight")] = 1e5
    found = MouseLikelihood(small[2], 0, layout).evaluate(theta, layout.index("initial_weight"))
    assert found.nll == np.inf
    assert np.isfinite(found.gradient).all() and np.isfinite(found.information).all()


def test_mice_are_fitted_alike_in_any_company(small):
    """Alone, a mouse's fit does not depend on the others or on the threads; every mouse is reported twice."""
    trials, rule, told = small[2], RULES["reinforce-baseline"], []
    together = fit_rule(trials, rule, done=lambda: told.append(1))
    for m in range(len(trials.ids)):
        one = fit_rule(trials.of_mice([m]), rule)
        assert np.array_equal(one.theta[0], together.theta[m])
        assert np.array_equal(one.ci95[0], together.ci95[m], equal_nan=True)
    assert len(told) == 8


def test_population_is_where_likelihood_and_prior_are_in_balance(small):
    """Each mouse of a population is at the maximum of its likelihood times the prior: found anew from elsewhere."""
    trials, rule = small[2], RULES["reinforce-baseline"]
    layout = Layout(rule, trials.features).within({"baseline": rule.parameters[1].stable})
    start = _start(layout, (), {})
    problems = [Problem(MouseLikelihood(trials, m, layout), *start) for m in range(len(trials.ids))]
    with job_pool("threads", 2) as pool:
        problems, optima = _as_population(problems, pool, lambda: None)
    for problem, best in zip(problems, optima, strict=True):
        other = problem.maximise(problem.prior.mean + 0.3 / np.sqrt(problem.prior.precision))
        assert best.converged
        assert best.nll <= other.nll + 1e-3
        assert best.theta[problem.columns] == pytest.approx(other.theta[problem.columns], abs=0.01)
    assert np.array_equal([o.theta for o in optima], fit_rule(trials, rule, population=True).theta)


def test_information_is_the_variance_of_the_score():
    cohort = Cohort(mice=300, rule="reinforce", parameters={"rate": 0.1})
    rollout = simulate(cohort, "constant", trials=200, seed=4)
    trials = Trials.from_rollout(rollout)
    found = [MouseLikelihood(trials, m, cohort.layout).evaluate(rollout.theta[m], [0, 2]) for m in range(300)]
    scores, information = np.array([f.gradient for f in found]), np.mean([f.information for f in found], axis=0)
    z = scores.mean(axis=0) / np.sqrt(np.diag(information) / 300)
    assert np.abs(z).max() < 3.5
    assert np.diag(np.cov(scores.T)) == pytest.approx(np.diag(information), rel=0.35)


def test_static_rule_is_logistic_regression():
    rollout = simulate(
        Cohort(mice=1, rule="static", parameters={"initial_weight": {"stimulus": 2.0, "bias": 0.5}}), trials=2000
    )
    trials = Trials.from_rollout(rollout)
    fit = fit_rule(trials, RULES["static"])
    x, y, w = trials.x[0][trials.mask[0]], trials.choice[0][trials.mask[0]], np.zeros(2)
    for _ in range(30):  # Newton's method
        p = 1 / (1 + np.exp(-x @ w))
        w = w + np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (y - p))
    assert fit.theta[0, :2] == pytest.approx(w, abs=1e-5)
    half = 1.96 * np.sqrt(np.diag(np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)))
    assert fit.ci95[0, :2, 1] - fit.theta[0, :2] == pytest.approx(half, rel=0.1)


def test_intervals_cover_the_truth():
    """50 mice of 5,000 trials: 95 % intervals cover rate and baseline in 43 to 50 (binomial 99.7 % range)."""
    cohort = Cohort(mice=50, parameters={"rate": 0.06, "baseline": -0.2})
    rollout = simulate(cohort, trials=5000, seed=3)
    fit = fit_rule(Trials.from_rollout(rollout), RULES["reinforce-baseline"])
    for column in (0, 1):
        low, high = fit.ci95[:, column].T
        true = rollout.theta[:, column]
        assert 43 <= np.sum((low <= true) & (true <= high)) <= 50
    assert fit.converged.mean() > 0.9


def test_lapses_that_are_fitted_are_found():
    """Their default is a bound, from which the fit must get away; 95 % intervals cover the truth in 5 of 6 mice or more."""
    cohort = Cohort(mice=6, rule="reinforce", parameters={"rate": 0.1, "lapse_low": 0.1})
    rollout = simulate(cohort, "ibl-documented", trials=3000, seed=2)
    fitted = fit_rule(Trials.from_rollout(rollout), RULES["reinforce"], free=("lapse_low",))
    lapse = fitted.theta[:, fitted.layout.index("lapse_low")[0]]
    low, high = fitted.ci95[:, fitted.layout.index("lapse_low")[0]].T
    assert lapse.mean() == pytest.approx(0.1, abs=0.02)
    assert np.sum((low <= 0.1) & (high >= 0.1)) >= 5
    true = fit_rule(Trials.from_rollout(rollout), RULES["reinforce"], fixed={"lapse_low": 0.1})
    assert (fitted.nll <= true.nll + 1e-3).all()


def test_real_mouse_is_better_explained_by_learning_than_by_a_static_glm(real_mouse):
    from twin.data.formats import read

    train, future = Trials.from_rollout(read(real_mouse)).split(500)
    static, learning = (fit_rule(train, RULES[rule]) for rule in ("static", "reinforce-baseline"))
    assert learning.nll[0] == pytest.approx(4768.2, abs=1)
    assert learning.log_likelihood(future).sum() > static.log_likelihood(future).sum() + 40
