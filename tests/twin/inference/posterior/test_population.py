"""Draws of a population against the dense Gaussian integral, and against populations that are known."""

import numpy as np
import pytest

from twin.inference.posterior.population import Prior, Sites, draw_population, log_density


def sites_of(mice: int, f: int, seed: int = 0) -> tuple[Sites, Prior]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(mice, f, f))
    prior = Prior(rng.normal(size=f), rng.uniform(0.5, 2.0, f), rng.uniform(0.3, 1.0, f))
    return Sites(root @ root.transpose(0, 2, 1) + 0.2 * np.eye(f), rng.normal(size=(mice, f))), prior


def dense(log_sd: np.ndarray, sites: Sites, prior: Prior) -> float:
    """The integral over all mice at once, as one Gaussian of mice x F numbers."""
    mice, f = sites.shift.shape
    covariance = np.kron(np.eye(mice), np.diag(np.exp(2 * log_sd))) + np.kron(np.ones((mice, mice)), np.diag(prior.spread**2))
    centre, tightness = np.tile(prior.centre, mice), np.linalg.inv(covariance)
    precision = tightness.copy()
    for m in range(mice):
        here = slice(m * f, (m + 1) * f)
        precision[here, here] += sites.precision[m]
    shift = sites.shift.ravel() + tightness @ centre
    quadratic = shift @ np.linalg.solve(precision, shift) - centre @ tightness @ centre
    determinants = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(precision)[1]
    return 0.5 * (quadratic - determinants) + (log_sd - 0.5 * (np.exp(log_sd) / prior.differ) ** 2).sum()


@pytest.mark.parametrize(("mice", "f"), [(1, 1), (3, 2), (5, 4)])
def test_density_is_the_dense_integral(mice, f):
    sites, prior = sites_of(mice, f)
    root, half = np.zeros((f, f)), np.zeros(f)
    places = np.random.default_rng(1).normal(size=(4, f))
    found = np.array([log_density(u, sites, prior, root, half) for u in places])
    expected = np.array([dense(u, sites, prior) for u in places])
    assert found - found[0] == pytest.approx(expected - expected[0], abs=1e-9)


def test_population_of_well_known_mice_is_theirs():
    """200 mice, each known to .05: mean and spread of the draws are those of the mice."""
    rng = np.random.default_rng(2)
    mice = np.array([1.0, -0.5]) + np.array([0.7, 0.2]) * rng.normal(size=(200, 2))
    precision = np.tile(np.eye(2) / 0.05**2, (200, 1, 1))
    sites = Sites(precision, mice / 0.05**2)
    found = draw_population(400, np.zeros(2), sites, Prior(np.zeros(2), np.full(2, 2.0), np.full(2, 1.0)), rng)
    assert found.mean.mean(axis=0) == pytest.approx(mice.mean(axis=0), abs=0.02)
    assert found.sd.mean(axis=0) == pytest.approx(mice.std(axis=0), rel=0.1)
    assert found.mean.std(axis=0) == pytest.approx(mice.std(axis=0) / np.sqrt(200), rel=0.25)


def test_mice_that_are_alike_do_not_collapse_the_population_to_a_point():
    """The spread of mice that say little is uncertain, not 0: its draws reach from near 0 to what single mice leave open."""
    sites = Sites(np.ones((12, 1, 1)), np.full((12, 1), 0.3))
    found = draw_population(2000, np.zeros(1), sites, Prior(np.zeros(1), np.ones(1), np.ones(1)), np.random.default_rng(3))
    assert np.quantile(found.sd, 0.05) < 0.1 < 0.3 < np.quantile(found.sd, 0.95)
