"""A closed-form rule with noise of the weights and lapses, fitted to mice by their joint posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from agents.theta import Layout
from twin.data.trials import Trials
from twin.engine import job_pool
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.coordinates import Coordinates
from twin.inference.posterior.draws import Draws, quantiles, resampled
from twin.inference.posterior.expectation import Posterior, posterior
from twin.inference.posterior.mouse import Mouse, Normal, Weighed

AT_LAST = 1000  # random numbers for the weights after the last trial
ENDS = np.array([0.025, 0.5, 0.975])
KEPT = 208  # draws of each mouse, 13 times what is run side by side
LEAST_EFFECTIVE = 25.0  # draws: with fewer, the ends of intervals are not to be trusted
TOLD = 0.5  # of the prior's standard deviation: where that of the posterior is larger, the parameter is not identified


def fit_posterior(
    trials: Trials,
    coordinates: Coordinates,
    population: bool,
    model: str,
    settings: Mapping[str, Any],
    done: Callable[[], None],
    before: Normal | None = None,
) -> RuleFit:
    """Fit the free columns of theta, all else as in the coordinates' base, to every mouse; `done()` is called in every round.

    `before` is the population that mice are of, if it is known. Estimates are medians of the posterior, intervals quantiles.
    """
    layout = coordinates.layout
    mice = [Mouse(FilteredLikelihood(trials, m, layout), coordinates, name) for m, name in enumerate(trials.ids)]
    rng = np.random.default_rng(0)
    with job_pool("threads", jobs=len(mice)) as pool:
        found = posterior(mice, pool, population, done, before)
        weights = pool.results([partial(_last_weights, *each) for each in zip(mice, found.mice, strict=True)])
    theta, ci95 = _estimates(coordinates, found.mice)
    nll = np.array([-mouse.likelihood.log_likelihood(t).sum() for mouse, t in zip(mice, theta, strict=True)])
    return RuleFit(
        layout=Layout(layout.rule, layout.features),
        theta=theta,
        ci95=ci95,
        nll=nll,
        converged=np.array([one.effective >= LEAST_EFFECTIVE for one in found.mice]),
        ids=trials.ids,
        model=model,
        settings=dict(settings),
        draws=_draws(coordinates, found, weights, rng),
        unidentified=_unidentified(coordinates, found),
    )


def _estimates(coordinates: Coordinates, mice: list[Weighed]) -> tuple[np.ndarray, np.ndarray]:
    """Medians (M, P), and ends of the 95 % intervals (M, P, 2), NaN for what was not fitted."""
    found = np.array([quantiles(coordinates.reported(one.u), one.weights, ENDS) for one in mice])
    ci95 = np.full((*found[:, 0].shape, 2), np.nan)
    ci95[:, coordinates.columns] = np.moveaxis(found[:, [0, 2]], 1, -1)[:, coordinates.columns]
    return found[:, 1], ci95


def _last_weights(mouse: Mouse, drawn: Weighed) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a mouse's draws (S,), and the weights that it has after its last trial by each of them (S, K)."""
    rng = mouse.random(AT_LAST)
    rows = resampled(drawn.weights, KEPT, rng)
    mean, covariance = mouse.likelihood.last_belief(mouse.coordinates.theta(drawn.u[rows]))
    values, vectors = np.linalg.eigh(covariance)
    away = np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(values.shape)
    return rows, mean + np.einsum("skj,sj->sk", vectors, away)


def _draws(coordinates: Coordinates, found: Posterior, weights: list[tuple], rng: np.random.Generator) -> Draws:
    """Equally likely draws of the mice, and of mice to come: of their population, or where there is none of any of them."""
    theta = [coordinates.reported(one.u[rows]) for one, (rows, _) in zip(found.mice, weights, strict=True)]
    of_any = np.array(theta)[rng.integers(len(theta), size=KEPT), np.arange(KEPT)]
    if found.population is not None:
        populations = found.population.spread_over(KEPT)
        z = rng.standard_normal((KEPT, len(coordinates.columns)))
        of_any = coordinates.reported(populations.mean + populations.sd * z)
    parts = np.array(theta), np.array([last for _, last in weights]), of_any
    return Draws(*(part.astype(np.float32).astype(float) for part in parts))  # as they are kept


def _unidentified(coordinates: Coordinates, found: Posterior) -> np.ndarray:
    """Which parameters (M, P) of a mouse the data leave as wide as they were before, or nearly so."""
    out = np.zeros((len(found.mice), len(coordinates.base)), bool)
    for m, one in enumerate(found.mice):
        mean = one.weights @ one.u
        sd = np.sqrt(one.weights @ (one.u - mean) ** 2)
        out[m, coordinates.columns] = sd > TOLD * coordinates.width
    return out
