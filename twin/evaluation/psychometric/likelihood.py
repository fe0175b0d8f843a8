"""The psychometric function and the binomial likelihood of choices under it, compiled.

    P(right) = lapse_low + (1 - lapse_low - lapse_high) (erf((c - bias) / threshold) + 1) / 2

A `point` is one curve as the search moves it, (4,): bias, log threshold, lapse_low, lapse_high. Kernels do not validate: levels
are in percent and ascending, n and right are trials and right choices at each, all float64 (L,).

Source of the likelihood: psychofit `neg_likelihood`, used by ibllib.
"""

import math

import numpy as np
import numpy.typing as npt

from envs.compiled import njit

Floats = npt.NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)  # probabilities are kept this far from 0 and 1 (psychofit)


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
def negative_log_likelihood(point: Floats, levels: Floats, n: Floats, right: Floats) -> float:
    """Binomial negative log-likelihood of a point, in nats, without its constant."""
    total = 0.0
    threshold = math.exp(point[1])
    for i in range(levels.size):
        p = p_right(levels[i], point[0], threshold, point[2], point[3])
        p = min(max(p, EPSILON), 1.0 - EPSILON)
        total -= right[i] * math.log(p) + (n[i] - right[i]) * math.log(1.0 - p)
    return total


@njit(cache=True, nogil=True)
def score(point: Floats, levels: Floats, n: Floats, right: Floats, gradient: Floats, information: Floats) -> None:
    """Gradient (4,) of the negative log-likelihood and Fisher information (4, 4), in place."""
    gradient[:] = 0.0
    information[:] = 0.0
    threshold = math.exp(point[1])
    span = 1.0 - point[2] - point[3]
    slope = np.empty(4)
    for i in range(levels.size):
        z = (levels[i] - point[0]) / threshold
        cumulative = (math.erf(z) + 1.0) / 2.0
        density = span * math.exp(-z * z) / math.sqrt(math.pi)
        slope[0] = -density / threshold
        slope[1] = -density * z
        slope[2] = 1.0 - cumulative
        slope[3] = -cumulative
        p = min(max(point[2] + span * cumulative, EPSILON), 1.0 - EPSILON)
        weight = 1.0 / (p * (1.0 - p))
        for j in range(4):
            gradient[j] -= (right[i] - n[i] * p) * weight * slope[j]
            for k in range(j + 1):
                information[j, k] += n[i] * weight * slope[j] * slope[k]
