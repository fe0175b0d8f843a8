"""A known population: normal scores against the distributions they are of, and a mouse that says next to nothing."""

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal, spearmanr

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.posterior.mouse import Normal
from twin.simulation import simulate
from twin.twins.model import TwinModel, fit_twins, known_population, population_share, worth_in_trials


@pytest.fixture(scope="module")
def ibl() -> Cohort:
    return Cohort(population="ibl", mice=400)


def test_standard_normal_scores_are_mice_of_the_population(ibl):
    known = known_population(ibl)
    theta = known.theta(np.random.default_rng(0).standard_normal((4000, len(known.columns))))
    mice = ibl.theta(3)
    for c in known.columns:
        assert kstest(theta[:, c], mice[:, c]).pvalue > 0.01, ibl.layout.names[c]


def test_scores_are_inverse(ibl):
    known = known_population(ibl, ("day_noise",))
    u = np.random.default_rng(1).normal(size=(20, len(known.columns)))
    u = np.where([one.folded for one in known.each], np.abs(u), u)
    assert known.of(known.theta(u)) == pytest.approx(u, abs=1e-3)


def test_what_goes_together_and_what_is_freed(ibl):
    known = known_population(ibl, ("day_noise.bias",))
    names = [one.name for one in known.each]
    before = known.before
    a, b = names.index("rate_left.stimulus"), names.index("rate_right.stimulus")
    assert before.correlation[a, b] == before.correlation[b, a] == 0.95
    freed = names.index("day_noise.bias")
    column = known.columns[freed]
    assert known.theta(before.mean)[column] == pytest.approx(0.906)
    assert "engaged_trials" not in names


def test_correlated_normal_is_scipy_s():
    between = np.array([[1.0, 0.6], [0.6, 1.0]])
    density = Normal(np.array([1.0, -1.0]), np.array([0.5, 2.0]), between)
    covariance = between * np.outer(density.sd, density.sd)
    u = np.random.default_rng(0).normal(size=(5, 2))
    exact = multivariate_normal(density.mean, covariance).logpdf(u)
    assert density.log_density(u) - density.log_density(u[:1]) == pytest.approx(exact - exact[0])


def test_a_mouse_of_few_trials_is_any_mouse_of_its_population():
    model = TwinModel()
    cohort = model.cohort.model_copy(update={"mice": 1})
    trials = Trials.from_rollout(simulate(cohort, "ibl-2019", trials=8, seed=2), cohort.features)
    found = fit_twins(trials, model)
    mice = Cohort(population="ibl", mice=400).theta(5)
    names = found.layout.names
    for name in ("rate_left.stimulus", "lapse_low"):
        drawn = found.draws.theta[0, :, names.index(name)]
        assert kstest(drawn, mice[:, names.index(name)]).pvalue > 0.005, name
    both = [found.draws.theta[0, :, names.index(f"rate_{side}.bias")] for side in ("left", "right")]
    assert spearmanr(*both).statistic > 0.85
    shares = population_share(found, 0)
    assert shares["rate_left.stimulus"] > 0.8
    assert worth_in_trials(shares, 8) > 8
    assert worth_in_trials({"a": 0.5, "b": 0.1}, 700) == pytest.approx(300)
