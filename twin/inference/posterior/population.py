"""The population that mice come from, when what each mouse says is a Gaussian: exact draws of its mean and spread.

    u_m ~ N(mean, diag(sd)^2),   the choices of mouse m say exp(h_m . u - u . L_m u / 2)

Mean and mice are integrated out, which leaves a density of the F standard deviations. They are drawn one by one by slice
sampling (Neal 2003, Ann Stat 31:705) of their logarithms; a mean is then normal. Nothing here is a mode: with few mice, or mice
that say little, the standard deviation of a population has its likelihood's maximum at 0 all too often (Chung et al 2013,
Psychometrika 78:685), and whatever takes it for the truth has intervals that are too narrow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from envs.compiled import njit

SLICE, WIDENINGS = 1.5, 6  # width of a slice of the logarithm, and how often it grows at either end
LEAST_LOG = -8.0  # of a standard deviation: as good as 0 on every scale
BURN_IN = 30

compiled = njit(cache=True, nogil=True)


class Sites(NamedTuple):
    """What the choices of M mice say of their F coordinates, each as a Gaussian."""

    precision: np.ndarray  # (M, F, F)
    shift: np.ndarray  # (M, F) precision times mean


class Prior(NamedTuple):
    """What is believed of the population (F): normal means, half-normal standard deviations."""

    centre: np.ndarray
    spread: np.ndarray
    differ: np.ndarray


class PopulationDraws(NamedTuple):
    """Draws of the population from its posterior, S of them."""

    mean: np.ndarray  # (S, F)
    sd: np.ndarray  # (S, F)

    def spread_over(self, n: int) -> PopulationDraws:
        """`n` of them, evenly."""
        rows = np.arange(n) * len(self.mean) // n
        return PopulationDraws(self.mean[rows], self.sd[rows])

    @property
    def centre(self) -> np.ndarray:
        """Expected mean (F,)."""
        return self.mean.mean(axis=0)

    @property
    def width(self) -> np.ndarray:
        """Standard deviation (F,) of one more mouse: of the mean, and between mice."""
        return np.sqrt((self.sd**2).mean(axis=0) + self.mean.var(axis=0))


@compiled
def factor(matrix: np.ndarray, root: np.ndarray) -> bool:
    """Cholesky factor in the lower triangle of `root`; whether there is one."""
    n = len(matrix)
    for i in range(n):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= root[i, k] * root[j, k]
            if i > j:
                root[i, j] = s / root[j, j]
            elif s > 0.0:
                root[i, i] = math.sqrt(s)
            else:
                return False
    return True


@compiled
def solve_lower(root: np.ndarray, b: np.ndarray, out: np.ndarray, first: int) -> None:
    """out = root^-1 b for a lower triangle, where b is 0 before `first`."""
    for i in range(first, len(b)):
        s = b[i]
        for k in range(first, i):
            s -= root[i, k] * out[k]
        out[i] = s / root[i, i]


@compiled
def log_density(log_sd: np.ndarray, sites: Any, prior: Any, root: np.ndarray, half: np.ndarray) -> float:
    """Log-density (up to a constant) of the logarithms of the population's standard deviations, all else integrated out.

    Leaves the factor (F, F) of the precision of the mean in `root`, and root^-1 (precision times expected mean) in `half`.
    """
    mice, n = sites.shift.shape
    precision, own, across = np.zeros((n, n)), np.empty((n, n)), np.zeros((n, n))
    v, unit, shift = np.empty(n), np.zeros(n), prior.centre / prior.spread**2
    total = 0.0
    for i in range(n):
        precision[i, i] = 1.0 / prior.spread[i] ** 2
        sd = math.exp(log_sd[i])
        total += log_sd[i] * (1 - mice) - 0.5 * (sd / prior.differ[i]) ** 2
    tightness = np.exp(-2.0 * log_sd)
    for m in range(mice):
        own[:] = sites.precision[m]
        for i in range(n):
            own[i, i] += tightness[i]
        if not factor(own, root):
            return -math.inf
        solve_lower(root, sites.shift[m], v, 0)
        for i in range(n):
            unit[i] = tightness[i]
            solve_lower(root, unit, across[i], i)
            unit[i] = 0.0
            total += 0.5 * v[i] * v[i] - math.log(root[i, i])
            precision[i, i] += tightness[i]
        for i in range(n):
            for k in range(i, n):
                shift[i] += across[i, k] * v[k]
            for j in range(i + 1):
                for k in range(i, n):
                    precision[i, j] -= across[i, k] * across[j, k]
    if not factor(precision, root):
        return -math.inf
    solve_lower(root, shift, half, 0)
    for i in range(n):
        total += 0.5 * half[i] * half[i] - math.log(root[i, i])
    return total


@compiled
def slice_step(
    log_sd: np.ndarray, j: int, at: float, sites: Any, prior: Any, root: np.ndarray, half: np.ndarray, rng: Any
) -> float:
    """Draw the j-th value anew, in place, given the others; `at` is the log-density now, returned is the new one's."""
    old, level = log_sd[j], at + math.log(1.0 - rng.random())
    low = old - SLICE * rng.random()
    high = low + SLICE
    for _ in range(WIDENINGS):
        log_sd[j] = low
        if low < LEAST_LOG or log_density(log_sd, sites, prior, root, half) <= level:
            break
        low -= SLICE
    for _ in range(WIDENINGS):
        log_sd[j] = high
        if log_density(log_sd, sites, prior, root, half) <= level:
            break
        high += SLICE
    while high - low > 1e-9:
        log_sd[j] = low + (high - low) * rng.random()
        found = log_density(log_sd, sites, prior, root, half)
        if found > level:
            return found
        if log_sd[j] < old:
            low = log_sd[j]
        else:
            high = log_sd[j]
    log_sd[j] = old
    return at


@compiled
def draw(n: int, log_sd: np.ndarray, sites: Any, prior: Any, rng: Any, mean: np.ndarray, sd: np.ndarray) -> None:
    """Fill mean and sd (n, F) with draws; `log_sd` (F,) is where the chain begins, and is left where it ends."""
    f = len(log_sd)
    root, half = np.zeros((f, f)), np.zeros(f)
    at = log_density(log_sd, sites, prior, root, half)
    for s in range(-BURN_IN, n):
        for j in range(f):
            at = slice_step(log_sd, j, at, sites, prior, root, half, rng)
        log_density(log_sd, sites, prior, root, half)
        for i in range(f - 1, -1, -1):
            value = half[i] + rng.standard_normal()
            for k in range(i + 1, f):
                value -= root[k, i] * mean[max(s, 0), k]
            mean[max(s, 0), i] = value / root[i, i]
        sd[max(s, 0)] = np.exp(log_sd)


def draw_population(n: int, log_sd: np.ndarray, sites: Sites, prior: Prior, rng: np.random.Generator) -> PopulationDraws:
    """`n` draws of the population that mice come from; the chain begins at `log_sd` (F,) and leaves there where it ends."""
    found = PopulationDraws(np.empty((n, len(log_sd))), np.empty((n, len(log_sd))))
    draw(n, log_sd, sites, prior, rng, found.mean, found.sd)
    return found
