"""Confidence intervals of fractions, for the psychometric points and for survival curves alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

Floats = npt.NDArray[np.float64]


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """95 % intervals (low, high) of binomial fractions, (G,) each (Wilson 1927, J Am Stat Assoc 22:209).

    successes: (G,) whole numbers. n: (G,), or one number for all, at least 1.
    """
    pairs = zip(*(a.astype(int).tolist() for a in np.broadcast_arrays(successes, n)), strict=True)
    intervals = [binomtest(k, total).proportion_ci(method="wilson") for k, total in pairs]
    return np.array([i.low for i in intervals]), np.array([i.high for i in intervals])
