"""The decision: a logistic function that never overflows, and lapses that raise its floor and lower its ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from agents.policy import evidence, sigmoid, with_lapses


@pytest.mark.parametrize("logit", [-1000.0, -30.0, -1.5, 0.0, 0.3, 30.0, 1000.0])
def test_sigmoid(logit):
    assert sigmoid(logit) == pytest.approx(expit(logit), rel=1e-14)


def test_evidence_is_the_inner_product():
    assert evidence(np.array([2.0, -0.5, 0.0]), np.array([0.25, 1.0, 3.0])) == 0.0
    assert evidence(np.array([2.0, -0.5]), np.array([1.0, 1.0])) == 1.5


def test_lapses_are_the_distances_from_0_and_1():
    assert with_lapses(0.0, 0.1, 0.3) == pytest.approx(0.1)
    assert with_lapses(1.0, 0.1, 0.3) == pytest.approx(0.7)
    assert with_lapses(0.5, 0.1, 0.3) == pytest.approx(0.4)
