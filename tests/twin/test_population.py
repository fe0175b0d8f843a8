"""Populations of mice: what a cohort takes from a file of one, and parameters that go together over mice."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import kstest, spearmanr

from twin.cohort import Cohort
from twin.population import Copula, populations, read_population

RATE = {"distribution": "lognormal", "median": 0.01, "sigma": 1.0}
LAPSE = {"distribution": "uniform", "low": 0.0, "high": 0.2}
BIAS = {"distribution": "normal", "mean": 0.0, "sd": 2.0}
VARIED = {"rate": RATE, "lapse_low": LAPSE, "lapse_high": LAPSE, "initial_weight": {"bias": BIAS}}
PAIRS = {"rate": {"lapse_low": -0.5}, "lapse_low": {"lapse_high": 0.8}}
FILE = """
rule = "reinforce-baseline"
features = ["stimulus", "bias"]
[parameters]
rate = { distribution = "lognormal", median = 0.01, sigma = 1.0 }
initial_weight = { stimulus = 0.5, bias = { distribution = "normal", mean = 0.0, sd = 2.0 } }
[correlation]
rate = { "initial_weight.bias" = 0.5 }
[provenance]
matched = "nothing"
sources = "a test"
search = "none"
limits = "all"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    return path


def columns(cohort, *names, seed=3):
    return cohort.theta(seed)[:, [cohort.layout.names.index(name) for name in names]]


def test_correlations_are_recovered_and_distributions_stay():
    cohort = Cohort(mice=20_000, parameters=VARIED, correlation=PAIRS)
    drawn = columns(cohort, "rate", "lapse_low", "lapse_high", "initial_weight.bias")
    ranks = spearmanr(drawn).statistic
    for (i, j), r in {(0, 1): -0.5, (1, 2): 0.8, (0, 2): 0.0, (0, 3): 0.0}.items():
        assert ranks[i, j] == pytest.approx(6 / np.pi * np.arcsin(r / 2), abs=0.03)
    assert kstest(drawn[:, 1] / 0.2, "uniform").pvalue > 0.001
    assert kstest(np.log(drawn[:, 0] / 0.01), "norm").pvalue > 0.001


def test_a_mouse_depends_on_seed_and_number_alone():
    cohort = Cohort(mice=50, parameters=VARIED, correlation=PAIRS)
    assert np.array_equal(cohort.theta(3, mice=7), cohort.theta(3)[:7])
    assert not np.array_equal(cohort.theta(4), cohort.theta(3))
    alone = Cohort(mice=50, parameters=VARIED)
    assert np.array_equal(columns(cohort, "initial_weight.bias"), columns(alone, "initial_weight.bias"))


@pytest.mark.parametrize(
    ("correlation", "message"),
    [
        ({"rate": {"lapse_low": 1.0}}, "correlation of rate and lapse_low is 1; expected a number between -1 and 1"),
        ({"rate": {"rate": 0.5}}, "rate is paired with itself"),
        ({"rate": {"lapse_low": 0.5}, "lapse_low": {"rate": 0.5}}, "rate is given twice; give it once"),
        ({"rate": {"lapse_lo": 0.5}}, "unknown parameter 'lapse_lo'; did you mean 'lapse_low'"),
        ({"rate": {"no_go": 0.5}}, "no_go is the same number for all mice.*give parameters.no_go one"),
        (
            {"rate": {"lapse_low": 0.9, "lapse_high": 0.9}, "lapse_low": {"lapse_high": -0.9}},
            r"no mice can have these correlations of rate, lapse_low, lapse_high together .*not positive definite",
        ),
        ({"rate": 0.5}, "correlation.rate"),
    ],
)
def test_wrong_correlation_is_refused(correlation, message):
    with pytest.raises(ValidationError, match=message):
        Cohort(parameters=VARIED, correlation=correlation)


def test_factor_is_that_of_the_matrix():
    copula = Copula({"a": {"b": 0.5}, "b": {"c": -0.2}})
    assert copula.columns == ["a", "b", "c"]
    assert copula.factor @ copula.factor.T == pytest.approx(np.array([[1, 0.5, 0], [0.5, 1, -0.2], [0, -0.2, 1]]))


def test_population_of_a_file(file):
    cohort = Cohort(mice=5, population=str(file))
    same = Cohort(
        mice=5,
        parameters={"rate": RATE, "initial_weight": {"stimulus": 0.5, "bias": BIAS}},
        correlation={"rate": {"initial_weight.bias": 0.5}},
    )
    assert np.array_equal(cohort.theta(1), same.theta(1))
    assert Cohort(**cohort.model_dump(mode="json")) == cohort


def test_own_numbers_go_before(file):
    cohort = Cohort(mice=5, population=str(file), parameters={"rate": 0.2, "initial_weight": {"stimulus": 1.0}, "no_go": 0.1})
    assert columns(cohort, "rate", "initial_weight.stimulus", "no_go").tolist() == [[0.2, 1.0, 0.1]] * 5
    assert len(np.unique(columns(cohort, "initial_weight.bias"))) == 5
    assert cohort.correlation == {}  # a rate that is one number goes with nothing
    whole = Cohort(mice=5, population=str(file), parameters={"initial_weight": 0.3})
    assert (columns(whole, "initial_weight.stimulus", "initial_weight.bias") == 0.3).all()
    other = Cohort(mice=5, population=str(file), correlation={"initial_weight.bias": {"rate": -0.2}})
    assert other.correlation == {"initial_weight.bias": {"rate": -0.2}}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"population": "ibk"}, "unknown population 'ibk'; did you mean 'ibl'"),
        ({"population": "x" * 5000}, "unknown population"),
        ({"population": "a\0b"}, "unknown population"),
        ({"rule": "reinforce"}, "rule = 'reinforce': the population is of mice of rule 'reinforce-baseline'"),
        ({"parameters": {"rat": 1.0}}, "did you mean 'rate'"),
        ({"parameters": 3}, "parameters"),
        ({"correlation": 3}, "correlation"),
        ({"correlation": {"rate": 3}}, "correlation"),
    ],
)
def test_wrong_cohort_of_a_population_is_refused(file, table, message):
    with pytest.raises(ValidationError, match=message):
        Cohort(**({"population": str(file)} | table))


def test_wrong_population_file_is_refused_by_key(tmp_path):
    (tmp_path / "bad.toml").write_text(FILE.replace("sources", "source"))
    with pytest.raises(ValidationError, match=r"bad.toml: .*unknown key in \[provenance\]: 'source'; did you mean 'sources'"):
        Cohort(population=str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("name", populations())
def test_shipped_populations_are_whole(name):
    cohort = Cohort(mice=3, population=name)
    assert Cohort(**cohort.model_dump(mode="json")) == cohort
    provenance = read_population(populations()[name]).provenance
    assert all(len(text) > 40 for text in provenance.model_dump().values())
