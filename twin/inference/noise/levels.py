"""The noise of the weights under a neural rule, by maximum likelihood on linearised chains of weights.

    w_{t+1} = A_t w_t + b_t + rate_r x_t (y_t - p_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

A and b are a rule's tangent along a filtered path (`extended_kalman`). Levels are shared by all mice. The likelihood is that of
an extended Kalman filter: p = sigmoid(k w . x), k = (1 + pi/8 Var(w . x))^-1/2 (MacKay 1992, Neural Comput 4:720).

What the filter adds to the weights after a choice, gain (y - p), is just what a learning rule may add, so a rule that was
fitted without noise, or with too little, stands in for it, and the noise would be found too small. Therefore the rates of
x (y - p) after errors and after rewards are free here too.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize

from agents.policy import evidence, sigmoid
from envs.compiled import kernel
from twin.engine import job_pool

FLATTENING = math.pi / 8
LEAST_NOISE, MOST_NOISE = 1e-4, 3.0
START = 0.03, 0.3  # first values of the trial and the day noise: where they are too small the likelihood is flat
LEAST_START = 0.01, 0.1  # the least in later rounds


class Noise(NamedTuple):
    """Standard deviations of what is added to each weight, (K,) each."""

    trial: np.ndarray
    day: np.ndarray


class Chains(NamedTuple):
    """Trials of all mice and their linearised dynamics, as the kernel reads them."""

    x: np.ndarray  # (M, T, K)
    choice: np.ndarray  # (M, T)
    reward: np.ndarray  # (M, T)
    counts: np.ndarray  # (M, T)
    new_session: np.ndarray  # (M, T)
    lengths: np.ndarray  # (M,)
    slope: np.ndarray  # (M, T, K, K)
    shift: np.ndarray  # (M, T, K)
    start: np.ndarray  # (M, K) initial weights


class ChainState(NamedTuple):
    """One mouse's weights under the filter, changed in place, and room for one trial."""

    mean: np.ndarray  # (K,)
    covariance: np.ndarray  # (K, K)
    with_logit: np.ndarray  # (K,) covariance of weights and logit
    moved: np.ndarray  # (K,) mean after the trial
    half: np.ndarray  # (K, K) slope of the trial times the covariance

    @classmethod
    def empty(cls, k: int) -> ChainState:
        """Of K weights, to be filled."""
        return cls(np.empty(k), np.empty((k, k)), np.empty(k), np.empty(k), np.empty((k, k)))


@kernel
def correct(state: Any, x: Any, choice: int) -> float:
    """Correct the weights by a choice, in place; log-probability of it."""
    n, spread = x.shape[0], 0.0
    for k in range(n):
        state.with_logit[k] = 0.0
        for j in range(n):
            state.with_logit[k] += state.covariance[k, j] * x[j]
        spread += state.with_logit[k] * x[k]
    flat = 1.0 / math.sqrt(1.0 + FLATTENING * spread)
    p = sigmoid(flat * evidence(state.mean, x))
    for k in range(n):
        state.mean[k] += flat * state.with_logit[k] * (choice - p)
        for j in range(n):
            state.covariance[k, j] -= flat * flat * p * (1.0 - p) * state.with_logit[k] * state.with_logit[j]
    return math.log(max(p if choice == 1 else 1.0 - p, 1e-300))


@kernel
def advance(state: Any, slope: Any, shift: Any, x: Any, rates: Any, choice: int) -> None:
    """Weights after a trial, in place; the rates (K,) add rate x (y - p) to the linear chain."""
    n, error, steepness = x.shape[0], 0.0, 0.0
    if choice >= 0:
        p = sigmoid(evidence(state.mean, x))
        error, steepness = choice - p, p * (1.0 - p)
    for k in range(n):
        state.moved[k] = shift[k] + rates[k] * x[k] * error
        for j in range(n):
            state.moved[k] += slope[k, j] * state.mean[j]
            state.half[k, j] = 0.0
            for i in range(n):
                state.half[k, j] += (slope[k, i] - rates[k] * x[k] * steepness * x[i]) * state.covariance[i, j]
    for k in range(n):
        state.mean[k] = state.moved[k]
        for j in range(n):
            state.covariance[k, j] = 0.0
            for i in range(n):
                state.covariance[k, j] += state.half[k, i] * (slope[j, i] - rates[j] * x[j] * steepness * x[i])


@kernel
def chain_log_likelihood(chains: Any, mouse: int, variance: Any, rates: Any, state: Any) -> float:
    """Log-probability of one mouse's choices, each given those before it.

    variance (2, K) of the trial and the day noise; rates (2, K) after errors and after rewards; `state` is a ChainState.
    """
    n, total = chains.x.shape[2], 0.0
    state.covariance[:] = 0.0
    for k in range(n):
        state.mean[k] = chains.start[mouse, k]
    for t in range(chains.lengths[mouse]):
        x, choice = chains.x[mouse, t], chains.choice[mouse, t]
        if chains.new_session[mouse, t] and t > 0:
            for k in range(n):
                state.covariance[k, k] += variance[1, k]
        if choice >= 0:
            log_p = correct(state, x, choice)
            if chains.counts[mouse, t]:
                total += log_p
        advance(state, chains.slope[mouse, t], chains.shift[mouse, t], x, rates[chains.reward[mouse, t]], choice)
        for k in range(n):
            state.covariance[k, k] += variance[0, k]
    return total


def fit_noise(chains: Chains, start: Noise) -> Noise:
    """Noise levels of highest likelihood on linearised chains, beginning from `start`."""
    nights, k = bool(chains.new_session[:, 1:].any()), chains.x.shape[2]
    groups = np.array_split(np.arange(len(chains.x)), torch.get_num_threads())
    levels = [np.clip(sd, least, MOST_NOISE) for sd, least in zip(start, LEAST_START, strict=True)]
    sd = np.log(np.concatenate(levels[: 1 + nights]))
    bounds = [(math.log(LEAST_NOISE), math.log(MOST_NOISE))] * len(sd) + [(-1.0, 1.0)] * (2 * k)
    options = {"ftol": 1e-10, "gtol": 1e-7, "maxiter": 40}

    with job_pool("threads", len(groups)) as pool:

        def objective(free: np.ndarray) -> float:
            noise, rates = _parts(free, k, nights)
            score = partial(_group_log_likelihood, chains=chains, noise=noise, rates=rates)
            return -sum(pool.each(score, groups)) / chains.counts.sum()

        found = minimize(objective, np.append(sd, np.zeros(2 * k)), method="L-BFGS-B", bounds=bounds, options=options)
    return _parts(found.x, k, nights)[0]


def _parts(free: np.ndarray, k: int, nights: bool) -> tuple[Noise, np.ndarray]:
    """Noise levels and rates (2, K) that the optimiser's values stand for."""
    sd = np.exp(free[: -2 * k]).reshape(-1, k)
    return Noise(sd[0], sd[1] if nights else np.zeros(k)), free[-2 * k :].reshape(2, k)


def _group_log_likelihood(mice: np.ndarray, chains: Chains, noise: Noise, rates: np.ndarray) -> float:
    state = ChainState.empty(chains.x.shape[2])
    return sum(chain_log_likelihood(chains, m, np.square(noise), rates, state) for m in mice)
