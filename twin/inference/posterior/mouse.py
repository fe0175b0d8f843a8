"""What the choices of one mouse say of its parameters: climbing, information, and draws weighed by the likelihood itself.

All ask for the likelihood at many parameters at once, which is what it is fast at. Derivatives are central differences: the
filter is smooth, and its log-likelihood exact to 1e-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np

from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.coordinates import Coordinates

STEP = 1e-4  # of the differences, on the scale of the coordinates
CLIMBS, CLOSE = 20, 0.02  # steps at most, and the gain in log-density below which none is worth while
FRACTIONS_OF_STEP = 2.0 ** np.array([0, -1, -2, -3, -5, -7, 0.5, 1])
HEAVY, WIDER = 8, 1.1  # degrees of freedom of the t distribution that draws come from, and its width over the normal's


class Scores(NamedTuple):
    """The log-likelihood at one point, and its derivatives over the F coordinates."""

    value: float
    gradient: np.ndarray  # (F,)
    information: np.ndarray  # (F, F), of Fisher


class Normal(NamedTuple):
    """A normal density of coordinates: what a mouse is before its choices."""

    mean: np.ndarray  # (..., F)
    sd: np.ndarray  # (..., F)
    correlation: np.ndarray | None = None  # (F, F); None: they are independent of each other

    @property
    def precision(self) -> np.ndarray:
        """Inverse of the covariance, (..., F, F)."""
        between = np.eye(self.sd.shape[-1]) if self.correlation is None else np.linalg.inv(self.correlation)
        return np.asarray(between / (self.sd[..., :, None] * self.sd[..., None, :]))

    def log_density(self, u: np.ndarray) -> np.ndarray:
        """Log-density (...) at u (..., F), up to a constant that does not depend on u."""
        away = u - self.mean
        return np.asarray(-0.5 * np.einsum("...i,...ij,...j->...", away, self.precision, away))


class Weighed(NamedTuple):
    """Draws of coordinates, and their weights, which sum to 1."""

    u: np.ndarray  # (S, F)
    weights: np.ndarray  # (S,)

    @property
    def effective(self) -> float:
        """How many draws of equal weight are worth as much."""
        return float(1.0 / (self.weights**2).sum())


@dataclass(frozen=True)
class Mouse:
    """The likelihood of one mouse over its coordinates."""

    likelihood: FilteredLikelihood
    coordinates: Coordinates
    name: str

    def random(self, purpose: int) -> np.random.Generator:
        """Random numbers of its own, whatever mice it is among."""
        return np.random.default_rng([crc32(self.name.encode()), purpose])

    def log_likelihoods(self, u: np.ndarray) -> np.ndarray:
        """At coordinates u (B, F): (B,)."""
        return self.likelihood.log_likelihoods(self.coordinates.theta(u))

    def scores(self, u: np.ndarray) -> Scores:
        """At coordinates u (F,), by central differences; the information is expected given the past of each trial."""
        f = len(u)
        steps = STEP * np.concatenate([np.eye(f), -np.eye(f), np.zeros((1, f))])
        log_p = self.likelihood.log_chosen(self.coordinates.theta(u + steps))
        slopes = (log_p[:f] - log_p[f : 2 * f]) / (2 * STEP)
        odds = np.exp(log_p[-1]) / np.maximum(-np.expm1(log_p[-1]), 1e-12)
        return Scores(float(log_p[-1].sum()), slopes.sum(axis=1), (slopes * odds) @ slopes.T)

    def climb(self, u: np.ndarray, before: Normal) -> np.ndarray:
        """Coordinates (F,) of highest posterior density, from u on: Fisher's scoring with a search along each step."""
        for _ in range(CLIMBS):
            here = self.scores(u)
            precision = before.precision
            gradient = here.gradient - precision @ (u - before.mean)
            step = np.linalg.solve(here.information + precision, gradient)
            if step @ gradient < CLOSE:
                break
            tried = u + FRACTIONS_OF_STEP[:, None] * step
            found = self.log_likelihoods(tried) + before.log_density(tried)
            best = int(np.nanargmax(found))
            if not found[best] > here.value + before.log_density(u):
                break
            u = tried[best]
        return u


def weighed(u: np.ndarray, log_weights: np.ndarray) -> Weighed:
    """Draws with their weights, of which none exceeds sqrt(S) times their mean (Ionides 2008, J Comput Graph Stat 17:295)."""
    weights = np.exp(log_weights - log_weights.max())
    weights = np.minimum(weights, weights.mean() * np.sqrt(len(weights)))
    return Weighed(u, weights / weights.sum())


class Heavy(NamedTuple):
    """Standard draws of a t distribution, and the log-ratio of the standard normal's density to its own."""

    z: np.ndarray  # (S, F)
    log_ratio: np.ndarray  # (S,)


def heavy(n: int, f: int, rng: np.random.Generator) -> Heavy:
    """`n` draws (an even number) in F dimensions, in pairs of opposite sign."""
    half = rng.standard_normal((n // 2, f)) / np.sqrt(rng.chisquare(HEAVY, n // 2) / HEAVY)[:, None]
    z = WIDER * np.concatenate([half, -half])
    squared = (z**2).sum(axis=1)
    return Heavy(z, -0.5 * squared + 0.5 * (HEAVY + f) * np.log1p(squared / WIDER**2 / HEAVY))
