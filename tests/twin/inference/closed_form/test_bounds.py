"""Fits within narrower bounds: where the best is inside they change nothing, where it is outside it is the fit at the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents import RULES, Layout, Parameter
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.simulation import simulate

NOT_NEGATIVE = {"baseline": (0.0, 0.5)}


def trials_of(baseline: float, mice: int = 4) -> Trials:
    cohort = Cohort(mice=mice, parameters={"rate": 0.05, "baseline": baseline})
    return Trials.from_rollout(simulate(cohort, "ibl-documented", trials=2500, seed=6))


@pytest.fixture(scope="module")
def negative() -> Trials:
    return trials_of(-2.0)


def test_non_negative_baseline_of_a_mouse_with_a_negative_one_is_none(negative):
    bounded, none, free = (
        fit(negative, "reinforce-baseline", **how) for how in ({"bounds": NOT_NEGATIVE}, {"fixed": {"baseline": 0.0}}, {})
    )
    assert isinstance(bounded, RuleFit) and isinstance(none, RuleFit) and isinstance(free, RuleFit)
    outside = free.theta[:, 1] < -0.01
    assert outside.sum() >= 3
    assert bounded.theta[outside, 1] == pytest.approx(0.0, abs=1e-3)
    assert bounded.nll[outside] == pytest.approx(none.nll[outside], abs=0.05)
    assert (bounded.nll > free.nll + 0.1).all()
    assert bounded.theta[outside, 0] == pytest.approx(none.theta[outside, 0], rel=0.02)
    ends = bounded.ci95[:, 1]
    assert (ends >= 0).all() and (ends <= 0.5).all() and (ends[:, 1] > ends[:, 0]).all()
    assert bounded.converged.all()


@pytest.mark.parametrize("population", [False, True])
def test_wide_bounds_change_nothing(population, negative):
    wide = {"baseline": (-8.0, 0.5), "rate": (0.0, 0.6), "initial_weight": (-30.0, 30.0)}
    one, other = (fit(negative, "reinforce-baseline", population=population, bounds=b) for b in (wide, {}))
    if population:  # the prior is normal in another unconstrained space
        assert one.nll == pytest.approx(other.nll, abs=1.0)
    else:
        assert one.nll == pytest.approx(other.nll, abs=0.01)
        assert one.theta[:, :2] == pytest.approx(other.theta[:, :2], rel=0.02)
        assert one.ci95[:, 0] == pytest.approx(other.ci95[:, 0], rel=0.1)  # ends are searched for, to a tenth of a chi-square


def test_bounds_hold_for_every_name_they_mean_the_particular_first(negative):
    bounds = {
        "initial_weight": (0.2, math.inf),
        "initial_weight.bias": (-0.3, -0.1),
        "lapse_low": (0.02, 0.1),
        "rate": (0.0, 0.02),
    }
    found = fit(negative, "reinforce", bounds=bounds, free=("lapse_low",))
    names = dict(zip(found.layout.names, found.theta.T, strict=True))
    assert (names["initial_weight.stimulus"] >= 0.2).all()
    assert (np.abs(names["initial_weight.bias"] + 0.2) <= 0.1).all()
    assert (np.abs(names["lapse_low"] - 0.06) <= 0.04).all()
    assert names["rate"] == pytest.approx(0.02, abs=1e-4)  # the best is above
    assert found.layout == Layout(RULES["reinforce"], negative.features)


def test_noise_within_bounds(negative):
    few = negative.of_mice([0]).first(600)
    found = fit(few, "reinforce", noise=True, bounds={"trial_noise": (0.0, 0.004)}, fixed={"day_noise": 0.0})
    noise = found.layout.index("trial_noise")
    assert (found.theta[:, noise] <= 0.004).all() and (found.ci95[:, noise] <= 0.004).all()
    assert found.theta[0, 0] == pytest.approx(fit(few, "reinforce").theta[0, 0], rel=0.2)


def test_bounds_are_kept_with_the_fit(negative, tmp_path):
    done = fit(negative.of_mice([0]).first(300), "reinforce-baseline", bounds=NOT_NEGATIVE)
    done.save(tmp_path)
    back = load_fit(tmp_path)
    assert (back.model, back.settings) == ("reinforce-baseline", done.settings)
    assert back.settings["bounds"] == {"baseline": [0.0, 0.5]}
    assert (back.theta == done.theta).all() and (Cohort(rule=str(tmp_path), mice=1).theta(1) == done.theta).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bounds": {"rate": (0, 1.7)}}, r"bounds \[0, 1.7\] of rate must rise and lie within \[0, 1\]"),
        ({"bounds": {"baseline": (0.2, 0.1)}}, r"bounds \[0.2, 0.1\] of baseline must rise"),
        ({"bounds": {"rate": (float("nan"), 0.1)}}, r"of rate must rise"),
        ({"bounds": {"initial_weight.bias": (-math.inf, 0.0)}}, "of initial_weight: a bound above needs one below"),
        ({"bounds": {"basline": (0, 0.1)}}, "did you mean 'baseline'"),
        ({"bounds": {"lapse_low": (0, 0.1)}}, "bounds of 'lapse_low', which is not fitted; name it in `free`"),
        ({"bounds": {"baseline": (0, 0.1)}, "fixed": {"baseline": -0.2}}, r"baseline = -0.2 is outside \[0, 0.1\]"),
        ({"bounds": {"baseline": (0, 0.1)}, "fixed": {"baseline": 0.05}}, "bounds of 'baseline', which is not fitted"),
    ],
)
def test_wrong_bounds_are_refused_by_name(settings, message, negative):
    with pytest.raises(ValueError, match=message):
        fit(negative, "reinforce-baseline", **settings)


def test_parameter_within_is_a_parameter():
    wide = Parameter("a", 0.5, 0.0, math.inf, "unit", "what it is")
    narrow = wide.within(0.25, 0.75)
    assert narrow.natural(narrow.free(0.3)) == pytest.approx(0.3)
    assert (narrow.natural(np.array([-50.0, 50.0])) == [0.25, 0.75]).all()
    assert wide.within(0.0, math.inf) == wide
