"""The joint posterior of mice and their population, by expectation propagation with the likelihood itself.

What each mouse's choices say of its coordinates stands as a Gaussian, its site. Given the sites, the population is drawn
exactly (`population`). Given the population, each site is made anew: draws from what is believed of the mouse are weighed by
its likelihood, and the site's mean is put where the weighed mean is, its precision to Fisher's information there. This goes
round until it is settled. In the end every mouse has draws of its own, each under another draw of the population, weighed by
the likelihood over the site, so that neither a mouse's posterior nor the population behind it is taken for a Gaussian.

References. Expectation propagation: Minka 2001, UAI; with groups of data as sites: Vehtari et al 2020, J Mach Learn Res 21:1.
Tried and given up (docs/measured/posterior.md): modes in place of means, precisions by the weighed covariance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from twin.engine import JobPool
from twin.inference.posterior.coordinates import Coordinates
from twin.inference.posterior.mouse import Heavy, Mouse, Normal, Scores, Weighed, heavy, weighed
from twin.inference.posterior.population import PopulationDraws, Prior, Sites, draw_population

CLIMBING, PROPAGATING = 2, 8  # rounds that look for modes, and those that weigh draws
ROUND_DRAWS, ROUND_POPULATIONS = 256, 60  # in each round, of a mouse and of the population
DRAWS, POPULATIONS = 2048, 400  # in the end
LEAST_INFORMATION = 0.01  # in the directions of which a mouse says nothing, on the scale of the coordinates
ENOUGH = 20.0  # draws that count: with fewer a weighed mean is chance, and a step towards it leads astray
TEMPERS = 1.0, 0.5, 0.25, 0.1, 0.03, 0.01  # powers of the likelihood over the site
LESS_EACH_ROUND = 0.4  # by how much later rounds count less, so that their noise is averaged


class Posterior(NamedTuple):
    """Of M mice: draws with weights, and the population they come from (None where every mouse stands alone)."""

    mice: list[Weighed]
    population: PopulationDraws | None


def posterior(
    mice: Sequence[Mouse],
    pool: JobPool,
    population: bool,
    done: Callable[[], None] = lambda: None,
    before: Normal | None = None,
) -> Posterior:
    """The posterior of mice, as of one population or each alone; `done()` is called `rounds()` times.

    `before` is what is known of a mouse before its choices, where it is more than the coordinates' own prior.
    """
    return _Search(mice, pool, done, before).run(population)


def rounds() -> int:
    """How often `posterior` calls `done`."""
    return CLIMBING + PROPAGATING + 1


class _Search:
    """The state of the search for a posterior."""

    def __init__(self, mice: Sequence[Mouse], pool: JobPool, done: Callable[[], None], before: Normal | None) -> None:
        self.mice, self.pool, self.done, self.rng = mice, pool, done, np.random.default_rng(0)
        self.coordinates: Coordinates = mice[0].coordinates
        own = self.coordinates
        self.prior = Prior(own.centre, own.spread, own.differ)
        self.before = before or Normal(own.centre, own.width)
        self.at = np.tile(self.before.mean, (len(mice), 1))
        self.log_sd = np.log(own.differ / 3)
        self.sites = Sites(np.empty(0), np.empty(0))

    def run(self, population: bool) -> Posterior:
        """All rounds, and the draws in the end."""
        drawn = None
        for turn in range(CLIMBING + PROPAGATING):
            self._look_for_sites() if turn < CLIMBING else self._propagate(turn)
            if population:
                last = turn == CLIMBING + PROPAGATING - 1
                n = POPULATIONS if last else ROUND_POPULATIONS
                drawn = draw_population(n, self.log_sd, self.sites, self.prior, self.rng)
                self.before = Normal(drawn.centre, drawn.width)
            self.done()
        found = self._each(_final_draws, self._population_of(drawn), CLIMBING + PROPAGATING)
        self.done()
        return Posterior(found, drawn)

    def _look_for_sites(self) -> None:
        """Sites at the modes, from where each mouse was before."""
        jobs = [partial(mouse.climb, u, self.before) for mouse, u in zip(self.mice, self.at, strict=True)]
        self.at = np.array(self.pool.results(jobs))
        found = self._scores(self.at)
        precision = _informative(np.array([scores.information for scores in found]))
        gradient = np.array([scores.gradient for scores in found])
        self.sites = Sites(precision, np.einsum("mij,mj->mi", precision, self.at) + gradient)

    def _propagate(self, turn: int) -> None:
        """Sites whose means are those that the likelihood gives; part of the way from the old ones, less each turn."""
        step = 1 / (1 + LESS_EACH_ROUND * (turn - CLIMBING))
        mean = np.array(self._each(_round_draws, self.before, turn))
        found = self._scores(mean)
        precision = _informative(np.array([scores.information for scores in found]))
        shift = np.einsum("mij,mj->mi", precision, mean) + (mean - self.before.mean) @ self.before.precision
        old = self.sites
        self.sites = Sites(old.precision + step * (precision - old.precision), old.shift + step * (shift - old.shift))

    def _scores(self, at: np.ndarray) -> list[Scores]:
        """The likelihood of every mouse at its coordinates (M, F), with derivatives."""
        return self.pool.results([partial(mouse.scores, u) for mouse, u in zip(self.mice, at, strict=True)])

    def _each(self, work: Callable[..., Any], before: Normal, turn: int) -> list[Any]:
        """Work on every mouse with its site, what is believed of it before, and random numbers of its own."""
        parts = zip(self.mice, self.sites.precision, self.sites.shift, strict=True)
        return self.pool.results([partial(work, *part, before, part[0].random(turn)) for part in parts])

    def _population_of(self, drawn: PopulationDraws | None) -> Normal:
        """What one mouse is before its choices, in each of its last draws: another draw of the population."""
        if drawn is None:
            mean, sd, correlation = self.before
            return Normal(np.tile(mean, (DRAWS, 1)), np.tile(sd, (DRAWS, 1)), correlation)
        return Normal(*drawn.spread_over(DRAWS))


def _informative(information: np.ndarray) -> np.ndarray:
    """Information (M, F, F), at least a little in every direction."""
    values, vectors = np.linalg.eigh(information)
    return np.einsum("mij,mj,mkj->mik", vectors, np.maximum(values, LEAST_INFORMATION), vectors)


def _believed(precision: np.ndarray, shift: np.ndarray, before: Normal) -> tuple[np.ndarray, np.ndarray]:
    """Mean (..., F) and root (..., F, F) of the precision of a mouse's coordinates, by its site and what it is before."""
    tightness = before.precision
    both = precision + tightness
    mean = np.linalg.solve(both, (shift + np.einsum("...ij,...j->...i", tightness, before.mean))[..., None])[..., 0]
    return mean, np.linalg.cholesky(both)


def _places(mean: np.ndarray, root: np.ndarray, draws: Heavy) -> np.ndarray:
    """Coordinates (S, F) of standard draws."""
    away = np.linalg.solve(np.swapaxes(root, -1, -2), draws.z[..., None])[..., 0]
    return np.asarray(mean + away)


def _round_draws(
    mouse: Mouse, precision: np.ndarray, shift: np.ndarray, before: Normal, rng: np.random.Generator
) -> np.ndarray:
    """Mean (F,) of a mouse's coordinates by its likelihood: of the site, corrected by draws of both."""
    mean, root = _believed(precision, shift, before)
    draws = heavy(ROUND_DRAWS, len(shift), rng)
    u = _places(mean, root[None], draws)
    beyond_site = mouse.log_likelihoods(u) - _log_site(u, precision, shift)
    exact, by_site = _tempered(u, beyond_site, draws.log_ratio), weighed(u, draws.log_ratio)
    return np.asarray(mean + (exact.weights - by_site.weights) @ (u - mean))


def _log_site(u: np.ndarray, precision: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """What a site says of coordinates u (S, F): (S,)."""
    return np.asarray(u @ shift - 0.5 * np.einsum("si,ij,sj->s", u, precision, u))


def _tempered(u: np.ndarray, beyond_site: np.ndarray, log_ratio: np.ndarray) -> Weighed:
    """Draws weighed by what the likelihood says beyond the site, or by as much of it as leaves enough of them."""
    for power in TEMPERS:
        found = weighed(u, power * beyond_site + log_ratio)
        if found.effective >= ENOUGH:
            break
    return found


def _final_draws(mouse: Mouse, precision: np.ndarray, shift: np.ndarray, before: Normal, rng: np.random.Generator) -> Weighed:
    """Draws of a mouse's coordinates, each under a population of its own (S, F), weighed by its likelihood over its site."""
    mean, root = _believed(precision, shift, before)
    draws = heavy(DRAWS, len(shift), rng)
    u = _places(mean, root, draws)
    return weighed(u, mouse.log_likelihoods(u) - _log_site(u, precision, shift) + draws.log_ratio)
