"""Psychometric curve, fits and what is reported of them, against psychofit's procedure written out with scipy."""

import math

import numpy as np
import pytest
from rollouts import rollout
from scipy.optimize import fmin
from scipy.special import erf

from twin.evaluation.psychometric.curve import describe_choices, fit_psychometric, judged_fit, psychometric
from twin.evaluation.session_summary import summarise_rollout, summarise_sessions

FULL = np.array([-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100])
BIASED = np.array([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100])
EASY = np.array([-100.0, -50, 50, 100])
EPS = np.finfo(float).eps


def oracle_nll(point, levels, n, p_right, low, high):
    """Section 4 of the task notes: binomial, clipped, 1e7 outside the bounds."""
    if np.any(point < low) or np.any(point > high):
        return 1e7
    p = point[2] + (1 - point[2] - point[3]) * (erf((levels - point[0]) / point[1]) + 1) / 2
    p = np.clip(p, EPS, 1 - EPS)
    return -np.sum(n * (p_right * np.log(p) + (1 - p_right) * np.log(1 - p)))


def bounds_of(levels):
    """ibllib compute_psychometric(plotting=False): low and high of bias, threshold, lapses."""
    return np.array([min(levels), 0, 0, 0]), np.array([max(levels), 100, 1, 1])


def psychofit(levels, n, p_right, rng):
    """Best likelihood of five Nelder-Mead searches: the usual start, then uniform ones."""
    start = np.array([levels.mean(), 20, 0.05, 0.05])
    low, high = bounds_of(levels)
    best = math.inf
    for _ in range(5):
        point = fmin(oracle_nll, start, args=(levels, n, p_right, low, high), disp=False)
        best = min(best, oracle_nll(point, levels, n, p_right, low, high))
        start = low + rng.random(4) * (high - low)
    return best


def dataset(rng, levels, trials, point):
    n = np.maximum(rng.poisson(trials, levels.size), 1)
    return levels, n, rng.binomial(n, psychometric(levels, *point)) / n


def test_curve_has_floor_ceiling_and_no_square_root_of_two():
    p = psychometric([-1000, 5, 25, 1000], 5, 20, 0.1, 0.3)
    assert p == pytest.approx([0.1, 0.1 + 0.6 / 2, 0.1 + 0.6 * (math.erf(1) + 1) / 2, 0.7])
    assert psychometric(np.zeros((2, 3)), 0, 20, 0, 0).shape == (2, 3)


@pytest.mark.parametrize("levels", [FULL, BIASED, EASY], ids=["full", "biased", "easy"])
def test_likelihood_is_at_least_that_of_psychofit(levels):
    rng = np.random.default_rng(levels.size)
    for trials in (4, 8, 15, 60, 300) * 2:
        point = rng.uniform(-30, 30), rng.uniform(2, 60), *rng.uniform(0, 0.3, 2)
        data = dataset(rng, levels, trials, point)
        assert fit_psychometric(*data).nll <= psychofit(*data, rng) + 2e-4


def test_reported_likelihood_is_that_of_the_reported_curve_and_inside_the_bounds():
    rng = np.random.default_rng(3)
    for trials in (3, 30, 300) * 3:
        levels, n, p = dataset(rng, FULL, trials, (*rng.uniform(-40, 40, 1), 15, *rng.uniform(0, 0.9, 2)))
        fit = fit_psychometric(levels, n, p)
        assert fit.nll == pytest.approx(oracle_nll(np.array(fit[:4]), levels, n, p, *bounds_of(levels)), abs=1e-6)


def test_known_parameters_are_recovered_within_their_standard_errors():
    rng = np.random.default_rng(4)
    truth = np.array([-4.0, 18.0, 0.06, 0.1])
    n = np.full((400, FULL.size), 150)
    drawn = rng.binomial(n, psychometric(FULL, *truth)) / n
    fits = np.array([fit_psychometric(FULL, *row)[:4] for row in zip(n, drawn, strict=True)])
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


def test_choices_are_described_without_no_gos():
    contrast = np.array([1, 1, 1, 1, -1, 0.0, -0.0, 0.5])
    choice = np.array([1, 1, -1, 0, 0, 1, -1, -1])
    summary = summarise_sessions(contrast, choice, *np.zeros((3, 8)), [0, 3, 8])
    both = describe_choices(summary, np.array([0, 1]))
    assert (both["levels"], both["choices"], both["right"]) == ([-100, 0, 100], [1, 1, 3], [0, 1, 2])
    assert both["p"] == pytest.approx([0, 1, 2 / 3])
    assert both["fit"] is None and both["reason"] == "no rising curve: 3 of the 4 contrasts that a fit needs"
    assert describe_choices(summary, np.array([0]))["levels"] == [100]
    assert describe_choices(summary, np.array([], int))["levels"] == []


def test_described_curve_is_the_fit_of_the_pooled_sessions():
    data = rollout(mice=2, sessions=4, trials=300)
    here = (data.session > 0) & (data.choice >= 0)
    levels = np.unique(data.contrast)
    p = [np.mean(data.choice[here & (data.contrast == level)]) for level in levels]
    n = [np.sum(here & (data.contrast == level)) for level in levels]
    described = describe_choices(summarise_rollout(data), np.flatnonzero(data.sessions.session > 0))
    assert described["choices"] == n and described["p"] == p
    fit = fit_psychometric(100 * levels.astype(float), n, p)
    assert described["fit"] == {key: getattr(fit, key) for key in ("threshold", "bias", "lapse_low", "lapse_high")}
    assert described["reason"] is None


@pytest.mark.parametrize(
    ("truth", "reason", "fitted"),
    [((0, 20, 0.6, 0.7), "no rising curve", False), ((0, 1, 0.2, 0.2), "no contrast on the slope", True)],
)
def test_what_a_curve_does_not_determine_is_said(truth, reason, fitted):
    data = rollout(sessions=2, trials=500, contrasts=(-1, -0.5, 0.5, 1), truth=truth)
    described = describe_choices(summarise_rollout(data), np.arange(len(data.sessions.start)))
    assert described["reason"] == reason
    assert (described["fit"] is not None) == fitted


def test_errors_say_what_was_given_and_expected():
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\), \(3,\); give the same \(L,\)"):
        fit_psychometric([0, 1], [1, 1, 1], [0, 0, 0])


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ((0, 150, 0, 0), "threshold at its bound of 100 %"),
        ((140, 60, 0, 0), "bias at its bound, the outermost contrast of +100 %"),
        ((-140, 60, 0, 0), "bias at its bound, the outermost contrast of -100 %"),
        ((5, 20, 0.05, 0.1), None),
    ],
)
def test_a_parameter_at_its_bound_is_no_estimate(truth, reason):
    fit, found = judged_fit(FULL, np.full(FULL.size, 400), psychometric(FULL, *truth))
    assert fit is not None and found == reason
