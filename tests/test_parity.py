"""One definition of each thing: every driver gives the same trials, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from parity import CASES, EVERY, SEED, TRIALS, assert_same, by_gymnasium, cohort, columns_of, without_compiler

from agents import RULES, rules
from twin.simulation import simulate


@pytest.fixture(scope="module")
def fused():
    return {case: columns_of(simulate(cohort(case[0]), case[1], trials=TRIALS, seed=SEED)) for case in EVERY}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return without_compiler(tmp_path_factory.mktemp("parity"))


@pytest.mark.parametrize("case", EVERY)
def test_stepped_is_fused(case, fused):
    assert_same(fused[case], columns_of(simulate(cohort(case[0]), case[1], trials=TRIALS, seed=SEED, driver="stepped")))


@pytest.mark.parametrize("case", EVERY)
def test_gymnasium_loop_is_fused(case, fused):
    assert_same(fused[case], by_gymnasium(*case))


@pytest.mark.parametrize("case", CASES)
def test_plain_python_is_fused(case, fused, plain):
    assert_same(fused[case], plain[case])


def test_helper_sees_one_changed_choice(fused):
    columns = dict(next(iter(fused.values())))
    broken = columns["choice"].copy()
    broken[-1] = 1 - broken[-1]
    with pytest.raises(AssertionError, match="choice differs at 1 trials"):
        assert_same(columns, columns | {"choice": broken})


def test_helper_sees_the_last_bit_of_a_weight(fused):
    columns = dict(next(iter(fused.values())))
    broken = columns["weights"].copy()
    broken[5, -1] = np.nextafter(broken[5, -1], np.float32(9))
    with pytest.raises(AssertionError, match="weights differs at 1 trials, first at 5"):
        assert_same(columns, columns | {"weights": broken})


def test_helper_sees_a_rule_with_the_wrong_sign(fused, monkeypatch):
    def broken(w, eligibility, critic, x, choice, reward, p_right, rate, baseline):
        return w - rate * (reward - baseline) * (choice - p_right) * x, eligibility, critic

    monkeypatch.setitem(rules.RULES, "reinforce-baseline", dataclasses.replace(RULES["reinforce-baseline"], update=broken))
    case = ("reinforce-baseline", "ibl-documented")
    with pytest.raises(AssertionError):
        assert_same(fused[case], columns_of(simulate(cohort(case[0]), case[1], trials=TRIALS, seed=SEED)))
