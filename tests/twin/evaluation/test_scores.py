"""Comparisons of models: p where there is one, else why there is none."""

import numpy as np
import pytest

from twin.evaluation.scores import difference

ONES = np.ones((1, 200), bool)


def test_p_is_of_sums_over_blocks():
    a = np.random.default_rng(0).normal(0.02, 0.1, (1, 200))
    pair = difference("a", "b", a, np.zeros((1, 200)), ONES)
    sums = a.reshape(4, 50).sum(axis=1)
    z = sums.sum() / (sums.std(ddof=1) * 2)
    assert pair["difference"] == pytest.approx(a.mean())
    assert np.log(pair["p"]) == pytest.approx(np.log(2 * (1 - normal_cdf(abs(z)))), rel=1e-6)
    assert "reason" not in pair


def normal_cdf(z):
    from math import erf, sqrt

    return 0.5 * (1 + erf(z / sqrt(2)))


@pytest.mark.parametrize(
    ("change", "trials", "p", "reason"),
    [
        (0.0, 200, 1.0, None),
        (0.1, 200, None, "the same in every block"),
        (0.1, 50, None, "one block"),
        (0.1, 0, None, "no choices"),
        (np.nan, 200, None, "not finite"),
        (np.inf, 200, None, "not finite"),
    ],
)
def test_no_p_without_a_reason(change, trials, p, reason):
    mask = np.zeros((1, 200), bool)
    mask[:, :trials] = True
    pair = difference("a", "b", np.full((1, 200), change), np.zeros((1, 200)), mask)
    assert pair["p"] == p
    assert (reason in pair["reason"]) if reason else "reason" not in pair
