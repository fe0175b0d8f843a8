"""Psychometric curve, summaries and fits, against psychofit's procedure written out with scipy."""

import math

import numpy as np
import pytest
from scipy.optimize import fmin
from scipy.special import erf

from twin.evaluation.psychometric.curve import (
    ELIFE,
    PLOTS,
    STATUS,
    Bounds,
    fit_psychometric,
    fit_psychometrics,
    psychometric,
    summarise,
)

FULL = np.array([-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100])
BIASED = np.array([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100])
EASY = np.array([-100.0, -50, 50, 100])
EPS = np.finfo(float).eps


def oracle_nll(theta, levels, n, p_right, low, high):
    """Section 4 of the task notes: binomial, clipped, 1e7 outside the bounds."""
    if np.any(theta < low) or np.any(theta > high):
        return 1e7
    p = theta[2] + (1 - theta[2] - theta[3]) * (erf((levels - theta[0]) / theta[1]) + 1) / 2
    p = np.clip(p, EPS, 1 - EPS)
    return -np.sum(n * (p_right * np.log(p) + (1 - p_right) * np.log(1 - p)))


def psychofit(levels, n, p_right, bounds, rng):
    """Best likelihood of five Nelder-Mead searches: the usual start, then uniform ones."""
    start, low, high = (
        np.where(np.isnan(row), value, row)
        for row, value in zip(bounds.table, (levels.mean(), levels.min(), levels.max()), strict=True)
    )
    best = math.inf
    for _ in range(5):
        theta = fmin(oracle_nll, start, args=(levels, n, p_right, low, high), disp=False)
        best = min(best, oracle_nll(theta, levels, n, p_right, low, high))
        start = low + rng.random(4) * (high - low)
    return best


def dataset(rng, levels, trials, theta):
    n = np.maximum(rng.poisson(trials, levels.size), 1)
    return levels, n, rng.binomial(n, psychometric(levels, *theta)) / n


def test_curve_has_floor_ceiling_and_no_square_root_of_two():
    p = psychometric([-1000, 5, 25, 1000], 5, 20, 0.1, 0.3)
    assert p == pytest.approx([0.1, 0.1 + 0.6 / 2, 0.1 + 0.6 * (math.erf(1) + 1) / 2, 0.7])
    assert psychometric(np.zeros((2, 3)), 0, 20, 0, 0).shape == (2, 3)


def test_bounds_are_those_of_the_three_uses():
    assert STATUS.table[:, 1:].tolist() == [[20, 0.05, 0.05], [0, 0, 0], [100, 1, 1]]
    assert PLOTS.table.tolist() == [[0, 40, 0.1, 0.1], [-50, 10, 0, 0], [50, 50, 0.2, 0.2]]
    assert ELIFE.table[:, 1].tolist() == [20, 5, 40] and ELIFE.start[0] == 0
    assert np.isnan(STATUS.table[:, 0]).all() and np.isnan(ELIFE.table[1:, 0]).all()


def test_no_go_counts_in_the_denominator_or_not_at_all():
    contrast = np.array([1, 1, 1, 1, -1, 0.0, -0.0, 0.5])
    choice = np.array([1, 1, -1, 0, 0, 1, -1, -1])
    levels, n, p = summarise(contrast, choice)
    assert levels.tolist() == [-100, 0, 50, 100] and n.tolist() == [1, 2, 1, 4]
    assert p == pytest.approx([0, 0.5, 0, 0.5])
    _, n, p = summarise(contrast, choice, no_go="excluded")
    assert n.tolist() == [1, 1, 0, 3]
    assert p == pytest.approx([0, 1, np.nan, 2 / 3], nan_ok=True)


@pytest.mark.parametrize("bounds", [STATUS, PLOTS, ELIFE], ids=["status", "plots", "elife"])
@pytest.mark.parametrize("levels", [FULL, BIASED, EASY], ids=["full", "biased", "easy"])
def test_likelihood_is_at_least_that_of_psychofit(bounds: Bounds, levels):
    rng = np.random.default_rng([levels.size, int(bounds.high[1])])
    for trials in (4, 8, 15, 60, 300):
        theta = rng.uniform(-30, 30), rng.uniform(2, 60), *rng.uniform(0, 0.3, 2)
        data = dataset(rng, levels, trials, theta)
        assert fit_psychometric(*data, bounds).nll <= psychofit(*data, bounds, rng) + 2e-4


def test_reported_likelihood_is_that_of_the_reported_curve_and_inside_the_bounds():
    rng = np.random.default_rng(3)
    for bounds in (STATUS, PLOTS, ELIFE):
        for trials in (3, 30, 300):
            levels, n, p = dataset(rng, FULL, trials, (*rng.uniform(-40, 40, 1), 15, *rng.uniform(0, 0.9, 2)))
            fit = fit_psychometric(levels, n, p, bounds)
            _, low, high = np.where(np.isnan(bounds.table), [[0.0], [-100.0], [100.0]], bounds.table)
            assert fit.nll == pytest.approx(oracle_nll(np.array(fit[:4]), levels, n, p, low, high), abs=1e-6)


def test_known_parameters_are_recovered_within_their_standard_errors():
    rng = np.random.default_rng(4)
    truth = np.array([-4.0, 18.0, 0.06, 0.1])
    n = np.full((400, FULL.size), 150)
    fits = fit_psychometrics(FULL, n, rng.binomial(n, psychometric(FULL, *truth)) / n)[:, :4]
    error, spread = fits.mean(0) - truth, fits.std(0)
    assert np.all(np.abs(error) < 0.35 * spread)  # the estimator's own bias, and sampling of 400 fits
    assert np.all(spread < [2.5, 5.0, 0.03, 0.03])
    exact = fit_psychometric(FULL, n[0], psychometric(FULL, *truth))
    assert exact[:4] == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("p", [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.3, 0.8]])
def test_two_levels_are_fitted_perfectly(p):
    n = np.array([20, 30])
    q = np.clip(p, EPS, 1 - EPS)
    saturated = -np.sum(n * (np.array(p) * np.log(q) + (1 - np.array(p)) * np.log(1 - q)))
    fit = fit_psychometric([-100, 100], n, p)
    assert fit.nll == pytest.approx(saturated, abs=1e-4)
    assert psychometric([-100, 100], *fit[:4]) == pytest.approx(p, abs=1e-3)


def test_a_perfect_step_and_a_single_level_and_constant_choices_are_fitted():
    assert fit_psychometric(FULL, np.full(11, 50), FULL > 5).nll < 1e-4
    assert fit_psychometric(FULL, np.full(11, 50), np.ones(11)).nll < 1e-4
    one = fit_psychometric([0.0], [10], [0.3])
    assert one.bias == 0 and one.nll == pytest.approx(-10 * (0.3 * math.log(0.3) + 0.7 * math.log(0.7)), abs=1e-4)


def test_without_trials_everything_is_nan():
    assert np.isnan(fit_psychometric([], [], [])).all()
    assert np.isnan(fit_psychometric([-1, 1], [0, 0], [np.nan, np.nan])).all()


def test_empty_levels_and_their_order_do_not_matter():
    rng = np.random.default_rng(5)
    levels, n, p = dataset(rng, BIASED, 80, (3, 20, 0.05, 0.1))
    fit = fit_psychometric(levels, n, p)
    assert fit_psychometric(levels[::-1], n[::-1], p[::-1]) == fit
    assert fit_psychometric([-50, *levels, 50], [0, *n, 9], [0.2, *p, np.nan]) == fit


def test_batches_equal_single_fits_and_repeat_exactly():
    rng = np.random.default_rng(6)
    rows = [dataset(rng, FULL, 40, (rng.uniform(-20, 20), 15, 0.1, 0.1)) for _ in range(5)]
    levels, n, p = (np.array(column) for column in zip(*rows, strict=True))
    batch = fit_psychometrics(FULL, n, p)
    assert np.array_equal(batch, fit_psychometrics(levels, n, p))
    assert np.array_equal(batch, [fit_psychometric(*row) for row in rows])


def test_errors_say_what_was_given_and_expected():
    with pytest.raises(ValueError, match=r"\(2,\), \(1, 3\).*give \(L,\)"):
        fit_psychometric([0, 1], [1, 1, 1], [0, 0, 0])
    with pytest.raises(ValueError, match="starts is 0"):
        fit_psychometric([0], [1], [0], starts=0)
    with pytest.raises(ValueError, match=r"choice \(2,\)"):
        summarise([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="no_go is 'drop'"):
        summarise([0], [0], no_go="drop")  # type: ignore[arg-type]
