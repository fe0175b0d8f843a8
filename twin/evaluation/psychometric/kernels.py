"""Compiled maximum-likelihood fits of the psychometric function.

The negative log-likelihood of

    P(right) = lapse_low + (1 - lapse_low - lapse_high) (erf((c - bias) / threshold) + 1) / 2

is minimised over (bias, log threshold, lapse_low, lapse_high) in a box, by Fisher scoring: Newton steps with the Fisher
information in place of the Hessian, Levenberg-Marquardt damping, and parameters held at a bound while the gradient
pushes them out. The surface has local minima, so several starts are tried, which depend only on the data and the box:

1. the usual start of the box;
2. the best step function, the limit of small thresholds, where a local search rarely arrives by itself;
3. and on: the likeliest of a few points of a fixed quasi-random sequence over bias and threshold, the lapses following
   by weighted least squares, because the curve is linear in them.

Limits: no search is certain to find the global minimum; on sparse, lapsing, biased data about one fit in a thousand
ends more than 0.001 nat above the best of 150 starts. Kernels do not validate: levels are in percent and ascending, n
and right are trials and right choices per level, all float64 (L,).

Source of the likelihood: psychofit `neg_likelihood`, used by ibllib.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)  # probabilities are kept this far from 0 and 1 (psychofit)
ITERATIONS = 400  # at most, for each start; a dozen is usual
DRAWS = 24  # quasi-random points compared for each start after the second
TOLERANCE = 1e-8
TIE = 1e-6  # a later start wins only by more than this (nats)


@njit(cache=True, nogil=True)
def p_right(contrast: float, bias: float, threshold: float, lapse_low: float, lapse_high: float) -> float:
    """The psychometric function at one contrast."""
    return lapse_low + (1.0 - lapse_low - lapse_high) * (math.erf((contrast - bias) / threshold) + 1.0) / 2.0


@njit(cache=True, nogil=True)
def curve(contrast: Floats, bias: float, threshold: float, lapse_low: float, lapse_high: float) -> Floats:
    """The psychometric function at each contrast of a 1-D array."""
    p = np.empty(contrast.size)
    for i in range(contrast.size):
        p[i] = p_right(contrast[i], bias, threshold, lapse_low, lapse_high)
    return p


@njit(cache=True, nogil=True)
def fit_rows(levels: Floats, n: Floats, right: Floats, table: Floats, starts: int) -> Floats:
    """`fit_counts` for each row of (N, L) arrays: (N, 5)."""
    fits = np.empty((n.shape[0], 5))
    for row in range(n.shape[0]):
        fits[row] = fit_counts(levels[row], n[row], right[row], table, starts)
    return fits


@njit(cache=True, nogil=True)
def fit_counts(levels: Floats, n: Floats, right: Floats, table: Floats, starts: int) -> Floats:
    """Bias, threshold, lapse_low, lapse_high, nll; (5,), all NaN without trials.

    Levels with n = 0 are left out. table: (3, 4), start, low and high, NaN where the levels decide.
    """
    present = n > 0
    if not present.any():
        return np.full(5, np.nan)
    x, n, right = levels[present], n[present], right[present]
    box = _box(x, table)
    best, fit = np.inf, np.empty(5)
    for i in range(starts):
        theta = _start(i, x, n, right, box)
        nll = _descend(theta, x, n, right, box)
        if nll < best - TIE:
            best = nll
            fit[:4] = theta
    fit[1] = min(max(math.exp(fit[1]), table[1, 1]), table[2, 1])
    fit[4] = best
    return fit


@njit(cache=True, nogil=True)
def _box(levels: Floats, table: Floats) -> Floats:
    """Start, low and high (3, 4) for these levels, the threshold as a logarithm."""
    box, gap = table.copy(), 1.0
    for i in range(1, levels.size):
        gap = min(gap, levels[i] - levels[i - 1]) if i > 1 else levels[i] - levels[i - 1]
    steepest = max(gap / 12.0, 1e-3)  # erf(6) is 1 in double precision: anything steeper is the same step
    box[1, 1] = max(box[1, 1], min(steepest, box[2, 1]))
    for row, value in enumerate((levels.mean(), levels[0], levels[-1])):
        if math.isnan(box[row, 0]):
            box[row, 0] = value
        box[row, 1] = math.log(box[row, 1])
    _clip(box[0], box)
    return box


@njit(cache=True, nogil=True)
def _clip(theta: Floats, box: Floats) -> None:
    """Move theta into the box, in place."""
    for j in range(4):
        theta[j] = min(max(theta[j], box[1, j]), box[2, j])


@njit(cache=True, nogil=True)
def _start(i: int, levels: Floats, n: Floats, right: Floats, box: Floats) -> Floats:
    """The i-th start, counted from 0: the box's own, the best step, then the best of DRAWS profile points each."""
    if i == 0:
        return box[0].copy()
    theta = np.empty(4)
    if i == 1:
        _best_step(levels, n, right, theta)
        _clip(theta, box)
        return theta
    best = np.inf
    for draw in range((i - 2) * DRAWS + 1, (i - 1) * DRAWS + 1):
        point = _profile_point(draw, levels, n, right, box)
        nll = _nll(point, levels, n, right)
        if nll < best:
            best = nll
            theta[:] = point
    return theta


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
    _clip(point, box)
    return point


@njit(cache=True, nogil=True)
def _best_step(levels: Floats, n: Floats, right: Floats, theta: Floats) -> None:
    """The likeliest step, between two levels or through one of them, as a very steep curve in theta (in place)."""
    best = np.inf
    for first in range(levels.size):  # levels before `first` are on the floor, those from `last` on the ceiling
        for last in range(first, min(first + 2, levels.size)):
            n_low, n_high = n[:first].sum(), n[last:].sum()
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
                theta[0] = levels[first] if last > first else (levels[max(first - 1, 0)] + levels[first]) / 2.0
                theta[1], theta[2], theta[3] = -np.inf, low, 1.0 - high


@njit(cache=True, nogil=True)
def _entropy(p: float) -> float:
    """Nats per trial of the likeliest constant p."""
    return 0.0 if p <= 0.0 or p >= 1.0 else -p * math.log(p) - (1.0 - p) * math.log(1.0 - p)


@njit(cache=True, nogil=True)
def _nll(theta: Floats, levels: Floats, n: Floats, right: Floats) -> float:
    """Binomial negative log-likelihood (nats) without its constant; theta: bias, log threshold, lapses."""
    total, threshold = 0.0, math.exp(theta[1])
    for i in range(levels.size):
        p = p_right(levels[i], theta[0], threshold, theta[2], theta[3])
        p = min(max(p, EPSILON), 1.0 - EPSILON)
        total -= right[i] * math.log(p) + (n[i] - right[i]) * math.log(1.0 - p)
    return total


@njit(cache=True, nogil=True)
def _score(theta: Floats, levels: Floats, n: Floats, right: Floats, gradient: Floats, information: Floats) -> None:
    """Gradient (4,) of the negative log-likelihood and Fisher information (4, 4), in place."""
    gradient[:] = 0.0
    information[:] = 0.0
    threshold, span = math.exp(theta[1]), 1.0 - theta[2] - theta[3]
    slope = np.empty(4)
    for i in range(levels.size):
        z = (levels[i] - theta[0]) / threshold
        cumulative = (math.erf(z) + 1.0) / 2.0
        density = span * math.exp(-z * z) / math.sqrt(math.pi)
        slope[0], slope[1], slope[2], slope[3] = -density / threshold, -density * z, 1.0 - cumulative, -cumulative
        p = min(max(theta[2] + span * cumulative, EPSILON), 1.0 - EPSILON)
        weight = 1.0 / (p * (1.0 - p))
        for j in range(4):
            gradient[j] -= (right[i] - n[i] * p) * weight * slope[j]
            for k in range(j + 1):
                information[j, k] += n[i] * weight * slope[j] * slope[k]


@njit(cache=True, nogil=True)
def _newton_step(information: Floats, gradient: Floats, free: npt.NDArray[np.bool_], damping: float, step: Floats) -> None:
    """Solve (information + damping diagonal) step = -gradient over the free parameters, by Cholesky, in place."""
    factor = np.zeros((4, 4))
    for j in range(4):
        for k in range(j + 1):
            value = information[j, k] if free[j] and free[k] else 0.0
            if j == k:
                value = value * (1.0 + damping) if value > 1e-12 else 1.0
            for m in range(k):
                value -= factor[j, m] * factor[k, m]
            factor[j, k] = math.sqrt(max(value, 1e-12)) if j == k else value / factor[k, k]
        step[j] = -gradient[j] if free[j] else 0.0
    for j in range(4):
        for m in range(j):
            step[j] -= factor[j, m] * step[m]
        step[j] /= factor[j, j]
    for j in range(3, -1, -1):
        for m in range(j + 1, 4):
            step[j] -= factor[m, j] * step[m]
        step[j] /= factor[j, j]


@njit(cache=True, nogil=True)
def _descend(theta: Floats, levels: Floats, n: Floats, right: Floats, box: Floats) -> float:
    """Move theta (in place) to a local minimum of the negative log-likelihood in the box, and return it."""
    gradient, information, step = np.empty(4), np.empty((4, 4)), np.empty(4)
    nll, damping, moved = _nll(theta, levels, n, right), 1e-3, True
    free = np.ones(4, dtype=np.bool_)
    for _ in range(ITERATIONS):
        if moved:
            _score(theta, levels, n, right, gradient, information)
            for j in range(4):
                pushed_out = theta[j] <= box[1, j] if gradient[j] > 0 else theta[j] >= box[2, j]
                free[j] = not pushed_out
        _newton_step(information, gradient, free, damping, step)
        trial = theta + step
        _clip(trial, box)
        trial_nll = _nll(trial, levels, n, right)
        moved = trial_nll < nll
        if moved:
            nll, damping = trial_nll, max(damping / 10.0, 1e-9)
            theta[:] = trial
        else:
            damping *= 10.0
        if -np.dot(gradient, step) < TOLERANCE or damping > 1e9:
            break
    return nll
