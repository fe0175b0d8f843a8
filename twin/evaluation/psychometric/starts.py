"""Where the search for a psychometric curve starts, and the box it stays in, compiled.

The likelihood has local minima, so several starts are tried, which depend only on the data and the box:

1. the usual start of the box;
2. the best step function, the limit of small thresholds, where a local search rarely arrives by itself;
3. and on: the likeliest of a few points of a fixed quasi-random sequence over bias and threshold, the lapses following
   by weighted least squares, because the curve is linear in them.

A `point` is (4,): bias, log threshold, lapse_low, lapse_high; a box is (3, 4): rows start, low, high.
"""

import math

import numpy as np
import numpy.typing as npt

from envs.compiled import njit
from twin.evaluation.psychometric.likelihood import negative_log_likelihood, p_right

Floats = npt.NDArray[np.float64]

WIDEST = 100.0  # largest threshold, percent
DRAWS = 24  # quasi-random points compared for each start after the second


@njit(cache=True, nogil=True)
def box_of(levels: Floats) -> Floats:
    """Start, low and high (3, 4) of a fit to these levels (ibllib `compute_psychometric(plotting=False)`)."""
    box = np.empty((3, 4))
    box[0] = levels.mean(), math.log(20.0), 0.05, 0.05
    box[1] = levels[0], math.log(_steepest(levels)), 0.0, 0.0
    box[2] = levels[-1], math.log(WIDEST), 1.0, 1.0
    clip(box[0], box)
    return box


@njit(cache=True, nogil=True)
def _steepest(levels: Floats) -> float:
    """The smallest threshold worth a try: erf(6) is 1 in double precision, so anything steeper is the same step."""
    gap = np.diff(levels).min() if levels.size > 1 else 1.0
    return max(gap / 12.0, 1e-3)


@njit(cache=True, nogil=True)
def clip(point: Floats, box: Floats) -> None:
    """Move a point into the box, in place."""
    for j in range(4):
        point[j] = min(max(point[j], box[1, j]), box[2, j])


@njit(cache=True, nogil=True)
def start_point(i: int, levels: Floats, n: Floats, right: Floats, box: Floats) -> Floats:
    """The i-th start, counted from 0: the box's own, the best step, then the best of DRAWS profile points each."""
    if i == 0:
        return box[0].copy()
    point = np.empty(4)
    if i == 1:
        _best_step(levels, n, right, point)
        clip(point, box)
        return point
    best = np.inf
    for draw in range((i - 2) * DRAWS + 1, (i - 1) * DRAWS + 1):
        candidate = _profile_point(draw, levels, n, right, box)
        nll = negative_log_likelihood(candidate, levels, n, right)
        if nll < best:
            best = nll
            point[:] = candidate
    return point


@njit(cache=True, nogil=True)
def _profile_point(draw: int, levels: Floats, n: Floats, right: Floats, box: Floats) -> Floats:
    """Bias and threshold from a quasi-random sequence, lapses by weighted least squares given those."""
    rank = (0.5 + draw / 1.324717957244746) % 1.0 * (levels.size - 1)  # 1.3247...: the root of g**3 = g + 1
    below = min(int(rank), max(levels.size - 2, 0))
    point = np.empty(4)
    point[0] = levels[below] + (rank - below) * (levels[min(below + 1, levels.size - 1)] - levels[below])
    point[1] = box[1, 1] + (0.5 + draw / 1.324717957244746**2) % 1.0 * (box[2, 1] - box[1, 1])
    ff = fc = cc = fp = cp = 0.0
    for i in range(levels.size):
        ceiling = p_right(levels[i], point[0], math.exp(point[1]), 0.0, 0.0)
        p = (right[i] + 0.5) / (n[i] + 1.0)
        w = n[i] / (p * (1.0 - p))
        ff += w * (1.0 - ceiling) ** 2
        fc += w * (1.0 - ceiling) * ceiling
        cc += w * ceiling**2
        fp += w * (1.0 - ceiling) * p
        cp += w * ceiling * p
    determinant = max(ff * cc - fc * fc, 1e-9)
    point[2] = (fp * cc - cp * fc) / determinant
    point[3] = 1.0 - (cp * ff - fp * fc) / determinant
    clip(point, box)
    return point


@njit(cache=True, nogil=True)
def _best_step(levels: Floats, n: Floats, right: Floats, point: Floats) -> None:
    """The likeliest step, between two levels or through one of them, written into `point` as a very steep curve."""
    best = np.inf
    for first in range(levels.size):  # levels before `first` are on the floor, those from `last` on the ceiling
        for last in range(first, min(first + 2, levels.size)):
            n_low = n[:first].sum()
            n_high = n[last:].sum()
            low = right[:first].sum() / n_low if first > 0 else 0.0
            high = right[last:].sum() / n_high
            nll = n_low * _entropy(low) + n_high * _entropy(high)
            middle = right[first] / n[first]
            if last > first:
                if first == 0 or not min(low, high) < middle < max(low, high):
                    continue
                nll += n[first] * _entropy(middle)
            if nll < best:
                best = nll
                point[0] = levels[first] if last > first else (levels[max(first - 1, 0)] + levels[first]) / 2.0
                point[1] = -np.inf
                point[2] = low
                point[3] = 1.0 - high


@njit(cache=True, nogil=True)
def _entropy(p: float) -> float:
    """Nats per trial of the likeliest constant p."""
    return 0.0 if p <= 0.0 or p >= 1.0 else -p * math.log(p) - (1.0 - p) * math.log(1.0 - p)
