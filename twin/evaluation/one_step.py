"""What choices say of a change of the rule that the fit has not made: score and information of it, mouse by mouse.

If every update of the weights had d more of r_t (for D such r), weights would be off by s_t d, where

    s_{t+1} = (I + df/dw) s_t + r_t,   s_0 = 0

and the log-likelihood would rise by score . d - d . information . d / 2, to second order. One step of Newton from the fit is
information^-1 score. Initial weights stay as they are: were they to move with it, each mouse's own, the step would be off even
from the true rule, and more mice would not help (Neyman & Scott 1948).

Reference. One-step estimators: van der Vaart 1998, Asymptotic Statistics, ch. 5.7.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin.data.trials import Trials
from twin.evaluation.diagnostics import innovations
from twin.inference.fit import Fit

MOVED = 0.01  # of a weight, for slopes of the update


class Direction(NamedTuple):
    """Of M mice, D directions."""

    score: np.ndarray  # (M, D)
    information: np.ndarray  # (M, D, D)


def slopes_of_update(fit: Fit, trials: Trials, weights: np.ndarray) -> np.ndarray:
    """How the update of a mouse that remembers nothing changes with its weights in each trial, (M, T, K, K); else 0.

    weights (M, T, K); row i, column k: of weight i by weight k.
    """
    out = np.zeros((*weights.shape, weights.shape[-1]))
    for m, row in enumerate(fit.rows(trials.ids)):
        at = np.flatnonzero(trials.mask[m])
        w, rest = weights[m, at], (trials.x[m, at], trials.choice[m, at], trials.reward[m, at])
        here = fit.update(row, w, *rest)
        for k, unit in enumerate(np.eye(w.shape[1])):
            out[m, at, :, k] = (fit.update(row, w + MOVED * unit, *rest) - here) / MOVED
    return out


def directions(more: np.ndarray, slopes: np.ndarray, trials: Trials, log_likelihood: np.ndarray) -> Direction:
    """Score and information of D changes `more` (M, T, K, D) of the updates; slopes as `slopes_of_update`.

    `log_likelihood` (M, T) is that of each choice by the fit.
    """
    mice, length, k, d = more.shape
    innovation, variance = innovations(log_likelihood, trials)
    moved, score, information = np.zeros((mice, k, d)), np.zeros((mice, d)), np.zeros((mice, d, d))
    for t in range(length):
        by_logit = np.einsum("mk,mkd->md", trials.x[:, t], moved)
        score += innovation[:, t, None] * by_logit
        information += variance[:, t, None, None] * by_logit[:, :, None] * by_logit[:, None, :]
        moved = moved + slopes[:, t] @ moved + more[:, t]
    return Direction(score, information)
