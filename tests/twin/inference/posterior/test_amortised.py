"""Summaries of mice for an amortised posterior: finite whatever a mouse does, and what they say they are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from scenarios.amortised import mice_of_prior
from scenarios.summaries import logistic, of_choices, of_lags


@pytest.fixture(scope="module")
def trials():
    return mice_of_prior(seed=1, mice=6, trials=700).trials


def test_summaries_are_finite(trials):
    found = np.array([of_choices(trials, m) for m in range(6)])
    assert np.isfinite(found).all() and found.std(axis=0).max() > 0


def test_summaries_of_a_mouse_that_never_answers_or_always_turns_right_are_finite(trials):
    for choice in (-1, 1):
        assert np.isfinite(of_choices(replace(trials, choice=np.full_like(trials.choice, choice)), 0)).all()


def test_weights_are_the_most_probable_ones_of_each_group(trials):
    made = trials.choice[0] >= 0
    x, choice = trials.x[0, made, 0], trials.choice[0, made]
    group = np.arange(len(x)) % 2
    found = logistic(x, choice, group, 2)
    for k in range(2):

        def loss(w, own=group == k):
            logit = w[0] * x[own] + w[1]
            return np.sum(np.logaddexp(0, logit) - choice[own] * logit) + np.sum(w**2) / 8

        assert found[:, k] == pytest.approx(minimize(loss, np.zeros(2)).x, abs=1e-3)


def test_errors_of_one_day_go_together_and_those_of_two_do_not():
    day = np.repeat([0, 1], 300)
    error = np.where(day, -0.5, 0.5)
    found = of_lags(np.ones(600), error, day)
    assert found[:2, :5] == pytest.approx(0.25, abs=1e-3) and (found[2:, :5] < 0).all()
