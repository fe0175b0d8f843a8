"""What the weights of a mouse were, given all its choices: the most probable path, its covariance, and the evidence.

    w_{t+1} = A_t w_t + b_t + N(0, Q_t),   y_t ~ Bernoulli(sigmoid(w_t . x_t)),   w_0 known;   Q_t diagonal

Idea. The log-posterior of a path is a sum over neighbouring trials, so its Hessian is block-tridiagonal, and one step of
Newton's method costs a time linear in trials. A step is the same as smoothing a linear-Gaussian chain in which each choice is
replaced by an observation of the logit with the gradient and curvature of its log-likelihood. It is done in that form, by a
Kalman filter and the backward recursion of Bryson & Frazier, because nothing is inverted there but numbers: a weight without
noise (Q = 0), which would make the Hessian infinite, needs no special care. At convergence the covariances of the last step are
the diagonal and the neighbouring blocks of the inverse Hessian (Laplace), and the same pass gives the Laplace evidence.

For a learning rule, A_t and b_t are its linearisation along the path, renewed before every step (Gauss-Newton, without the
second derivatives of the rule: the iterated smoother of Bell 1994, SIAM J Optim 4:626).

References. The model without a rule, and its Hessian: PsyTrack, Roy et al 2021, Neuron 109:597. With a rule: Ashwood et al
2020, NeurIPS. Bryson-Frazier smoother: Bierman 1973, Automatica 9:503.

Limits. With lapses the curvature is its expectation over choices (Fisher scoring). A step is halved while it lowers the
posterior, which a linearised rule need not climb monotonically; `converged` tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envs.compiled import njit

STEPS = 60  # of Newton's method
TOLERANCE = 1e-10  # largest change of a weight at which the path counts as found
HALVINGS = 6  # of a step that lowers the posterior

Dynamics = tuple[np.ndarray, np.ndarray]  # A (T, K, K) and b (T, K) from each trial to the next
compiled = njit(cache=True, nogil=True)


class ObservedChoices(NamedTuple):
    """What one mouse did, and how noisy its weights are."""

    x: np.ndarray  # (T, K)
    choice: np.ndarray  # (T,): 0, 1, or -1 without a choice
    variance: np.ndarray  # (T, K) of the noise between a trial and the next
    lapses: np.ndarray  # (2,)


class Smoothed(NamedTuple):
    """The posterior of a path of weights."""

    path: np.ndarray  # (T, K) most probable
    covariance: np.ndarray  # (T, K, K)
    across: np.ndarray  # (T, K, K) covariance of the weights of a trial (rows) and of the next (columns); last: 0
    evidence: float  # Laplace approximation of the log-probability of the choices, natural
    converged: bool


@compiled
def choice_terms(logit: float, choice: int, lapses: np.ndarray) -> tuple:
    """Log-probability of a choice, its derivative by the logit, and its expected curvature (positive)."""
    if choice < 0:
        return 0.0, 0.0, 0.0
    e = math.exp(-abs(logit))
    right, left = (1.0 / (1.0 + e), e / (1.0 + e)) if logit >= 0 else (e / (1.0 + e), 1.0 / (1.0 + e))
    engaged = 1.0 - lapses[0] - lapses[1]
    p, q, slope = lapses[0] + engaged * right, lapses[1] + engaged * left, engaged * right * left
    if choice == 1:
        return math.log(p), slope / p, slope * slope / (p * q)
    return math.log(q), -slope / q, slope * slope / (p * q)


class NewtonStep(NamedTuple):
    """What one step finds, and what its backward pass needs of the forward pass; filled in place."""

    path: np.ndarray  # (T, K) the new one
    covariance: np.ndarray  # (T, K, K)
    across: np.ndarray  # (T, K, K) as in Smoothed
    prior: np.ndarray  # (T, K, K) covariance of the weights before each choice, given the choices before it
    innovation: np.ndarray  # (T,) of the logit, times its precision
    precision: np.ndarray  # (T,) of the innovation: the inverse of its variance

    @classmethod
    def empty(cls, n: int, k: int) -> NewtonStep:
        """Of N trials and K weights, to be filled."""
        blocks = (n, k, k)
        return cls(np.empty((n, k)), np.empty(blocks), np.empty(blocks), np.empty(blocks), np.empty(n), np.empty(n))


@compiled
def forward(data: Any, slope: np.ndarray, shift: np.ndarray, path: np.ndarray, step: Any) -> float:
    """Kalman filter around `path`: means, covariances and innovations before each choice; returns the evidence."""
    x, choice, variance, lapses = data
    evidence, mean = 0.0, path[0].copy()
    step.prior[0] = 0.0
    for t in range(x.shape[0]):
        step.path[t] = mean
        before = step.prior[t] @ x[t]
        spread, logit = x[t] @ before, path[t] @ x[t]
        log_p, gradient, curvature = choice_terms(logit, choice[t], lapses)
        ahead, widened = logit - mean @ x[t], 1.0 + curvature * spread
        evidence += log_p - 0.5 * math.log(widened)
        evidence += 0.5 * (gradient * gradient * spread - 2.0 * gradient * ahead - curvature * ahead * ahead) / widened
        step.innovation[t] = (gradient + curvature * ahead) / widened
        step.precision[t] = curvature / widened
        after = step.prior[t] - step.precision[t] * np.outer(before, before)
        step.across[t] = after @ slope[t].T
        if t + 1 < x.shape[0]:
            mean = slope[t] @ (mean + before * step.innovation[t]) + shift[t]
            step.prior[t + 1] = slope[t] @ step.across[t] + np.diag(variance[t])
    return evidence


@compiled
def backward(x: np.ndarray, slope: np.ndarray, step: Any) -> None:
    """Bryson-Frazier recursion: path and covariances given all choices, by the adjoint of the mean and its information."""
    n, k = x.shape
    adjoint, information = np.zeros(k), np.zeros((k, k))
    for t in range(n - 1, -1, -1):
        prior = step.prior[t]
        kept = np.eye(k) - step.precision[t] * np.outer(prior @ x[t], x[t])
        step.across[t] = step.across[t] @ (np.eye(k) - information @ step.prior[t + 1]) if t + 1 < n else np.zeros((k, k))
        adjoint = kept.T @ (slope[t].T @ adjoint) + x[t] * step.innovation[t]
        information = kept.T @ (slope[t].T @ information @ slope[t]) @ kept + step.precision[t] * np.outer(x[t], x[t])
        step.path[t] += prior @ adjoint
        step.covariance[t] = prior - prior @ information @ prior


@compiled
def log_posterior(data: Any, slope: np.ndarray, shift: np.ndarray, path: np.ndarray) -> float:
    """Log-density of a path and its choices, minus a constant; weights without noise count as following exactly."""
    x, choice, variance, lapses = data
    total = 0.0
    for t in range(x.shape[0]):
        total += choice_terms(path[t] @ x[t], choice[t], lapses)[0]
        if t + 1 < x.shape[0]:
            surprise = path[t + 1] - slope[t] @ path[t] - shift[t]
            for k in range(x.shape[1]):
                if variance[t, k] > 0.0:
                    total -= 0.5 * surprise[k] * surprise[k] / variance[t, k]
    return total


def smooth(data: ObservedChoices, start: np.ndarray, dynamics: Callable[[np.ndarray], Dynamics]) -> Smoothed:
    """Smooth the weights of one mouse.

    `start` (T, K) is a path to begin with, its first row the known initial weights; `dynamics(path)` gives A and b.
    """
    path = np.ascontiguousarray(start, float)
    step = NewtonStep.empty(*path.shape)
    slope, shift = dynamics(path)
    reached = log_posterior(data, slope, shift, path)
    for _ in range(STEPS):
        evidence = forward(data, slope, shift, path, step)
        backward(data.x, slope, step)
        change = step.path - path
        if np.abs(change).max() < TOLERANCE:
            return Smoothed(step.path, step.covariance, step.across, evidence, True)
        for halving in range(HALVINGS):
            candidate = path + change / 2**halving
            slope, shift = dynamics(candidate)
            value = log_posterior(data, slope, shift, candidate)
            if value >= reached - 1e-9 * abs(reached):
                break
        path, reached = candidate, value
    return Smoothed(path, step.covariance, step.across, evidence, False)
