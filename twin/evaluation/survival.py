"""Times until something happens, for some mice not seen to: survival curves, medians and the log-rank test, from scipy.

A mouse that has not reached its status when training ends is censored: all that is known is that it takes longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import CensoredData, binomtest, ecdf, logrank


def censored(times: np.ndarray, reached: np.ndarray) -> Any:
    """Times (M,) of mice; of those that have not `reached` (M,) it, the time until which they were watched."""
    return CensoredData.right_censored(times, ~reached)


def survival(times: np.ndarray, reached: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Kaplan-Meier estimate of the fraction that has not reached it after each time of a grid; (G,)."""
    return np.asarray(ecdf(censored(times, reached)).sf.evaluate(grid))


def median_time(times: np.ndarray, reached: np.ndarray) -> float | None:
    """Time by which half have reached it, by the Kaplan-Meier estimate; None if the curve never falls to a half."""
    at = np.unique(times[reached])
    there = at[survival(times, reached, at) <= 0.5 + 1e-12] if len(at) else at
    return float(there[0]) if len(there) else None


def band(fraction: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % band (low, high) of fractions of n mice (Wilson 1927), each (G,).

    It is that of a survival curve as long as no mouse has been censored: there the estimate is a plain fraction.
    """
    intervals = [binomtest(round(f * n), n).proportion_ci(method="wilson") for f in fraction]
    return np.array([i.low for i in intervals]), np.array([i.high for i in intervals])


def logrank_p(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float | None:
    """p of the log-rank test between two samples of (times, reached); None if neither has a mouse that reached it.

    It takes the samples for independent ones. The same mice in both make it conservative.
    """
    if not (a[1].any() or b[1].any()):
        return None
    if np.array_equal(a, b):
        return 1.0
    return float(logrank(censored(*a), censored(*b)).pvalue)
