"""The noise of the weights under a neural rule, by maximum likelihood on linearised chains of weights.

    w_{t+1} = A_t w_t + b_t + rate_r x_t (y_t - p_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

A and b are a rule's tangent along a filtered path (`tracking`). Levels are shared by all mice. The likelihood is that of an
extended Kalman filter: p = sigmoid(k w . x), k = (1 + pi/8 Var(w . x))^-1/2 (MacKay 1992, Neural Comput 4:720).

What the filter adds to the weights after a choice, gain (y - p), is just what a learning rule may add, so a rule that was
fitted without noise, or with too little, stands in for it. Therefore the rates of x (y - p) after errors and after rewards are
free here too. Without them the noise of the setting of Table 4 (100 mice, noise a) came out as .59 a in a first round and .79 a
in a third; with them as 1.05 a and 1.03 a.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize

from agents.policy import evidence, sigmoid
from envs.compiled import kernel

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


@kernel
def advance(
    m: Any, c: Any, slope: Any, shift: Any, x: Any, rates: Any, error: float, steepness: float, out: Any, wide: Any
) -> None:
    """Mean m (K,) and covariance c (K, K) after a trial, in place; the rates add rate x (y - p) to the linear chain."""
    n = x.shape[0]
    for k in range(n):
        out[k] = shift[k] + rates[k] * x[k] * error
        for j in range(n):
            out[k] += slope[k, j] * m[j]
            wide[k, j] = 0.0
            for i in range(n):
                wide[k, j] += (slope[k, i] - rates[k] * x[k] * steepness * x[i]) * c[i, j]
    for k in range(n):
        m[k] = out[k]
        for j in range(n):
            c[k, j] = 0.0
            for i in range(n):
                c[k, j] += wide[k, i] * (slope[j, i] - rates[j] * x[j] * steepness * x[i])


@kernel
def chain_log_likelihood(chains: Any, mouse: int, variance: Any, rates: Any, room: Any) -> float:
    """Log-probability of one mouse's choices, each given those before it.

    variance (2, K) of the trial and the day noise; rates (2, K) after errors and after rewards; room (2K + 3, K).
    """
    n, total = chains.x.shape[2], 0.0
    c, wide, m, out, before = room[:n], room[n : 2 * n], room[2 * n], room[2 * n + 1], room[2 * n + 2]
    c[:] = 0.0
    for k in range(n):
        m[k] = chains.start[mouse, k]
    for t in range(chains.lengths[mouse]):
        x, choice = chains.x[mouse, t], chains.choice[mouse, t]
        spread, logit, error, steepness = 0.0, 0.0, 0.0, 0.0
        for k in range(n):
            c[k, k] += variance[1, k] if chains.new_session[mouse, t] and t > 0 else 0.0
            before[k] = 0.0
        for k in range(n):
            logit += m[k] * x[k]
            for j in range(n):
                before[k] += c[k, j] * x[j]
            spread += before[k] * x[k]
        if choice >= 0:
            flat = 1.0 / math.sqrt(1.0 + FLATTENING * spread)
            p = sigmoid(flat * logit)
            if chains.counts[mouse, t]:
                total += math.log(max(p if choice == 1 else 1.0 - p, 1e-300))
            for k in range(n):
                m[k] += flat * before[k] * (choice - p)
                for j in range(n):
                    c[k, j] -= flat * flat * p * (1.0 - p) * before[k] * before[j]
            q = sigmoid(evidence(m, x))
            error, steepness = choice - q, q * (1.0 - q)
        advance(
            m, c, chains.slope[mouse, t], chains.shift[mouse, t], x, rates[chains.reward[mouse, t]], error, steepness, out, wide
        )
        for k in range(n):
            c[k, k] += variance[0, k]
    return total


class NoiseFit(NamedTuple):
    """The most likely noise."""

    noise: Noise
    rates: np.ndarray  # (2, K) of what rule and gains leave over, after errors and after rewards: 0 once they agree
    log_likelihood: float  # per trial


def fit_noise(chains: Chains, noise: Noise) -> NoiseFit:
    """Noise levels of highest likelihood on linearised chains, beginning from `noise`."""
    nights, k = bool(chains.new_session[:, 1:].any()), chains.x.shape[2]
    counted, groups = chains.counts.sum(), np.array_split(np.arange(len(chains.x)), torch.get_num_threads())

    def parts(free: np.ndarray) -> tuple[Noise, np.ndarray]:
        sd = np.exp(free[: -2 * k]).reshape(-1, k)
        return Noise(sd[0], sd[1] if nights else np.zeros(k)), free[-2 * k :].reshape(2, k)

    def objective(free: np.ndarray) -> float:
        levels, rates = parts(free)

        def of_group(mice: np.ndarray) -> float:
            room = np.empty((2 * k + 3, k))
            return sum(chain_log_likelihood(chains, m, np.square(levels), rates, room) for m in mice)

        return -sum(pool.map(of_group, groups)) / counted

    levels = [np.clip(sd, least, MOST_NOISE) for sd, least in zip(noise, LEAST_START, strict=True)]
    sd = np.log(np.concatenate(levels[: 1 + nights]))
    bounds = [(math.log(LEAST_NOISE), math.log(MOST_NOISE))] * len(sd) + [(-1.0, 1.0)] * (2 * k)
    options = {"ftol": 1e-10, "gtol": 1e-7, "maxiter": 40}
    with ThreadPoolExecutor(len(groups)) as pool:
        found = minimize(objective, np.append(sd, np.zeros(2 * k)), method="L-BFGS-B", bounds=bounds, options=options)
    return NoiseFit(*parts(found.x), -float(found.fun))
