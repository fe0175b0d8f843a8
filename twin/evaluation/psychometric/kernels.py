"""Compiled maximum-likelihood fits of the psychometric function.

The negative log-likelihood (`likelihood`) is minimised over (bias, log threshold, lapse_low, lapse_high) in a box, from several
starts (`starts`), by Fisher scoring: Newton steps with the Fisher information in place of the Hessian, Levenberg-Marquardt
damping, and parameters held at a bound while the gradient pushes them out.

Limits: no search is certain to find the global minimum, least of all on sparse, lapsing, biased data. Kernels do not validate:
levels are in percent and ascending, n and right are trials and right choices per level, all float64 (L,).
"""

import math

import numpy as np
import numpy.typing as npt

from envs.compiled import njit
from twin.evaluation.psychometric.likelihood import negative_log_likelihood, score
from twin.evaluation.psychometric.starts import WIDEST, box_of, clip, start_point

Floats = npt.NDArray[np.float64]

ITERATIONS = 400  # at most, for each start; a dozen is usual
STARTS = 5  # of each fit, psychofit mle_fit_psycho
TOLERANCE = 1e-8
TIE = 1e-6  # a later start wins only by more than this (nats)


@njit(cache=True, nogil=True)
def fit_counts(levels: Floats, n: Floats, right: Floats) -> Floats:
    """Bias, threshold, lapse_low, lapse_high, nll; (5,), all NaN without trials.

    Levels with n = 0 are left out.
    """
    present = n > 0
    if not present.any():
        return np.full(5, np.nan)
    x, n, right = levels[present], n[present], right[present]
    box = box_of(x)
    best = np.inf
    fit = np.empty(5)
    for i in range(STARTS):
        point = start_point(i, x, n, right, box)
        nll = _descend(point, x, n, right, box)
        if nll < best - TIE:
            best = nll
            fit[:4] = point
    fit[1] = min(math.exp(fit[1]), WIDEST)
    fit[4] = best
    return fit


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
def _descend(point: Floats, levels: Floats, n: Floats, right: Floats, box: Floats) -> float:
    """Move a point (in place) to a local minimum of the negative log-likelihood in the box, and return it."""
    gradient = np.empty(4)
    information = np.empty((4, 4))
    step = np.empty(4)
    nll = negative_log_likelihood(point, levels, n, right)
    damping = 1e-3
    moved = True
    free = np.ones(4, dtype=np.bool_)
    for _ in range(ITERATIONS):
        if moved:
            score(point, levels, n, right, gradient, information)
            for j in range(4):
                pushed_out = point[j] <= box[1, j] if gradient[j] > 0 else point[j] >= box[2, j]
                free[j] = not pushed_out
        _newton_step(information, gradient, free, damping, step)
        tried = point + step
        clip(tried, box)
        tried_nll = negative_log_likelihood(tried, levels, n, right)
        moved = tried_nll < nll
        if moved:
            nll = tried_nll
            damping = max(damping / 10.0, 1e-9)
            point[:] = tried
        else:
            damping *= 10.0
        if -np.dot(gradient, step) < TOLERANCE or damping > 1e9:
            break
    return nll
