"""Values over a population: which forms they may have, and what is drawn from a distribution."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from agents.parameters import Choice, Distribution, LogNormal, Normal, Parameter, ParameterValue, Uniform
from envs.table import Table

VALUE = TypeAdapter(ParameterValue)
U = (np.arange(2000) + 0.5) / 2000


class Population(Table):
    rate: ParameterValue


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ({"bias": 1}, {"bias": 1.0}),
        ({"distribution": "uniform", "low": 0, "high": 1}, Uniform(distribution="uniform", low=0, high=1)),
        (
            {"bias": {"distribution": "choice", "values": [1, 2]}},
            {"bias": Choice(distribution="choice", values=(1.0, 2.0))},
        ),
    ],
)
def test_forms_of_a_value(given, value):
    found = VALUE.validate_python(given)
    assert found == value
    assert VALUE.validate_python(found) == value
    assert VALUE.validate_python(VALUE.dump_python(found, mode="json")) == value


@pytest.mark.parametrize("given", [True, None, "fast", "0.1", [1.0], {"bias": True}, {"bias": {"stimulus": 1.0}}])
def test_what_is_no_value(given):
    with pytest.raises(ValueError, match="neither a number nor a table such as"):
        Population.checked({"rate": given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distribution": "norml", "mean": 0, "sd": 1}, "rate: unknown distribution 'norml'; did you mean 'normal'"),
        ({"distribution": "normal", "mean": 0, "median": 1}, r"'rate.sd' is missing; \[rate\] needs distribution, mean, sd"),
        ({"distribution": "normal", "mean": 0, "sd": 0}, r"rate.sd: .*greater than 0 \(given: 0\)"),
        ({"distribution": "normal", "mean": True, "sd": 1}, r"rate.mean: .*valid number \(given: True\)"),
        ({"distribution": "choice", "values": []}, "rate.values: tuple should have at least 1 item"),
        ({"bias": {"distribution": "norml"}}, "rate.bias: unknown distribution 'norml'"),
    ],
)
def test_wrong_distributions(given, message):
    with pytest.raises(ValueError, match=message):
        Population.checked({"rate": given})


@pytest.mark.parametrize(
    ("distribution", "bounds", "reference"),
    [
        (Normal(distribution="normal", mean=1, sd=2), (-9.0, 9.0), stats.truncnorm(-5, 4, 1, 2)),
        (LogNormal(distribution="lognormal", median=0.1, sigma=0.5), (0.0, np.inf), stats.lognorm(0.5, scale=0.1)),
        (Uniform(distribution="uniform", low=0.2, high=0.4), (0.0, 1.0), stats.uniform(0.2, 0.2)),
    ],
    ids=lambda value: getattr(value, "distribution", ""),
)
def test_draws_are_the_quantiles_of_the_distribution(distribution: Distribution, bounds, reference):
    assert distribution.sample(U, *bounds) == pytest.approx(reference.ppf(U), rel=1e-9)


def test_the_value_outside_the_bounds_is_named():
    rate = Parameter("rate", 0.03, 0.0, 1.0, "weight per trial", "learning rate")
    rate.check([0.0, 0.5, 1.0])
    for wrong, named in (([0.5, 1.25, 0.1], "1.25"), (-0.5, "-0.5"), ([0.5, np.nan], "nan"), ([[0.5], [np.inf]], "inf")):
        with pytest.raises(ValueError, match=rf"^rate = {named} is outside \[0, 1\] \(weight per trial\): learning rate$"):
            rate.check(wrong)


def test_draws_stay_within_the_bounds_of_the_parameter():
    wide = Normal(distribution="normal", mean=0, sd=5).sample(U, 0.0, 1.0)
    assert wide == pytest.approx(stats.truncnorm(0, 0.2, 0, 5).ppf(U), rel=1e-9)
    with pytest.raises(ValueError, match=r"uniform from 0 to 2 must rise and stay within \[0, 1\]"):
        Uniform(distribution="uniform", low=0, high=2).sample(U, 0.0, 1.0)
    assert set(Choice(distribution="choice", values=(0.1, 0.3)).sample(U, 0.0, 1.0)) == {0.1, 0.3}
