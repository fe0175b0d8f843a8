"""How long mice take to reach a status: survival curves, medians and the log-rank test, from scipy.

A mouse that has not reached its status when training ends is censored (on the right): all that is known of its time is that
it is longer than its training was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import CensoredData, ecdf, logrank


def censored(times: np.ndarray, reached: np.ndarray) -> Any:
    """Times (M,) as scipy takes them: to the status where it was `reached` (M,), else to the end of training (censored)."""
    return CensoredData.right_censored(times, ~reached)


def survival(times: np.ndarray, reached: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Kaplan-Meier estimate of the fraction of mice not yet at the status after each time of a grid (G,); (G,)."""
    return np.asarray(ecdf(censored(times, reached)).sf.evaluate(grid))


def median_time(times: np.ndarray, reached: np.ndarray) -> float | None:
    """Time by which half have reached the status, by the Kaplan-Meier estimate; None if the curve never falls to a half."""
    at = np.unique(times[reached])
    there = at[survival(times, reached, at) <= 0.5 + 1e-12] if len(at) else at  # a half, rounding aside
    return float(there[0]) if len(there) else None


def logrank_p(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float | None:
    """p of the log-rank test between two samples of (times, reached); None if no mouse of either reached the status.

    The test takes the samples for independent; the same mice in both make it conservative.
    """
    if not (a[1].any() or b[1].any()):
        return None
    if np.array_equal(a, b):
        return 1.0
    return float(logrank(censored(*a), censored(*b)).pvalue)
