"""How a mouse decides: a Bernoulli GLM with lapses, as compiled functions of one trial.

P(right) = lapse_low + (1 - lapse_low - lapse_high) sigmoid(w . x), the lapses as in the IBL psychometric function.
"""

from __future__ import annotations

import math

import numpy as np

from envs.compiled import kernel


@kernel
def sigmoid(logit: float) -> float:
    """Logistic function, safe for any logit."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    e = math.exp(logit)
    return e / (1.0 + e)


@kernel
def evidence(weights: np.ndarray, x: np.ndarray) -> float:
    """The decision variable w . x, the logit of a right choice before lapses; weights and x are (K,)."""
    logit = 0.0
    for k in range(x.shape[0]):
        logit += weights[k] * x[k]
    return logit


@kernel
def with_lapses(p: float, lapse_low: float, lapse_high: float) -> float:
    """Probability of a right choice with lapses, from that without."""
    return lapse_low + (1.0 - lapse_low - lapse_high) * p
