"""How good forecasts are that are ensembles: many equally likely futures, of which one came.

References. CRPS, and the fair version of it for ensembles: Gneiting & Raftery 2007, J Am Stat Assoc 102:359; Ferro 2014,
Q J R Meteorol Soc 140:1917. PIT with ties, at random among them: Czado, Gneiting & Held 2009, Biometrics 65:1254.
"""

from __future__ import annotations

import numpy as np

PIT_BINS = 10
BANDS = (0.5, 0.8)


def crps(ensemble: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of S futures (S, ...) against what came (...); (...), in the unit of both.

    mean |x - y| - sum_{i < j} |x_i - x_j| / (S (S - 1)), which is fair: expected of a forecast that is right, it does not
    depend on S. One future alone is scored by its distance.
    """
    s = len(ensemble)
    distance = np.abs(ensemble - observed).mean(axis=0)
    if s == 1:
        return np.asarray(distance)
    rank = np.arange(s).reshape(-1, *[1] * (ensemble.ndim - 1))
    between = ((2 * rank - s + 1) * np.sort(ensemble, axis=0)).sum(axis=0)
    return np.asarray(distance - between / (s * (s - 1)))


def pit(ensemble: np.ndarray, observed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place (...) of what came (...) among S futures (S, ...), 0 to 1, at random in ties: uniform if forecasts are right."""
    below, same = (ensemble < observed).sum(axis=0), (ensemble == observed).sum(axis=0)
    return np.asarray((below + rng.random(np.shape(observed)) * (same + 1)) / (len(ensemble) + 1))


def covered(places: np.ndarray, band: float) -> float:
    """Fraction of the places (N,) among their futures that lie in the central band."""
    return float((np.abs(places - 0.5) <= band / 2).mean())


def pit_counts(places: np.ndarray) -> list[int]:
    """How many places (N,) lie in each of PIT_BINS bins from 0 to 1."""
    return [int(n) for n in np.histogram(places, bins=PIT_BINS, range=(0.0, 1.0))[0]]


def censored_pit(times: np.ndarray, observed: float, horizon: int, rng: np.random.Generator) -> float:
    """`pit` of a time, where times (S,) that are NaN, or the one observed, are known to be beyond a horizon only."""
    beyond = horizon + 1
    ensemble = np.where(np.isfinite(times) & (times <= horizon), times, beyond)
    came = observed if np.isfinite(observed) and observed <= horizon else beyond
    return float(pit(ensemble, np.array(came), rng))
